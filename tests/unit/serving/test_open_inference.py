"""The Open Inference Protocol v2, over real HTTP: the specification's schema, and what clients get wrong.

Written by hand from specification/protocol/inference_rest.md of kserve/open-inference-protocol.
"""

from __future__ import annotations

import json
import struct
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tidemill.models import LoadedModel

DATATYPES = {"fare": "FP64", "miles": "FP32", "hour": "INT64", "company": "BYTES", "cash": "BOOL",
             "start": "BYTES"}  # fmt: skip
INFER = "/v2/models/taxi/infer"


@pytest.fixture(scope="module")
def client(made_models: list[Path], start_server: Callable[..., Any]) -> Any:
    return start_server(made_models[0], version="7")[1]


def inputs_of(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": name, "shape": [len(rows)], "datatype": kind, "data": [row[name] for row in rows]}
        for name, kind in DATATYPES.items()
    ]


def changed(row: dict[str, Any], which: str, **changes: Any) -> dict[str, Any]:
    """A request of one row, in which one input is different."""
    return {"inputs": [{**part, **(changes if part["name"] == which else {})} for part in inputs_of(row)]}


# --- the schema -----------------------------------------------------------------------------------


def test_health_and_server(client: Any) -> None:
    assert client.get("/v2/health/live").json == {"live": True}
    ready = client.get("/v2/health/ready")
    assert (ready.status, ready.json["live"]) == (200, True)
    server = client.get("/v2").json
    assert set(server) == {"name", "version", "extensions"}
    assert server["extensions"] == ["binary_tensor_data"]


@pytest.mark.parametrize("path", ["/v2/models/taxi", "/v2/models/taxi/versions/7"])
def test_model_metadata(client: Any, path: str) -> None:
    assert client.get(path + "/ready").json == {"name": "taxi", "ready": True}
    about = client.get(path).json
    assert set(about) == {"name", "versions", "platform", "inputs", "outputs"}
    assert (about["name"], about["versions"], about["platform"]) == ("taxi", ["7"], "tidemill_lightgbm")
    assert {"name": "company", "datatype": "BYTES", "shape": [-1]} in about["inputs"]
    assert [part["name"] for part in about["outputs"]] == ["probability", "prediction"]
    assert all(set(part) == {"name", "datatype", "shape"} for part in about["inputs"] + about["outputs"])


def test_inference(client: Any, row: dict[str, Any], loaded: LoadedModel, make_rows: Any) -> None:
    table = make_rows(150, seed=9)
    expected = loaded.predict(table)
    rows = [{**r, "start": r["start"].isoformat()} for r in table.to_pylist()]
    for some in (rows, rows[:3], rows[:1]):  # as a table, as plain rows, alone
        answer = client.post(INFER, {"id": "42", "inputs": inputs_of(*some)}).json
        assert set(answer) == {"model_name", "model_version", "id", "outputs"}
        assert (answer["model_name"], answer["model_version"], answer["id"]) == ("taxi", "7", "42")
        by_name = {part["name"]: part for part in answer["outputs"]}
        assert set(by_name["probability"]) == {"name", "shape", "datatype", "data"}
        assert by_name["probability"]["shape"] == [len(some)]
        assert (by_name["probability"]["datatype"], by_name["prediction"]["datatype"]) == ("FP64", "INT64")
        assert by_name["probability"]["data"] == expected["probability"][: len(some)].tolist()
        assert by_name["prediction"]["data"] == expected["prediction"][: len(some)].tolist()


def test_no_id_no_id(client: Any, row: dict[str, Any]) -> None:
    assert "id" not in client.post(INFER, {"inputs": inputs_of(row)}).json


def test_chosen_outputs_nested_data_and_further_inputs(client: Any, row: dict[str, Any]) -> None:
    request = changed(row, "fare", shape=[1, 1], data=[[12.5]])
    request["inputs"].append({"name": "label", "shape": [1], "datatype": "INT64", "data": [1]})
    request["outputs"] = [{"name": "prediction"}]
    answer = client.post("/v2/models/taxi/versions/7/infer", request).json
    assert [part["name"] for part in answer["outputs"]] == ["prediction"]


def test_moments_as_microseconds_and_with_an_offset(client: Any, row: dict[str, Any]) -> None:
    seen = set()
    for datatype, value in (
        ("BYTES", row["start"]),
        ("BYTES", "2026-03-01T18:05:00+01:00"),
        ("INT64", 1772384700000000),
    ):
        answer = client.post(INFER, changed(row, "start", datatype=datatype, data=[value])).json
        seen.add(answer["outputs"][0]["data"][0])
    assert len(seen) == 1


def test_nulls_are_missing_values_and_unknown_categories_are_known_as_such(
    client: Any, row: dict[str, Any]
) -> None:
    for name, value in (("fare", None), ("company", None), ("company", "never seen"), ("miles", None)):
        assert client.post(INFER, changed(row, name, data=[value])).status == 200


# --- the binary extension -------------------------------------------------------------------------


def binary(row: dict[str, Any], wanted: list[dict[str, Any]] | None = None) -> tuple[bytes, int]:
    """A request whose numbers and texts follow the JSON as raw bytes; its body, and the JSON's length."""
    text = row["company"].encode()
    raw = {
        "fare": struct.pack("<d", row["fare"]), "miles": struct.pack("<f", row["miles"]),
        "hour": struct.pack("<q", row["hour"]), "cash": struct.pack("<?", row["cash"]),
        "company": len(text).to_bytes(4, "little") + text,
    }  # fmt: skip
    inputs = []
    for part in inputs_of(row):
        if part["name"] in raw:
            del part["data"]
            part["parameters"] = {"binary_data_size": len(raw[part["name"]])}
        inputs.append(part)
    head: dict[str, Any] = {"inputs": inputs}
    if wanted is None:
        head["parameters"] = {"binary_data_output": True}
    else:
        head["outputs"] = wanted
    body = json.dumps(head).encode()
    tail = b"".join(raw[part["name"]] for part in inputs if part["name"] in raw)
    return body + tail, len(body)


def test_binary_in_and_out(client: Any, row: dict[str, Any]) -> None:
    plain = client.post(INFER, {"inputs": inputs_of(row)}).json["outputs"]
    body, length = binary(row)
    answer = client.post(INFER, body, inference_header_content_length=str(length))
    cut = int(answer.headers["inference-header-content-length"])
    head, tail = json.loads(answer.body[:cut]), answer.body[cut:]
    assert [part["parameters"]["binary_data_size"] for part in head["outputs"]] == [8, 8]
    assert struct.unpack("<d", tail[:8])[0] == plain[0]["data"][0]
    assert struct.unpack("<q", tail[8:])[0] == plain[1]["data"][0]
    body, length = binary(row, [{"name": "prediction"}])
    assert client.post(INFER, body, inference_header_content_length=str(length)).json["outputs"] == plain[1:]


@pytest.mark.parametrize(
    ("change", "length", "message"),
    [
        (lambda body: body[:-1], 0, "it has 9 bytes, 8 are there|says it has"),
        (lambda body: body + b"x", 0, "1 bytes are left"),
        (lambda body: body, 10**6, "Inference-Header-Content-Length"),
        (lambda body: body, "x", "no number"),
    ],
)
def test_binary_mistakes(client: Any, row: dict[str, Any], change: Any, length: Any, message: str) -> None:
    import re

    body, real = binary(row)
    answer = client.post(INFER, change(body), inference_header_content_length=str(length or real))
    assert answer.status == 400
    assert re.search(message, answer.json["error"])


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("fare", {"data": ["cheap"]}, "'fare' wants a number, and has 'cheap' in row 0"),
        ("fare", {"data": [True]}, "'fare' wants a number"),
        ("hour", {"data": [1.5]}, "'hour' wants a whole number"),
        ("hour", {"data": [2**63]}, "'hour' wants a whole number"),
        ("fare", {"data": [10**400]}, "too large for a float"),
        ("company", {"data": [7]}, "'company' wants a text"),
        ("start", {"data": ["yesterday"]}, "an ISO date and time"),
        ("fare", {"shape": [2]}, "has 1 values, its shape [2] says 2"),
        ("fare", {"shape": [-1]}, "has the shape [-1]"),
        ("fare", {"shape": []}, "has the shape []"),
        ("fare", {"shape": [1, 2], "data": [1, 2]}, "the model wants [-1]"),
        ("fare", {"shape": [2], "data": [1, 2]}, "has 2 rows, others have 1|has 1 rows, others have 2"),
        ("fare", {"datatype": "FP65"}, "has the datatype 'FP65'"),
        ("fare", {"data": [[1], 2]}, "nested unevenly"),
        ("fare", {"data": 1}, "is not a list"),
        ("fare", {"name": "miles"}, "is there twice"),
        ("fare", {"name": "fair"}, "no 'fare', which the model asks for"),
    ],
)
def test_wrong_tensors(
    client: Any, row: dict[str, Any], name: str, changes: dict[str, Any], message: str
) -> None:
    answer = client.post(INFER, changed(row, name, **changes))
    assert answer.status == 400, answer.body
    assert any(part in answer.json["error"] for part in message.split("|")), answer.json
    assert set(answer.json) == {"error", "code", "where", "hint", "request_id"}
    assert answer.json["code"] == "DATA"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "is empty"),
        (b"{", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "has no inputs"),
        (b'{"inputs": []}', "has no inputs"),
        (b'{"inputs": [{"name": "a", "shape": [1], "datatype": "FP64", "data": [NaN]}]}', "NaN is not JSON"),
        (b'{"inputs": [1]}', "an input is"),
        (b'{"id": 1, "inputs": [{"name": "a", "shape": [0], "datatype": "FP64", "data": []}]}', "id must be"),
        (b'{"inputs": [{"name": "fare", "shape": [1], "datatype": "FP64"}]}', "has no data"),
        (b"\xff\xfe", "is not JSON"),
    ],
)  # fmt: skip
def test_wrong_requests(client: Any, body: bytes, message: str) -> None:
    answer = client.post(INFER, body)
    assert answer.status == 400
    assert message in answer.json["error"]


def test_no_rows(client: Any, row: dict[str, Any]) -> None:
    inputs = [{**part, "shape": [0], "data": []} for part in inputs_of(row)]
    answer = client.post(INFER, {"inputs": inputs})
    assert (answer.status, answer.json["error"]) == (400, "the request has no rows")


def test_a_suggestion(client: Any, row: dict[str, Any]) -> None:
    assert client.post(INFER, changed(row, "fare", name="fair")).json["hint"] == "did you mean 'fair'?"
    request = {"inputs": inputs_of(row), "outputs": [{"name": "probabilty"}]}
    assert client.post(INFER, request).json["hint"] == "did you mean 'probability'?"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "/v2/models/other/infer", 404, "NOT_FOUND"),
        ("POST", "/v2/models/taxi/versions/8/infer", 404, "NOT_FOUND"),
        ("GET", "/v2/models/other", 404, "NOT_FOUND"),
        ("GET", "/v2/models/taxi/versions/8/ready", 404, "NOT_FOUND"),
        ("GET", "/nothing", 404, "NOT_FOUND"),
        ("GET", INFER, 405, "METHOD"),
    ],
)
def test_wrong_places(client: Any, method: str, path: str, status: int, code: str) -> None:
    answer = client.ask(method, path, {} if method == "POST" else None)
    assert (answer.status, answer.json["code"]) == (status, code)
    assert isinstance(answer.json["error"], str)


def test_request_ids(client: Any, row: dict[str, Any]) -> None:
    body = {"inputs": inputs_of(row)}
    assert client.post(INFER, body, x_request_id="mine-1").headers["x-request-id"] == "mine-1"
    made = client.post(INFER, body, x_request_id=urllib.parse.unquote("bad id")).headers["x-request-id"]
    assert len(made) == 32
    refused = client.post(INFER, {}, x_request_id="mine-2")
    assert (refused.headers["x-request-id"], refused.json["request_id"]) == ("mine-2", "mine-2")


def test_limits(made_models: list[Path], serve: Callable[..., Any], row: dict[str, Any]) -> None:
    from tidemill.serving.app import Limits

    _, client = serve(made_models[0], limits=Limits(body=4000, rows=3))
    many = client.post(INFER, {"inputs": inputs_of(*[row] * 4)})
    assert (many.status, many.json["error"]) == (400, "the request has 4 rows; 3 are the most")
    rows = client.post("/v1/models/taxi:predict", {"instances": [row] * 4})
    assert (rows.status, rows.json["error"]) == (400, "the request has 4 rows; 3 are the most")
    assert client.post(INFER, b"x" * 5000).status == 413
    _, client = serve(made_models[0], limits=Limits(waiting=0))
    busy = client.post(INFER, {"inputs": inputs_of(row)})
    assert (busy.status, busy.headers["retry-after"], busy.json["code"]) == (503, "1", "BUSY")


def test_figures_for_prometheus(client: Any, row: dict[str, Any]) -> None:
    client.post(INFER, {"inputs": inputs_of(row, row)})
    text = client.get("/metrics").body.decode()
    for line in ('tidemill_serving_requests_total{form="infer",status="200"}', "tidemill_serving_rows_total",
                 'tidemill_serving_model_info{digest=', "tidemill_serving_request_seconds_bucket",
                 "process_resident_memory_bytes"):  # fmt: skip
        assert line in text


def test_a_body_without_a_length(client: Any, row: dict[str, Any]) -> None:
    body = json.dumps({"inputs": inputs_of(row)}).encode()
    client.connection.request("POST", INFER, iter([body[:50], body[50:]]), encode_chunked=True,
                              headers={"transfer-encoding": "chunked"})  # fmt: skip
    answer = client.connection.getresponse()
    assert (answer.status, np.isfinite(json.loads(answer.read())["outputs"][0]["data"][0])) == (200, True)
