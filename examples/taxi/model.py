"""Will the passenger tip more than a fifth of the fare? Features, training and prediction.

The model is a logistic regression, trained by scikit-learn and kept as plain numbers in JSON: nothing is
unpickled to load it, and predicting needs numpy alone. See docs/decisions/0005-model-format.md.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tidemill.data.transform as tft

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from tidemill.components.trainer.fn_args import FnArgs

LABEL = "tipped"
FILE = "weights.json"

SCALED = ["trip_miles", "fare", "trip_seconds"]
BUCKETS = ["pickup_latitude", "pickup_longitude", "dropoff_latitude", "dropoff_longitude"]
TEXTS = ["payment_type", "company"]
CODES = ["pickup_census_tract", "dropoff_census_tract", "pickup_community_area", "dropoff_community_area"]
SMALL = {"trip_start_hour": 24, "trip_start_day": 8, "trip_start_month": 13}
"""Columns that are small whole numbers already, and one more than their largest."""


def preprocessing_fn(inputs: tft.Inputs) -> dict[str, tft.Column]:
    """Raw columns to features: numbers scaled, everything else as the number of a category."""
    features: dict[str, tft.Column] = {}
    for name in SCALED:
        value = tft.fill_null(tft.cast(inputs[name], "float"), 0.0)
        features[name] = tft.scale_to_z_score(tft.log1p(tft.clip(value, lower=0.0)))
    for name in BUCKETS:
        features[name] = tft.fill_null(tft.bucketize(inputs[name], 10), 10)
    for name in TEXTS:
        known = tft.lower(tft.fill_null(inputs[name], "none"))
        features[name] = tft.compute_and_apply_vocabulary(known, top_k=50, num_oov_buckets=2)
    for name in CODES:
        code = tft.fill_null(tft.cast(inputs[name], "string"), "none")
        features[name] = tft.compute_and_apply_vocabulary(code, top_k=200, num_oov_buckets=10)
    for name, size in SMALL.items():
        features[name] = tft.clip(tft.fill_null(inputs[name], 0), 0, size - 1)
    tips, fare = tft.fill_null(inputs["tips"], 0.0), tft.fill_null(inputs["fare"], 0.0)
    features[LABEL] = tft.cast(tips > fare * 0.2, "int")
    return features


def run_fn(args: FnArgs) -> None:
    """Train on the transformed rows; write the weights."""
    import numpy as np
    from scipy.sparse import csr_matrix, hstack
    from sklearn.linear_model import LogisticRegression

    if args.transform_graph is None:
        raise ValueError("run_fn needs the transform graph: give it to Trainer")
    table = args.train.to_arrow()
    sizes = dict.fromkeys(BUCKETS, 11) | SMALL
    for name in TEXTS + CODES:
        oov = 2 if name in TEXTS else 10
        sizes[name] = len(args.transform_graph.vocabulary(name)) + oov
    rows = np.arange(table.num_rows)
    parts = [csr_matrix(np.column_stack([table.column(name).to_numpy() for name in SCALED]))]
    for name, size in sizes.items():
        codes = table.column(name).to_numpy()
        parts.append(csr_matrix((np.ones(len(rows)), (rows, codes)), shape=(len(rows), size)))
    regression = LogisticRegression(max_iter=int(args.hyperparameters.get("max_iter", 300)))
    regression.fit(hstack(parts).tocsr(), table.column(LABEL).to_numpy())

    weights = regression.coef_[0].tolist()
    model: dict[str, Any] = {"intercept": float(regression.intercept_[0]), "categories": {}}
    model["numbers"] = dict(zip(SCALED, weights[: len(SCALED)], strict=True))
    at = len(SCALED)
    for name, size in sizes.items():
        model["categories"][name] = weights[at : at + size]
        at += size
    (args.model_dir / FILE).write_text(json.dumps(model))
    args.save_code(  # so that a server which allows this file's code can ask the model as the Evaluator does
        predict_fn,
        outputs=["probability"],
        inputs=dict.fromkeys(SCALED, "float") | dict.fromkeys(sizes, "int"),
        framework="scikit-learn",
        task="binary",
        label=LABEL,
        details={"iterations": int(regression.n_iter_[0]), "weights": len(weights)},
    )


def predict_fn(model_dir: Path, rows: pa.Table) -> np.ndarray:
    """Probability of a good tip for each raw row; the tips themselves are not looked at."""
    import numpy as np

    from tidemill.models.manifest import load_graph

    graph = load_graph(model_dir)
    if graph is None:
        raise ValueError(f"{model_dir} has no transform graph")
    model = json.loads((model_dir / FILE).read_text())
    features = graph.transform(rows, [*model["numbers"], *model["categories"]])
    score = np.full(rows.num_rows, model["intercept"])
    for name, weight in model["numbers"].items():
        score += weight * features.column(name).to_numpy()
    for name, weights in model["categories"].items():
        score += np.array(weights)[features.column(name).to_numpy()]
    probability: np.ndarray = 1 / (1 + np.exp(-score))
    return probability
