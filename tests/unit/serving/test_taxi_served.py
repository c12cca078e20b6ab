"""What the taxi example's README promises of serving: its pipeline compiles, and its request is answered."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa

from tidemill.components.bulk_inferrer import executor as bulk
from tidemill.components.trainer.ready import run_lightgbm
from tidemill.components.transform import executor as transform
from tidemill.data.parquet import read_tables, split_folder, write_split
from tidemill.storage.versions import push
from tidemill.types.standard import Examples, InferenceResult, Model, ModelRun, TransformGraph

TAXI = Path(__file__).parents[3] / "examples" / "taxi"


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"taxi_served_{name}", TAXI / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


def readme_request() -> str:
    """The body of the README's curl line."""
    (body,) = re.findall(
        r"^curl localhost:8501/v1/models/taxi:predict -d '(.*?)'$",
        (TAXI / "README.md").read_text(),
        re.MULTILINE | re.DOTALL,
    )
    return str(body)


def examples_of(folder: Path) -> Examples:
    columns = module("generate").trips(2000, 5)
    table = pa.table({name: [None if v == "" else v for v in values] for name, values in columns.items()})
    write_split(split_folder(folder, "train"), table.schema, [table.slice(0, 1500)])
    write_split(split_folder(folder, "eval"), table.schema, [table.slice(1500)])
    made = Examples(path=folder, uri=str(folder))
    made.splits = ["train", "eval"]
    return made


def trained(examples: Examples, folder: Path) -> Model:
    graph, transformed = TransformGraph(path=folder / "graph"), Examples(path=folder / "transformed")
    model, log = Model(path=folder / "model"), ModelRun(path=folder / "log")
    for artifact in (graph, transformed, model, log):
        artifact.path.mkdir()
    transform.run(
        examples=[examples],
        preprocessing_fn=module("model").preprocessing_fn,
        transform_graph=graph,
        transformed=transformed,
    )
    run_lightgbm(
        examples=[transformed], transform_graph=graph, label="tipped", model=model, model_run=log,
        num_boost_round=20, num_threads=1, early_stopping_rounds=0,
    )  # fmt: skip
    return model


def test_the_request_of_the_readme_is_answered(tmp_path: Path, serve: Callable[..., Any]) -> None:
    """And over HTTP raw rows get what BulkInferrer gives them, bit for bit."""
    examples = examples_of(tmp_path / "examples")
    model = trained(examples, tmp_path)
    push(model.path, tmp_path / "served")
    _, client = serve(tmp_path / "served")
    answer = client.post("/v1/models/taxi:predict", readme_request())
    assert answer.status == 200, answer.body
    assert 0 < answer.json["predictions"][0]["probability"] < 1

    result = InferenceResult(path=tmp_path / "result")
    bulk.run(examples=examples, model=model, inference_result=result, splits=["eval"], carry=())
    (table,) = read_tables(split_folder(result.path, "eval"))
    names = [part["name"] for part in client.get("/v2/models/taxi").json["inputs"]]
    (raw,) = read_tables(split_folder(examples.path, "eval"), names)
    expected = table.column("probability").to_numpy()
    for rows in (raw, raw.slice(0, 60)):  # as a table; as plain rows
        body = json.dumps({"instances": rows.to_pylist()})
        found = client.post("/v1/models/taxi:predict", body).json["predictions"]
        assert np.array_equal([f["probability"] for f in found], expected[: rows.num_rows])


def test_the_pipeline_compiles() -> None:
    from tidemill.cli.workspace import load_ir

    ir, _ = load_ir(f"{TAXI / 'full.py'}:taxi_lightgbm")
    assert {"InfraValidator", "Pusher", "BulkInferrer"} <= {node.id for node in ir.nodes}
