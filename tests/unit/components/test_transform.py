"""Transform: splits and examples in order, spans, types over files, errors."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tidemill.data.transform as tft
from tidemill.components.transform.executor import run
from tidemill.data.parquet import split_folder
from tidemill.data.schema import ColumnSchema
from tidemill.data.schema import Schema as DataSchema
from tidemill.data.schema_file import write_schema
from tidemill.data.statistics import read_statistics
from tidemill.errors import DataError
from tidemill.types.standard import Examples, ExampleStatistics, Schema, TransformCache, TransformGraph


def examples(folder: Path, splits: Mapping[str, list[dict[str, Any]]], span: int = 0) -> Examples:
    """Examples by hand: each split is a list of files, each file columns."""
    made = Examples(path=folder)
    for name, files in splits.items():
        split_folder(folder, name).mkdir(parents=True)
        for number, columns in enumerate(files):
            pq.write_table(pa.table(columns), split_folder(folder, name) / f"part-{number:05d}.parquet")
    made.splits = list(splits)
    made.span = span
    return made


def outputs(tmp_path: Path) -> tuple[TransformGraph, Examples]:
    for name in ("graph", "transformed"):
        (tmp_path / name).mkdir()
    return TransformGraph(path=tmp_path / "graph"), Examples(path=tmp_path / "transformed")


def read(made: Examples, split: str) -> dict[str, list[Any]]:
    files = sorted(split_folder(made.path, split).iterdir())
    return pa.concat_tables([pq.read_table(file) for file in files]).to_pydict()


def scale(inputs: tft.Inputs) -> dict[str, tft.Column]:
    return {"id": inputs["id"], "x": tft.scale_to_0_1(inputs["x"])}


def test_order_of_examples_and_splits_is_kept(tmp_path: Path) -> None:
    newer = examples(
        tmp_path / "a",
        {"train": [{"id": [1, 2], "x": [1, 3]}, {"id": [3], "x": [5]}], "eval": [{"id": [9], "x": [11]}]},
        span=7,
    )
    older = examples(
        tmp_path / "b", {"eval": [{"id": [8], "x": [0]}], "train": [{"id": [4], "x": [2.5]}]}, span=3
    )
    graph, transformed = outputs(tmp_path)
    run(examples=[older, newer], preprocessing_fn=scale, transform_graph=graph, transformed=transformed)
    assert transformed.splits == ["eval", "train"]
    assert transformed.span == 7
    assert transformed.num_rows == 6
    assert read(transformed, "train") == {"id": [4, 1, 2, 3], "x": [0.375, 0.0, 0.5, 1.0]}
    assert read(transformed, "eval") == {"id": [8, 9], "x": [-0.25, 2.5]}  # fitted to train alone
    again = tft.FittedGraph.load(graph.path)
    assert again.graph.inputs == {"id": "int", "x": "float"}
    assert again.transform_rows([{"id": 1, "x": 3}]) == {"id": [1], "x": [0.5]}


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    given = examples(tmp_path / "a", {"train": [{"id": [1, 2], "x": [1.0, 3.0]}]})
    written = []
    for attempt in ("first", "second"):
        (tmp_path / attempt).mkdir()
        graph, transformed = outputs(tmp_path / attempt)
        run(examples=[given], preprocessing_fn=scale, transform_graph=graph, transformed=transformed)
        files = sorted((tmp_path / attempt).rglob("*"))
        written.append({f.name: f.read_bytes() for f in files if f.is_file()})
    assert written[0] == written[1]


def test_without_materializing_only_the_graph_is_written(tmp_path: Path) -> None:
    given = examples(tmp_path / "a", {"train": [{"id": [1], "x": [1.0]}]})
    graph, transformed = outputs(tmp_path)
    run(
        examples=[given],
        preprocessing_fn=scale,
        transform_graph=graph,
        transformed=transformed,
        materialize=False,
    )
    assert (graph.path / "graph.json").exists()
    assert transformed.splits == []
    assert list(transformed.path.iterdir()) == []


def test_the_schema_decides_where_the_files_leave_it_open(tmp_path: Path) -> None:
    given = examples(tmp_path / "a", {"train": [{"a": pa.array([None], pa.null()), "b": [3]}]})
    (tmp_path / "schema").mkdir()
    columns = {"a": ColumnSchema(type="timestamp"), "b": ColumnSchema(type="float")}
    write_schema(tmp_path / "schema", DataSchema(columns=columns))
    graph, transformed = outputs(tmp_path)
    run(
        examples=[given],
        preprocessing_fn=lambda inputs: {"hour": tft.hour(inputs["a"]), "b": inputs["b"]},
        transform_graph=graph,
        transformed=transformed,
        schema=Schema(path=tmp_path / "schema"),
    )
    fitted = tft.FittedGraph.load(graph.path)
    assert fitted.transform_rows([{"a": dt.datetime(2026, 1, 1, 5), "b": 0.5}]) == {"hour": [5], "b": [0.5]}


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({"preprocessing_fn": lambda inputs: {"y": inputs["idd"]}}, "no column 'idd'", "did you mean 'id'"),
        ({"analyze_splits": ["trian"]}, "no examples have a split 'trian'", "did you mean 'train'"),
        ({"analyze_splits": ["empty"]}, "no rows to analyze", "analyze_splits"),
    ],
)
def test_mistakes(tmp_path: Path, changes: dict[str, Any], message: str, hint: str) -> None:
    empty = {"id": pa.array([], pa.int64()), "x": pa.array([], pa.float64())}
    given = examples(tmp_path / "a", {"train": [{"id": [1], "x": [1.0]}], "empty": [empty]})
    graph, transformed = outputs(tmp_path)
    usual: dict[str, Any] = {"examples": [given], "preprocessing_fn": scale}
    with pytest.raises(DataError) as raised:
        run(**{**usual, **changes}, transform_graph=graph, transformed=transformed)
    assert message in raised.value.message
    assert hint in raised.value.hint


def test_an_empty_split_stays_a_split(tmp_path: Path) -> None:
    empty = {"id": pa.array([], pa.int64()), "x": pa.array([], pa.float64())}
    given = examples(tmp_path / "a", {"train": [{"id": [1], "x": [1.0]}], "eval": [empty]})
    graph, transformed = outputs(tmp_path)
    run(examples=[given], preprocessing_fn=scale, transform_graph=graph, transformed=transformed)
    assert transformed.splits == ["train", "eval"]
    assert read(transformed, "eval") == {"id": [], "x": []}


def run_all(tmp_path: Path, given: list[Examples], **changes: Any) -> dict[str, Any]:
    """Transform with every output; the artifacts by name."""
    made: dict[str, Any] = {
        "transform_graph": TransformGraph,
        "transformed": Examples,
        "analyzer_cache": TransformCache,
        "pre_transform_statistics": ExampleStatistics,
        "post_transform_statistics": ExampleStatistics,
    }
    for name, kind in made.items():
        (tmp_path / name).mkdir(parents=True)
        made[name] = kind(path=tmp_path / name)
    run(**{"examples": given, "preprocessing_fn": scale, **changes}, **made)
    return made


def test_statistics_before_and_after(tmp_path: Path) -> None:
    given = examples(
        tmp_path / "a", {"train": [{"id": [1, 2], "x": [1, 3]}], "eval": [{"id": [9], "x": [5]}]}, 7
    )
    made = run_all(tmp_path / "made", [given])
    before = read_statistics(made["pre_transform_statistics"].path)
    after = read_statistics(made["post_transform_statistics"].path)
    assert list(before.splits) == made["pre_transform_statistics"].splits == ["train"]
    assert list(after.splits) == made["post_transform_statistics"].splits == ["train", "eval"]
    assert made["post_transform_statistics"].num_rows == 3
    assert made["post_transform_statistics"].span == 7
    assert [column.name for column in after.splits["eval"].columns] == ["id", "x"]
    unwritten = run_all(tmp_path / "unwritten", [given], materialize=False)
    assert read_statistics(unwritten["post_transform_statistics"].path) == after
    without = run_all(tmp_path / "without", [given], statistics=False)
    assert without["pre_transform_statistics"].splits == without["post_transform_statistics"].splits == []
    assert list(without["post_transform_statistics"].path.iterdir()) == []


def labelled(inputs: tft.Inputs) -> dict[str, tft.Column]:
    return {"x": tft.scale_to_0_1(inputs["x"]), "y": tft.label(inputs["id"]) > 1}


def test_the_log_says_what_is_not_for_serving(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = examples(tmp_path / "a", {"train": [{"id": [1, 2], "x": [1.0, 2.0]}]})
    made = run_all(tmp_path / "made", [given], preprocessing_fn=labelled)
    assert "not for serving, as they need a label: y\n" in capsys.readouterr().out
    graph = tft.FittedGraph.load(made["transform_graph"].path)
    assert graph.features == ["x"]
    assert read(made["transformed"], "train") == {"x": [0.0, 1.0], "y": [False, True]}


def test_some_splits_alone(tmp_path: Path) -> None:
    given = examples(tmp_path / "a", {"train": [{"id": [1], "x": [1]}], "eval": [{"id": [9], "x": [5]}]})
    made = run_all(tmp_path / "made", [given], transform_splits=["eval"])
    assert made["transformed"].splits == ["eval"]
    assert made["transformed"].num_rows == 1
    with pytest.raises(DataError, match="no examples have a split 'evil'") as raised:
        run_all(tmp_path / "bad", [given], transform_splits=["evil"])
    assert "'eval'" in raised.value.hint


def test_earlier_files_are_taken_from_the_cache(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A window that moves by one span reads one span; the result is that of reading all."""
    spans = [
        examples(tmp_path / f"span{n}", {"train": [{"id": [n], "x": [float(n)]}]}, span=n) for n in range(4)
    ]
    first = run_all(tmp_path / "first", spans[:3])
    capsys.readouterr()
    moved = run_all(tmp_path / "moved", spans[1:], previous_cache=[first["analyzer_cache"]])
    assert "2 states of files were taken from earlier caches" in capsys.readouterr().out
    anew = run_all(tmp_path / "anew", spans[1:])
    for name in ("transform_graph", "analyzer_cache"):
        both = [next(made[name].path.iterdir()).read_bytes() for made in (moved, anew)]
        assert both[0] == both[1]


def test_backends_write_the_same_bytes(tmp_path: Path) -> None:
    given = examples(tmp_path / "a", {"train": [{"id": [1, 2], "x": [1.0, 3.5]}, {"id": [3], "x": [2.0]}]})
    written = {}
    for backend, options in (("inline", ()), ("pool", ("--workers=2",))):
        made = run_all(tmp_path / backend, [given], backend=backend, backend_options=options)
        files = [f for artifact in made.values() for f in sorted(artifact.path.rglob("*")) if f.is_file()]
        written[backend] = {str(f.relative_to(tmp_path / backend)): f.read_bytes() for f in files}
    assert written["pool"] == written["inline"]
    assert len(written["inline"]) == 5
    with pytest.raises(DataError, match="no backend 'inlin'"):
        run_all(tmp_path / "bad", [given], backend="inlin")
