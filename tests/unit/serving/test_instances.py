"""The row form of TensorFlow Serving's REST API, over real HTTP."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tidemill.models import Field, LoadedModel
from tidemill.serving import instances
from tidemill.serving.columns import Batch, check_columns, to_table

PREDICT = "/v1/models/taxi:predict"


@pytest.fixture(scope="module")
def client(made_models: list[Path], start_server: Callable[..., Any]) -> Any:
    return start_server(made_models[0], version="7")[1]


def test_rows_and_columns(client: Any, row: dict[str, Any]) -> None:
    by_row = client.post(PREDICT, {"signature_name": "serving_default", "instances": [row, row]}).json
    assert [set(found) for found in by_row["predictions"]] == [{"probability", "prediction"}] * 2
    columns = {name: [value, value] for name, value in row.items()}
    by_column = client.post("/v1/models/taxi/versions/7:predict", {"inputs": columns}).json
    assert by_column["outputs"]["probability"] == [p["probability"] for p in by_row["predictions"]]


def test_what_the_model_says(client: Any, make_rows: Any, loaded: LoadedModel) -> None:
    table = make_rows(100, seed=4)
    rows = [{**r, "start": r["start"].isoformat()} for r in table.to_pylist()]
    found = client.post(PREDICT, {"instances": rows}).json["predictions"]
    assert [p["probability"] for p in found] == loaded.predict(table)["probability"].tolist()


def test_status(client: Any) -> None:
    status = {"error_code": "OK", "error_message": ""}
    expected = {"model_version_status": [{"version": "7", "state": "AVAILABLE", "status": status}]}
    assert client.get("/v1/models/taxi").json == expected
    assert client.get("/v1/models/taxi/versions/7").json == expected
    assert client.get("/v1/models/taxi/versions/8").status == 404


def test_a_value_that_some_rows_lack_is_null_there(client: Any, row: dict[str, Any]) -> None:
    without = {name: value for name, value in row.items() if name != "fare"}
    both = client.post(PREDICT, {"instances": [row, without]}).json["predictions"]
    null = client.post(PREDICT, {"instances": [{**row, "fare": None}]}).json["predictions"]
    assert both[1] == null[0]


def test_base64(client: Any, row: dict[str, Any]) -> None:
    text = {"b64": base64.b64encode(row["company"].encode()).decode()}
    answers = [client.post(PREDICT, {"instances": [{**row, "company": c}]}).body for c in ("Blue", text)]
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "has no rows"),
        ({"instances": [], "inputs": {}}, "has no rows"),
        ({"instances": []}, "is empty"),
        ({"instances": "all"}, "not a list of rows"),
        ({"instances": [1]}, "row 0 is not an object"),
        ({"instances": [{"fare": 1.0}]}, "has no 'miles'"),
        ({"instances": [{"fare": {"a": 1}}]}, "a value is an object"),
        ({"instances": [{"fare": {"b64": "?"}}]}, "not base64"),
        ({"instances": [{"fare": [1.0]}]}, "'fare' wants a number, and has [1.0]"),
        ({"inputs": {}}, "is empty"),
        ({"inputs": {"fare": 1.0}}, "is not a list"),
        ({"inputs": {"fare": [1.0], "miles": []}}, "different numbers of rows"),
        ({"inputs": {"fare": []}}, "has no rows"),
        (b'{"instances": [{"fare": Infinity}]}', "Infinity is not JSON"),
        (b'{"instances": [{"fare": -NaN}]}', "is not JSON"),
    ],
)
def test_mistakes(client: Any, body: Any, message: str) -> None:
    answer = client.post(PREDICT, body)
    assert answer.status == 400
    assert message in answer.json["error"]


def test_a_wrong_type_names_its_row(client: Any, row: dict[str, Any]) -> None:
    answer = client.post(PREDICT, {"instances": [row, {**row, "fare": "12,50"}]})
    assert answer.json["error"] == "'fare' wants a number, and has '12,50' in row 1"


# --- forms that this model does not have ----------------------------------------------------------


def test_an_only_input_and_an_only_output_need_no_name() -> None:
    only = (Field("x", "float"),)
    batch, by_row = instances.read_instances(b'{"instances": [1, 2.5]}', only, 10)
    assert (dict(batch.columns), by_row) == ({"x": [1, 2.5]}, True)
    batch, by_row = instances.read_instances(b'{"inputs": [1, 2.5]}', only, 10)
    assert (dict(batch.columns), by_row) == ({"x": [1, 2.5]}, False)
    assert instances.answer({"y": np.array([1.0, np.nan])}, rows=True) == b'{"predictions":[1.0,null]}'
    vectors = {"y": np.array([[1, 2], [3, 4]])}
    assert instances.answer(vectors, rows=True) == b'{"predictions":[[1,2],[3,4]]}'
    assert instances.answer(vectors, rows=False) == b'{"outputs":[[1,2],[3,4]]}'


def test_vectors_in() -> None:
    fields = (Field("v", "float", (2,)),)
    good = check_columns(Batch(2, {"v": [[1, 2], None]}), fields)
    assert to_table(good, fields).column("v").to_pylist() == [[1.0, 2.0], None]
    for wrong in ([[1]], [3], [["a", "b"]]):
        with pytest.raises(instances.DataError, match="'v' wants"):
            check_columns(Batch(1, {"v": wrong}), fields)
    with pytest.raises(instances.DataError, match="has the shape"):
        check_columns(Batch(1, {"v": np.ones((1, 3))}), fields)


def test_columns_that_were_always_empty_may_be_left_out() -> None:
    fields = (Field("x", "int"), Field("never", "empty"))
    assert check_columns(Batch(1, {"x": [1]}), fields).columns["never"] == [None]
    with pytest.raises(instances.DataError, match="always empty"):
        check_columns(Batch(1, {"x": [1], "never": [2.0]}), fields)
