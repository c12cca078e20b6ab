"""Preprocessing that training and serving share: trace a function once, fit it, run it anywhere.

    import tidemill.data.transform as tft

    def preprocessing_fn(inputs):
        return {
            "fare": tft.scale_to_z_score(tft.fill_null(inputs["fare"], 0.0)),
            "company": tft.compute_and_apply_vocabulary(inputs["company"], top_k=50, num_oov_buckets=1),
        }

This page lists what a preprocessing_fn may use, and `FittedGraph`, which runs the result. It loads
numpy and Arrow but not polars, so that a server stays small.
"""

from __future__ import annotations

from tidemill.data.transform.column import Column, Inputs, trace
from tidemill.data.transform.fitted import FittedGraph
from tidemill.data.transform.functions import (
    apply_buckets,
    bucketize,
    cast,
    clip,
    compute_and_apply_vocabulary,
    concat,
    day,
    fill_null,
    from_unix,
    hash_bucket,
    hour,
    is_null,
    log1p,
    lower,
    month,
    scale_to_0_1,
    scale_to_z_score,
    weekday,
    where,
)

__all__ = [
    "Column",
    "FittedGraph",
    "Inputs",
    "apply_buckets",
    "bucketize",
    "cast",
    "clip",
    "compute_and_apply_vocabulary",
    "concat",
    "day",
    "fill_null",
    "from_unix",
    "hash_bucket",
    "hour",
    "is_null",
    "log1p",
    "lower",
    "month",
    "scale_to_0_1",
    "scale_to_z_score",
    "trace",
    "weekday",
    "where",
]
