"""A classifier of scikit-learn on data that scikit-learn brings along: no file to fetch, no training code.

tidemill run examples/breast_cancer/pipeline.py
"""

from __future__ import annotations

import tidemill.data.transform as tft
from tidemill import Examples, Output, component, latest_blessed, pipeline
from tidemill.components import Evaluator, SklearnTrainer, Transform

LABEL = "benign"


@component
def read_bundled(examples: Output[Examples]) -> None:
    """The 569 patients as Examples. Whatever writes `Split-NAME/*.parquet` is an ExampleGen."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from sklearn.datasets import load_breast_cancer

    bundled = load_breast_cancer()
    names = [str(name).replace(" ", "_") for name in bundled.feature_names]
    rows = pa.table(dict(zip(names, bundled.data.T, strict=True)) | {LABEL: bundled.target})
    third = [number for number in range(rows.num_rows) if number % 3 == 0]
    others = [number for number in range(rows.num_rows) if number % 3 != 0]
    for split, part in (("train", rows.take(others)), ("eval", rows.take(third))):
        folder = examples.path / f"Split-{split}"
        folder.mkdir()
        pq.write_table(part, folder / "part-00000.parquet")
    examples.splits, examples.num_rows = ["train", "eval"], rows.num_rows


def preprocessing_fn(inputs: tft.Inputs) -> dict[str, tft.Column]:
    """Every number scaled by what the training rows say; the label as it is."""
    scaled = {name: tft.scale_to_z_score(inputs[name]) for name in inputs if name != LABEL}
    return {**scaled, LABEL: inputs[LABEL]}


@pipeline
def breast_cancer(strength: float = 1.0) -> None:
    """`strength` is the inverse of the regularisation: scikit-learn's C."""
    examples = read_bundled().outputs.examples
    transform = Transform(examples=examples, preprocessing_fn=preprocessing_fn)
    trainer = SklearnTrainer(
        examples=transform.outputs.transformed,
        transform_graph=transform.outputs.transform_graph,
        label=LABEL,
        estimator="LogisticRegression",
        hyperparameters={"C": strength},
    )
    Evaluator(
        examples=examples,
        model=trainer.outputs.model,
        baseline_model=latest_blessed(trainer.outputs.model),
        label=LABEL,
        metrics=["auc", "recall", "log_loss"],
        slices=[{"feature_keys": ["mean_radius"], "bins": {"mean_radius": 3}}],
        thresholds={"auc": [{"lower": 0.97, "on": "bound"}], "recall": {"lower": 0.9}},
    )
