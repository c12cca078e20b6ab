"""Graphs that were written once load for ever, and mean what they meant."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tidemill.data.transform import FittedGraph
from tidemill.errors import DataError

DATA = Path(__file__).parent / "data"


def told(values: list[Any]) -> list[Any]:
    return [math.nan if value == "nan" else value for value in values]


def test_a_graph_of_version_1_gives_what_it_gave(tmp_path: Path) -> None:
    """The file, its digest and its results are those of the tidemill that wrote version 1."""
    seen = json.loads((DATA / "graph_v1_rows.json").read_text())
    graph = FittedGraph.load(DATA / "graph_v1.json")
    assert graph.digest == seen["digest"]
    table = pa.table({name: told(values) for name, values in seen["inputs"].items()})
    batch = graph.transform(table).to_pydict()
    rows = graph.transform_rows(table.to_pylist())
    for name, values in seen["outputs"].items():
        assert str(batch[name]) == str(rows[name]) == str(told(values)), name
    assert graph.vocabulary("v") == ["blue", "sun"]
    assert graph.features == list(seen["outputs"])

    graph.graph.save(tmp_path)
    assert FittedGraph.load(tmp_path).digest == seen["digest"]
    assert (tmp_path / "graph.json").read_bytes() == (DATA / "graph_v1.json").read_bytes()


@pytest.mark.parametrize(
    "damage", [{"fitted": {}}, {"nodes": [{"id": "n0", "op": "bucketize"}]}, {"nodes": 5}]
)
def test_a_damaged_graph_of_version_1_is_refused(tmp_path: Path, damage: dict[str, Any]) -> None:
    value = {**json.loads((DATA / "graph_v1.json").read_text()), **damage}
    (tmp_path / "graph.json").write_text(json.dumps(value))
    with pytest.raises(DataError, match=r"damaged|never fitted"):
        FittedGraph.load(tmp_path)
