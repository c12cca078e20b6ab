"""From one window of raw rows to a model, by the same functions that Transform and Trainer call."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import model as example
import numpy as np
import pyarrow as pa
import pytest
from factors import Recommender

from tidemill.components.trainer.executor import run as train
from tidemill.components.transform.executor import run as transform
from tidemill.data.dataset import Dataset
from tidemill.data.parquet import split_folder, write_split
from tidemill.types.standard import Examples, Model, ModelRun, TransformGraph

Row = tuple[str, str | None, str, str]
"""timestamp, user, item, event"""

YESTERDAY: list[Row] = [
    ("2026-03-04T09:00:00", "ann", "tea", "view"),
    ("2026-03-04T09:01:00", "ann", "tea", "purchase"),
    ("2026-03-04T10:00:00", "bob", "tea", "view"),
    ("2026-03-04T11:00:00", "cas", "oil", "click"),
]
YESTERDAY_EVENING: list[Row] = [("2026-03-04T21:00:00", "bob", "oil", "view")]
TODAY: list[Row] = [
    ("2026-03-05T09:00:00", "ann", "oil", "view"),
    ("2026-03-05T09:30:00", None, "oil", "view"),
]
TONIGHT: list[Row] = [
    ("2026-03-05T21:00:00", "ann", "pot", "purchase"),
    ("2026-03-05T22:00:00", "cas", "tea", "view"),
]


def day(folder: Path, before: list[Row], after: list[Row]) -> Examples:
    schema = pa.schema(
        {
            "timestamp": pa.timestamp("us"),
            "user_id": pa.string(),
            "item_id": pa.string(),
            "event": pa.string(),
        }
    )
    examples = Examples(path=folder)
    examples.splits = ["train", "eval"]
    for split, rows in (("train", before), ("eval", after)):
        values = [
            dict(zip(schema.names, (datetime.fromisoformat(row[0]), *row[1:]), strict=True)) for row in rows
        ]
        write_split(split_folder(folder, split), schema, [pa.Table.from_pylist(values, schema=schema)])
    return examples


def trained(tmp_path: Path, tonight: list[Row]) -> Recommender:
    places = {name: tmp_path / name for name in ("old", "new", "graph", "transformed", "model", "log")}
    for folder in places.values():
        folder.mkdir(parents=True)
    examples = [day(places["old"], YESTERDAY, YESTERDAY_EVENING), day(places["new"], TODAY, tonight)]
    graph, transformed = TransformGraph(path=places["graph"]), Examples(path=places["transformed"])
    transform(
        examples=examples,
        preprocessing_fn=example.preprocessing_fn,
        transform_graph=graph,
        transformed=transformed,
    )
    train(
        examples=[transformed],
        run_fn=example.run_fn,
        model=Model(path=places["model"]),
        model_run=ModelRun(path=places["log"]),
        transform_graph=graph,
        hyperparameters={"factors": 2},
    )
    return Recommender.load(places["model"])


def test_the_future_of_the_newest_day_does_not_reach_the_model(tmp_path: Path) -> None:
    model, other = trained(tmp_path / "a", TONIGHT), trained(tmp_path / "b", TONIGHT[1:] * 3)
    assert (model.users, model.items) == (other.users, other.items)
    assert "pot" not in model.items
    np.testing.assert_array_equal(model.item_factors, other.item_factors)
    np.testing.assert_array_equal(model.popularity, other.popularity)


def test_strength_age_and_the_evening_of_a_past_day_count(tmp_path: Path) -> None:
    model = trained(tmp_path, TONIGHT)
    popularity = dict(zip(model.items, model.popularity, strict=True))
    halved = [0.5 ** (hours / 48) for hours in (24, 24 - 1 / 60, 23, 22, 12)]
    assert popularity["tea"] == pytest.approx(halved[0] + 4 * halved[1] + halved[2])
    assert popularity["oil"] == pytest.approx(2 * halved[3] + halved[4] + 1)


def test_rows_without_a_user_teach_nothing(tmp_path: Path) -> None:
    assert sorted(trained(tmp_path, TONIGHT).users) == ["ann", "bob", "cas"]


def test_the_evaluator_gets_metrics_of_the_evening_of_the_day(tmp_path: Path) -> None:
    trained(tmp_path, TONIGHT)
    late = [
        *TONIGHT,
        ("2026-03-05T23:00:00", "ann", "oil", "view"),
        ("2026-03-05T23:00:00", None, "tea", "view"),
    ]
    today = Dataset.of([day(tmp_path / "today", TODAY, late)], ["train", "eval"])
    found = example.evaluate_fn(tmp_path / "model", today)
    # ann wants the unknown pot (oil she had this morning); cas wants tea, the best she has not had today.
    assert found["users"] == 2.0
    assert found["recall@10"] == 0.5
    assert found["popularity_ndcg@10"] == pytest.approx(0.5)
    assert all(np.isfinite(value) for value in found.values())
