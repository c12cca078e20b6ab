"""The taxi example: its generator, and its functions through the executors that call them."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tidemill.components.evaluator import executor as evaluator
from tidemill.components.trainer import executor as trainer
from tidemill.components.transform import executor as transform
from tidemill.data.csv_source import open_csv
from tidemill.data.ingest import ingest
from tidemill.dsl.compile import compile_pipeline
from tidemill.errors import DataError
from tidemill.models import load_model
from tidemill.models.manifest import load_graph
from tidemill.types.source import SourceFile
from tidemill.types.standard import (
    Examples,
    Model,
    ModelBlessing,
    ModelEvaluation,
    ModelRun,
    TransformGraph,
)

TAXI = Path(__file__).parents[3] / "examples" / "taxi"


def module(name: str) -> ModuleType:
    """A file of the example, under a name that no other example uses."""
    spec = importlib.util.spec_from_file_location(f"taxi_{name}", TAXI / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


generate, model = module("generate"), module("model")


def examples_of(tmp_path: Path, **changes: Any) -> Examples:
    """A generated file as Examples with train and eval."""
    missing = changes.pop("missing_column", "")
    path = tmp_path / "trips.csv"
    generate.write(path, generate.trips(3000, 5, **changes), missing_column=missing)
    source = open_csv([SourceFile(uri=str(path), size=path.stat().st_size, digest="")], {}, [""])
    made = Examples(path=tmp_path / "examples")
    ingest(source, made.path, {"train": 2, "eval": 1})
    made.splits = ["train", "eval"]
    return made


def folders(tmp_path: Path, *names: str) -> list[Path]:
    for name in names:
        (tmp_path / name).mkdir()
    return [tmp_path / name for name in names]


def test_the_generator_is_deterministic_and_its_knobs_work() -> None:
    first, again = generate.trips(500, 1), generate.trips(500, 1)
    assert first == again
    assert set(first) == set(generate.COLUMNS)
    assert generate.trips(500, 2) != first
    skewed = generate.trips(500, 1, skew=5.0)
    assert np.mean(skewed["trip_miles"]) == pytest.approx(5 * np.mean(first["trip_miles"]), rel=0.05)
    assert "Mobile" in generate.trips(500, 1, new_category=True)["payment_type"]
    assert "Mobile" not in first["payment_type"]
    assert 0.2 < np.mean([value == "" for value in first["company"]]) < 0.5


def test_from_rows_to_a_blessed_model(tmp_path: Path) -> None:
    examples = examples_of(tmp_path)
    graph_dir, transformed_dir, model_dir, run_dir, evaluation_dir, blessing_dir = folders(
        tmp_path, "graph", "transformed", "model", "run", "evaluation", "blessing"
    )
    graph, transformed = TransformGraph(path=graph_dir), Examples(path=transformed_dir)
    transform.run(
        examples=[examples],
        preprocessing_fn=model.preprocessing_fn,
        transform_graph=graph,
        transformed=transformed,
    )
    made = Model(path=model_dir)
    trainer.run(
        examples=[transformed],
        run_fn=model.run_fn,
        transform_graph=graph,
        model=made,
        model_run=ModelRun(path=run_dir),
    )
    blessing = ModelBlessing(path=blessing_dir)
    evaluator.run(
        examples=examples,
        model=made,
        evaluation=ModelEvaluation(path=evaluation_dir),
        blessing=blessing,
        predict_fn=model.predict_fn,
        label=model.LABEL,
        metrics=["auc"],
        thresholds={"auc": {"lower": 0.85}},
    )
    assert blessing.blessed == 1, blessing.reason
    _predicts_single_rows(examples, model_dir)


def _predicts_single_rows(examples: Examples, model_dir: Path) -> None:
    """A server's way (rows, numpy) and the Evaluator's (tables, polars) give one answer, without tips."""
    from tidemill.data.dataset import Dataset

    table = Dataset.of([examples], ["eval"]).to_arrow().slice(0, 50).drop_columns(["tips"])
    expected = model.predict_fn(model_dir, table)
    kept = load_model(model_dir, allow_code=True)  # the same function, as the model carries it
    np.testing.assert_array_equal(kept.predict(table)["probability"], expected)
    assert "tips" not in kept.signature.input_names
    weights = json.loads((model_dir / model.FILE).read_text())
    graph = load_graph(model_dir)
    assert graph is not None
    names = [*weights["numbers"], *weights["categories"]]
    for row, probability in zip(table.to_pylist(), expected, strict=True):
        features = {name: values[0] for name, values in graph.transform_rows([row], names).items()}
        score = weights["intercept"] + sum(w * features[n] for n, w in weights["numbers"].items())
        score += sum(w[features[n]] for n, w in weights["categories"].items())
        assert 1 / (1 + np.exp(-score)) == pytest.approx(probability, rel=1e-9)


def test_a_missing_column_is_named_with_the_line_that_wants_it(tmp_path: Path) -> None:
    examples = examples_of(tmp_path, missing_column="company")
    graph_dir, transformed_dir = folders(tmp_path, "graph", "transformed")
    with pytest.raises(DataError, match="no column 'company'") as raised:
        transform.run(
            examples=[examples],
            preprocessing_fn=model.preprocessing_fn,
            transform_graph=TransformGraph(path=graph_dir),
            transformed=Examples(path=transformed_dir),
        )
    assert "examples/taxi/model.py:" in raised.value.where


@pytest.mark.parametrize("name", ["taxi_lightgbm", "taxi_sklearn"])
def test_the_pipelines_without_training_code_compile(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TAXI))
    monkeypatch.setitem(sys.modules, "model", model)
    compiled = compile_pipeline(getattr(module("full"), name))
    kinds = {node.id for node in compiled.nodes}
    assert {"Transform", "Tuner.best", "Trainer", "InfraValidator", "Pusher", "BulkInferrer"} <= kinds
