"""ExampleDiff as a node sees it."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tidemill.components.example_diff.component import ExampleDiff
from tidemill.components.example_diff.executor import run
from tidemill.data.example_diff import FILE
from tidemill.data.parquet import split_folder, write_split
from tidemill.errors import DataError, ValidationFailed
from tidemill.types.standard import Examples, ExamplesDiff


def examples(folder: Path, **splits: dict[str, list[Any]]) -> Examples:
    for name, columns in splits.items():
        table = pa.table(columns)
        write_split(split_folder(folder, name), table.schema, [table])
    found = Examples(path=folder)
    found.splits = list(splits)
    return found


def test_the_declaration_and_the_executor_agree() -> None:
    declared = ExampleDiff.signature
    assert not declared.problems
    assert ExampleDiff.executor == f"{run.__module__}:{run.__name__}"
    assert set(inspect.signature(run).parameters) == {
        *declared.inputs, *declared.outputs, *declared.parameters
    }  # fmt: skip


def test_the_differences_are_written_and_counted(tmp_path: Path) -> None:
    now = examples(tmp_path / "now", train={"id": [1, 2], "x": [1, 2]}, eval={"id": [9], "x": [9]})
    before = examples(tmp_path / "before", train={"id": [2, 3], "x": [0, 3]}, eval={"id": [9], "x": [9]})
    diff = ExamplesDiff(path=tmp_path)
    run(examples=now, baseline_examples=before, diff=diff, keys=["id"])
    assert (diff.num_left_only, diff.num_right_only, diff.num_changed) == (1, 1, 1)
    assert diff.splits == ["train", "eval"]
    first = (tmp_path / FILE).read_bytes()
    assert json.loads(first)["splits"]["train"]["columns"] == {"x": 1}
    with pytest.raises(ValidationFailed, match="1 of them changed"):
        run(examples=now, baseline_examples=before, diff=diff, keys=["id"], fail=True)
    assert (tmp_path / FILE).read_bytes() == first
    run(examples=now, baseline_examples=before, diff=diff, keys=["id"], exclude_splits=["train"], fail=True)
    with pytest.raises(DataError, match="no split 'eval'"):
        run(
            examples=now,
            baseline_examples=examples(tmp_path / "b", train={"id": [1]}),
            diff=diff,
            keys=["id"],
        )
