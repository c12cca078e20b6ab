"""StatisticsGen as a node sees it."""

from __future__ import annotations

import inspect
from pathlib import Path

import pyarrow as pa
import pytest

from tidemill.components.statistics_gen.component import StatisticsGen
from tidemill.components.statistics_gen.executor import run
from tidemill.data.parquet import split_folder, write_split
from tidemill.data.statistics import FILE, read_statistics
from tidemill.errors import DataError
from tidemill.types.standard import Examples, ExampleStatistics


@pytest.fixture
def examples(tmp_path: Path) -> Examples:
    table = pa.table({"fare": [1.0, 2.0, None], "kind": ["a", "ü", "a"]})
    for split, rows in (("train", 3), ("eval", 2)):
        write_split(split_folder(tmp_path / "examples", split), table.schema, [table.slice(0, rows)])
    made = Examples(path=tmp_path / "examples")
    made.splits = ["train", "eval"]
    return made


def output(folder: Path) -> ExampleStatistics:
    folder.mkdir()
    return ExampleStatistics(path=folder)


def test_the_declaration_and_the_executor_agree() -> None:
    declared = StatisticsGen.signature
    assert not declared.problems
    assert StatisticsGen.executor == f"{run.__module__}:{run.__name__}"
    assert set(inspect.signature(run).parameters) == {
        *declared.inputs, *declared.outputs, *declared.parameters
    }  # fmt: skip


def test_every_split_is_summarised(tmp_path: Path, examples: Examples) -> None:
    examples.span = 7
    statistics = output(tmp_path / "statistics")
    run(examples=examples, statistics=statistics)
    assert (statistics.splits, statistics.num_rows, statistics.span) == (["train", "eval"], 5, 7)
    found = read_statistics(statistics.path)
    assert {name: split.num_rows for name, split in found.splits.items()} == {"train": 3, "eval": 2}
    fare = found.split("train").column("fare")
    assert fare is not None
    assert (fare.count, fare.missing) == (2, 1)


def test_the_same_examples_give_the_same_bytes(tmp_path: Path, examples: Examples) -> None:
    contents = []
    for name in ("first", "second"):
        statistics = output(tmp_path / name)
        run(examples=examples, statistics=statistics)
        contents.append((statistics.path / FILE).read_bytes())
    assert contents[0] == contents[1]


def test_splits_can_be_left_out(tmp_path: Path, examples: Examples) -> None:
    statistics = output(tmp_path / "statistics")
    run(examples=examples, statistics=statistics, exclude_splits=["eval"])
    assert statistics.splits == ["train"]
    assert statistics.span is None
    with pytest.raises(DataError, match="did you mean 'eval'"):
        run(examples=examples, statistics=statistics, exclude_splits=["evla"])


def test_a_truncated_file_is_named(tmp_path: Path, examples: Examples) -> None:
    file = split_folder(examples.path, "eval") / "part-00000.parquet"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(DataError, match="truncated") as caught:
        run(examples=examples, statistics=output(tmp_path / "statistics"))
    assert str(file) in caught.value.where
