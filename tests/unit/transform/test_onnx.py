"""The ONNX export as a whole: names, nulls, what it refuses, what it leaves before the model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest

import tidemill.data.transform as tft
from tidemill.data.transform.fit import fit, input_types
from tidemill.data.transform.onnx_export import OnnxExport
from tidemill.errors import DataError

ROWS: dict[str, list[Any]] = {
    "fare": [5.0, None, 30.0, float("nan")],
    "company": ["Blue", "Sun", "New", None],
    "when": [1_700_000_000, 0, None, -1],
    "tips": [1.0, 0.0, 2.0, None],
    "words": [["a", "b"], [], None, ["a"]],
}


def fitted(preprocessing_fn: Any) -> tft.FittedGraph:
    table = pa.table(ROWS)
    graph = tft.trace(preprocessing_fn, input_types([table.schema]))
    return tft.FittedGraph(fit(graph, lambda columns: [table.select(list(columns))]))


def run(exported: OnnxExport, rows: list[dict[str, Any]]) -> dict[str, Any]:
    session = onnxruntime.InferenceSession(exported.to_bytes(), providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_outputs()]
    return dict(zip(names, session.run(None, exported.feeds(rows)), strict=True))


def features(c: tft.Inputs) -> dict[str, Any]:
    known = tft.compute_and_apply_vocabulary(c["company"])
    return {
        "fare": tft.scale_to_z_score(tft.log1p(tft.fill_null(c["fare"], 0))),
        "company": tft.fill_null(known, 99),
        "hot": tft.one_hot(known, 3),
        "hour": tft.hour(tft.from_unix(c["when"])),
        "name": c["company"],
        "one": tft.mean(c["fare"]),
        "target": tft.label(c["tips"]) > 0,
    }


def test_an_exported_graph_gives_what_rows_give(tmp_path: Path) -> None:
    graph = fitted(features)
    exported = graph.to_onnx()
    rows = [{name: ROWS[name][i] for name in ROWS if name != "tips"} for i in range(4)]
    out = run(exported, rows)
    assert exported.inputs == {"fare": "float", "company": "string", "when": "int"}  # no label
    assert exported.nullable == ("hour", "name")
    assert exported.before == {}
    want = graph.transform_rows(rows, exported.outputs)
    assert out["fare"] == pytest.approx(np.array(want["fare"], float), rel=1e-12, nan_ok=True)
    assert out["company"].tolist() == want["company"]
    assert out["hot"].tolist() == want["hot"]
    assert [h if ok else None for h, ok in zip(out["hour"], out["hour.valid"], strict=True)] == want["hour"]
    assert out["name"].tolist() == ["Blue", "Sun", "New", ""]
    assert out["one"].tolist() == want["one"]
    exported.save(tmp_path / "graph.onnx")
    assert (tmp_path / "graph.onnx").read_bytes() == graph.to_onnx().to_bytes()
    for count in (0, 1, 3):
        assert all(len(values) == count for values in run(exported, rows[:count]).values())


def refused(c: tft.Inputs) -> dict[str, Any]:
    return {
        "short": tft.text_length(tft.lower(c["company"])) + 1,
        "id": tft.compute_and_apply_vocabulary(tft.lower(c["company"]), num_oov_buckets=2),
        "dense": tft.to_dense(tft.text_length(c["words"]), 2),
        "fare": c["fare"] * 2,
    }


def test_what_onnx_cannot_say_is_named() -> None:
    graph = fitted(refused)
    with pytest.raises(DataError) as raised:
        graph.to_onnx()
    assert "output 'short': lower (" in raised.value.message
    assert "output 'dense': 'words' has lists of any length" in raised.value.message
    assert "partial=True" in raised.value.hint
    assert graph.to_onnx(["fare"]).outputs == {"fare": "float"}
    with pytest.raises(DataError, match="no output 'fair'"):
        graph.to_onnx(["fair"])


def test_what_onnx_cannot_say_is_left_before_the_model() -> None:
    graph = fitted(refused)
    exported = graph.to_onnx(partial=True)
    assert [name.split(":")[0] for name in exported.before] == ["text_length", "apply_vocabulary", "to_dense"]
    rows = pa.table(ROWS).to_pylist()
    out = run(exported, rows)
    want = graph.transform_rows(rows)
    assert out["dense"].tolist() == want["dense"]
    for name in ("id", "short"):
        found = zip(out[name], out[f"{name}.valid"], strict=True)
        assert [value if ok else None for value, ok in found] == want[name]
    ragged = fitted(lambda c: {"words": c["words"]})
    with pytest.raises(DataError, match="lists of any length"):
        ragged.to_onnx(partial=True)


def test_a_graph_that_reads_nothing_has_no_rows() -> None:
    graph = fitted(lambda c: {"one": tft.mean(c["fare"])})
    with pytest.raises(DataError, match="nothing says how many rows"):
        graph.to_onnx()
    assert graph.transform(pa.table({"other": [1, 2]})).to_pydict() == {"one": [17.5, 17.5]}


def test_without_onnx_the_extra_is_named() -> None:
    code = """
import sys
sys.modules["onnx"] = None
import tidemill.data.transform as tft
from tidemill.errors import DataError
graph = tft.FittedGraph(tft.trace(lambda c: {"x": c["x"]}, {"x": "int"}))
try:
    graph.to_onnx()
except DataError as error:
    assert "tidemill[onnx]" in error.hint, error
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True)
