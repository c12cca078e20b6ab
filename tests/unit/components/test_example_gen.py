"""ExampleGen as a node sees it: a source and parameters in, described Examples out."""

from __future__ import annotations

import inspect
from pathlib import Path

import pyarrow.compute as pc
import pytest

from tidemill.components.example_gen.component import ExampleGen
from tidemill.components.example_gen.executor import run
from tidemill.data.parquet import count_rows, read_tables, split_folder
from tidemill.errors import DataError
from tidemill.storage.pattern import resolve_files
from tidemill.types.standard import Examples


@pytest.fixture
def examples(tmp_path: Path) -> Examples:
    folder = tmp_path / "examples"
    folder.mkdir()
    return Examples(path=folder)


def test_the_declaration_and_the_executor_agree() -> None:
    declared = ExampleGen.signature
    assert not declared.problems
    assert ExampleGen.executor == f"{run.__module__}:{run.__name__}"
    taken = inspect.signature(run).parameters
    assert set(taken) == {*declared.inputs, *declared.outputs, *declared.parameters}
    assert all(taken[name].default == p.default for name, p in declared.parameters.items() if not p.required)


def test_a_day_of_csv_becomes_examples(tmp_path: Path, examples: Examples) -> None:
    for day in ("2024-03-04", "2024-03-05"):
        (tmp_path / f"{day}.csv").write_text("id,fare\n" + "".join(f"{at},{at / 2}\n" for at in range(90)))
    source = resolve_files("{YYYY}-{MM}-{DD}.csv", base=tmp_path, date="2024-03-05")
    run(source=source, examples=examples)
    assert examples.splits == ["train", "eval"]
    assert (examples.span, examples.version, examples.num_rows) == (19787, None, 90)
    train, evaluation = (count_rows(split_folder(examples.path, split)) for split in examples.splits)
    assert train + evaluation == 90
    assert 45 < train < 75
    assert sorted(p.name for p in examples.path.iterdir()) == ["Split-eval", "Split-train"]


def test_a_window_of_days_and_the_latest_version(tmp_path: Path, examples: Examples) -> None:
    for name in ("1-v1", "1-v2", "2-v1", "3-v7"):
        (tmp_path / f"{name}.csv").write_text(f"id,from\n1,{name}\n")
    source = resolve_files("{SPAN}-v{VERSION}.csv", base=tmp_path, window=3)
    run(source=source, examples=examples, splits={"all": 1})
    (table,) = read_tables(split_folder(examples.path, "all"))
    assert table["from"].to_pylist() == ["1-v2", "2-v1", "3-v7"]
    assert (examples.span, examples.version) == (3, 7)


def test_the_next_interactions_are_held_out(tmp_path: Path, examples: Examples) -> None:
    rows = "".join(f"u{at % 7},2024-03-05T{at // 60:02}:{at % 60:02}:00\n" for at in range(24 * 60))
    (tmp_path / "clicks.csv").write_text("user,at\n" + rows)
    run(
        source=resolve_files("clicks.csv", base=tmp_path),
        examples=examples,
        splits={"train": 1, "eval": 1},
        order_by="at",
        cut_points=["18:00"],
    )
    (train,) = read_tables(split_folder(examples.path, "train"))
    (evaluation,) = read_tables(split_folder(examples.path, "eval"))
    assert (train.num_rows, evaluation.num_rows) == (18 * 60, 6 * 60)
    assert pc.max(train["at"]).as_py() < pc.min(evaluation["at"]).as_py()


def test_bad_input_is_one_clear_error(tmp_path: Path, examples: Examples) -> None:
    (tmp_path / "a.csv").write_text("id\n")
    with pytest.raises(DataError, match="not one row") as caught:
        run(source=resolve_files("a.csv", base=tmp_path), examples=examples)
    assert "a.csv" in caught.value.where
    (tmp_path / "a.csv").write_text("id\n1\n")
    with pytest.raises(DataError, match="splits is empty"):
        run(source=resolve_files("a.csv", base=tmp_path), examples=examples, splits={})
