"""Whole graphs, not single operations: random chains, fitted, then run by all three backends.

What one operation gives is what the next one takes; nulls, NaN, lists and learned values travel through. All
steps are exact on every backend: a logarithm that differs in its last digit may well end in another bucket.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest

import tidemill.data.transform as tft
from tidemill.data.transform.fit import fit, input_types
from tidemill.errors import DataError

TYPES = {
    "x": pa.float64(), "n": pa.int64(), "t": pa.string(), "l": pa.list_(pa.string()), "b": pa.bool_(),
}  # fmt: skip
FILL: dict[str, Any] = {"float": 0.5, "int": 3, "string": "q", "bool": True}
STEPS: list[Callable[[tft.Column, tft.Inputs], Any]] = [
    lambda a, c: tft.scale_to_z_score(a),
    lambda a, c: tft.scale_to_0_1(a),
    lambda a, c: tft.scale_to_z_score_per_key(a, c["t"]),
    lambda a, c: tft.bucketize(a, 3),
    lambda a, c: tft.compute_and_apply_vocabulary(a, top_k=2),
    lambda a, c: a - tft.mean(a),
    lambda a, c: tft.sqrt(a),
    lambda a, c: tft.round(a, 1),
    lambda a, c: tft.clip(a, 0, 2),
    lambda a, c: a / 2 + 1,
    lambda a, c: tft.where(a > 0, a, 1),
    lambda a, c: ~a | tft.is_null(c["x"]),
    lambda a, c: tft.fill_null(a, FILL.get(a.type, 0)),
    lambda a, c: tft.cast(a, "string"),
    lambda a, c: tft.cast(a, "int"),
    lambda a, c: tft.lower(a),
    lambda a, c: tft.split(a, ","),
    lambda a, c: tft.text_length(a),
    lambda a, c: tft.hash_bucket(a, 7),
    lambda a, c: tft.hour(tft.from_unix(a)),
    lambda a, c: tft.one_hot(a, 3),
    lambda a, c: tft.multi_hot(a, 3),
    lambda a, c: tft.stack(a, c["n"]),
    lambda a, c: tft.to_dense(a, 2),
    lambda a, c: tft.list_get(a, 0),
    lambda a, c: tft.list_sum(a),
    lambda a, c: tft.ngrams(a, (1, 2)),
]


def table_of(rng: random.Random) -> pa.Table:
    many = rng.choice([1, 2, 5, 30])
    values: dict[str, list[Any]] = {
        "x": [None, math.nan, 0.0, 1.5, -3.25, 1e9, rng.gauss(0, 1)],
        "n": [None, 0, 1, -7, 2**40, rng.randrange(100)],
        "t": [None, "", "a b", "B,c", "é", "12"],
        "l": [None, [], ["a"], ["a", "b", "a"]],
        "b": [None, True, False],
    }
    columns = {name: [rng.choice(items) for _ in range(many)] for name, items in values.items()}
    return pa.table({name: pa.array(items, TYPES[name]) for name, items in columns.items()})


def chain(rng: random.Random) -> Callable[[tft.Inputs], dict[str, tft.Column]]:
    def preprocessing(c: tft.Inputs) -> dict[str, tft.Column]:
        pool = [c[name] for name in TYPES]
        while len(pool) < 20:
            try:
                pool.append(rng.choice(STEPS)(rng.choice(pool), c))
            except DataError:
                continue  # a step that does not fit the type; its message is tested elsewhere
        return {f"o{i}": column for i, column in enumerate(pool)}

    return preprocessing


@pytest.mark.parametrize("seed", range(30))
def test_chains_agree(seed: int) -> None:
    rng = random.Random(seed)
    table = table_of(rng)
    traced = tft.trace(chain(rng), input_types([table.schema]))
    graph = tft.FittedGraph(fit(traced, lambda columns: [table.select(list(columns))]))
    rows = table.to_pylist()
    batch, together = graph.transform(table).to_pydict(), graph.transform_rows(rows)
    assert repr(batch) == repr(together)
    single = [graph.transform_rows([row]) for row in rows]
    assert repr(together) == repr({name: [row[name][0] for row in single] for name in together})

    exported = graph.to_onnx(
        [n for n, kind in graph.output_types.items() if "list" not in kind], partial=True
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(exported.to_bytes(), options, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_outputs()]
    found = dict(zip(names, session.run(None, exported.feeds(rows)), strict=True))
    for name in exported.outputs:
        valid = found.get(f"{name}.valid", np.ones(len(rows), bool))
        for got, ok, want in zip(found[name].tolist(), valid, together[name], strict=True):
            if isinstance(want, float):
                assert ok
                assert got == pytest.approx(want, rel=1e-12, abs=0, nan_ok=True)
            else:
                assert (got if ok else None) == want
