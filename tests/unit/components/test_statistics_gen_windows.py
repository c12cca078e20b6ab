"""StatisticsGen over many spans: states of files are kept, taken again, and change no byte."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tidemill.components.statistics_gen import executor
from tidemill.components.statistics_gen.executor import run
from tidemill.data import summaries
from tidemill.data.engine.states_file import FILE as STATES
from tidemill.data.parquet import SplitWriter, split_folder
from tidemill.data.statistics import FILE, ColumnStatistics, Statistics, read_statistics
from tidemill.data.summaries.analyzer import StatisticsAnalyzer
from tidemill.errors import DataError
from tidemill.storage.manifest import seal
from tidemill.types.standard import Examples, ExampleStatistics

GROUP = 500


def day(folder: Path, span: int, rows: int = 2600) -> Examples:
    random = np.random.default_rng(span)
    table = pa.table(
        {
            "fare": pa.array(random.lognormal(2, 1, rows), mask=random.random(rows) < 0.1),
            "seats": random.integers(0, 5, rows),
            "kind": random.choice(["a", "b", "ü"], rows),
            "weight": random.random(rows),
        }
    )
    with SplitWriter(split_folder(folder, "train"), table.schema, group_rows=GROUP) as writer:
        writer.write(table)
    seal(folder)
    made = Examples(path=folder)
    made.splits, made.span = ["train"], span
    return made


@pytest.fixture
def days(tmp_path: Path) -> list[Examples]:
    return [day(tmp_path / f"day-{span}", span) for span in range(4)]


def summarise(folder: Path, examples: Sequence[Examples], **choices: Any) -> ExampleStatistics:
    folder.mkdir()
    made = ExampleStatistics(path=folder)
    run(examples=examples, statistics=made, **choices)
    return made


def content(made: ExampleStatistics, name: str = FILE) -> bytes:
    return (made.path / name).read_bytes()


def column(statistics: Statistics, name: str) -> ColumnStatistics:
    found = statistics.split("train").column(name)
    assert found is not None
    return found


def counted_rows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of each row group that the analyzer sees from now on."""
    seen: list[int] = []
    add = StatisticsAnalyzer.add

    def counting(self: StatisticsAnalyzer, state: Any, table: pa.Table) -> Any:
        seen.append(table.num_rows)
        return add(self, state, table)

    monkeypatch.setattr(summaries.analyzer.StatisticsAnalyzer, "add", counting)  # type: ignore[attr-defined]  # a module
    return seen


def test_long_work_says_how_far_it_is(
    tmp_path: Path, days: list[Examples], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(executor, "REPORT_SECONDS", 0.0)
    summarise(tmp_path / "window", days[:2])
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "train: 2000 of 5200 rows"
    assert said[-1] == "train: 5200 rows, 4 columns"


def test_spans_are_summarised_together(tmp_path: Path, days: list[Examples]) -> None:
    made = summarise(tmp_path / "window", days)
    assert (made.num_rows, made.span, made.splits) == (4 * 2600, 3, ["train"])
    seats = column(read_statistics(made.path), "seats").numeric
    assert seats is not None
    assert (seats.min, seats.max, seats.distinct) == (0, 4, 5)


def test_a_moving_window_reads_the_new_span_only(
    tmp_path: Path, days: list[Examples], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = summarise(tmp_path / "first", days[:3], keep_states=True)
    seen = counted_rows(monkeypatch)
    moved = summarise(tmp_path / "moved", days[1:], previous=first, keep_states=True)
    assert sum(seen) == 2600
    fresh = summarise(tmp_path / "fresh", days[1:], keep_states=True)
    assert sum(seen) == 4 * 2600
    for name in (FILE, STATES):
        assert content(moved, name) == content(fresh, name)


def test_states_come_from_many_statistics(
    tmp_path: Path, days: list[Examples], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    daily = [summarise(tmp_path / f"daily-{d.span}", [d], keep_states=True) for d in days]
    seen = counted_rows(monkeypatch)
    capsys.readouterr()
    window = summarise(tmp_path / "window", days, previous=daily)
    assert not seen
    assert "4 states of files were taken" in capsys.readouterr().out
    assert not (window.path / STATES).exists()
    assert content(window) == content(summarise(tmp_path / "fresh", days))


def test_other_choices_and_other_content_take_nothing(
    tmp_path: Path, days: list[Examples], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = summarise(tmp_path / "first", days[:1], keep_states=True)
    changed = day(tmp_path / "changed", 7)
    seen = counted_rows(monkeypatch)
    summarise(tmp_path / "sampled", days[:1], previous=first, sample_rate=0.5)
    summarise(tmp_path / "weighted", days[:1], previous=first, weight_column="weight")
    summarise(tmp_path / "other", [changed], previous=first)
    assert sum(seen) == 1 * 2600 * 2 + 2600
    summarise(tmp_path / "same", days[:1], previous=first)
    assert sum(seen) == 3 * 2600


def test_unsealed_examples_are_known_by_their_bytes(
    tmp_path: Path, days: list[Examples], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = summarise(tmp_path / "first", days[:1], keep_states=True)
    (days[0].path / ".manifest.json").unlink()
    seen = counted_rows(monkeypatch)
    summarise(tmp_path / "again", days[:1], previous=first)
    assert not seen


def test_broken_states_are_a_data_error(tmp_path: Path, days: list[Examples]) -> None:
    first = summarise(tmp_path / "first", days[:1], keep_states=True)
    good = content(first, STATES)
    for broken in (b"something else", good[:30], good[:-1] + bytes([good[-1] ^ 1])):
        (first.path / STATES).write_bytes(broken)
        with pytest.raises(DataError, match="state") as caught:
            summarise(tmp_path / hashlib.sha256(broken).hexdigest(), days[:1], previous=first)
        assert caught.value.where.endswith(STATES)
        assert "previous" in caught.value.hint


RAY = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")


@pytest.mark.parametrize("name", ["auto", "pool", "beam", pytest.param("ray", marks=RAY)])
def test_every_backend_writes_the_same_bytes(tmp_path: Path, days: list[Examples], name: str) -> None:
    days = days[:2]
    choices: dict[str, Any] = {"keep_states": True, "slices": ["kind"], "weight_column": "weight"}
    inline = summarise(tmp_path / "inline", days, backend="inline", **choices)
    other = summarise(tmp_path / "other", days, backend=name, **choices)
    for file in (FILE, STATES):
        assert content(inline, file) == content(other, file)


def test_a_column_may_come_and_go(tmp_path: Path, days: list[Examples]) -> None:
    table = pa.table({"fare": pa.array([1, 2], pa.int64()), "kind": [7, 8], "new": ["x", None]})
    folder = tmp_path / "odd"
    with SplitWriter(split_folder(folder, "train"), table.schema) as writer:
        writer.write(table)
    odd = Examples(path=folder)
    odd.splits, odd.span = ["train"], 9
    found = read_statistics(summarise(tmp_path / "found", [*days[:1], odd]).path)
    assert [c.name for c in found.split("train").columns] == ["fare", "seats", "kind", "weight", "new"]
    new, kind, fare = (column(found, name) for name in ("new", "kind", "fare"))
    assert (new.count, new.missing) == (1, 2601)
    assert (fare.type, fare.types) == ("float", ())
    assert (kind.type, kind.types, kind.numeric) == ("string", (("string", 2600), ("int", 2)), None)
