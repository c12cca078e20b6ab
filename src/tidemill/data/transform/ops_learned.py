"""Operations that use what an analysis learned from all rows; see `analyzers` for what that is.

A key or term that the analysis did not see has no statistics: by key, such a row is null.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tidemill.data.transform.op import FLOAT, TEXT, Op, Params
from tidemill.data.transform.text_hash import buckets_of
from tidemill.data.transform.values import Array, Lists, Values


def _scaled(x: Array, *, middle: float, spread: float) -> Array:
    """A column without spread becomes 0."""
    return (x - middle) / spread


def _with_scale(params: Params) -> Params:
    return {**params, "middle": params[params["subtract"]], "spread": params[params["divide"]] or 1.0}


def _scaled_by_key(x: Array, key: Array, *, places: Mapping[str, int], table: Array) -> Values:
    at = _places(key, places)
    rows = table[at]
    return Values((x - rows[:, 0]) / rows[:, 1], at >= 0)


def _with_scale_by_key(params: Params) -> Params:
    keys: list[str] = params["keys"]
    middle, spread = params[params["subtract"]], params[params["divide"]]
    table = np.array([[m, s or 1.0] for m, s in zip(middle, spread, strict=True)], dtype=np.float64)
    return {**params, "places": _index(keys), "table": table if keys else np.ones((1, 2))}


def _places(keys: Array, places: Mapping[str, int]) -> Array:
    """The place of each key, -1 for an unknown one."""
    return np.array([places.get(key, -1) for key in keys.tolist()], dtype=np.int64)


def _index(terms: list[str]) -> dict[str, int]:
    return {term: i for i, term in enumerate(terms)}


def _bucket(x: Array, *, edges: Array) -> Values:
    return Values(np.searchsorted(edges, x, side="right").astype(np.int64), ~np.isnan(x))


def _bucket_native(x: Any, *, edges: Array) -> Any:
    import polars as pl

    if not len(edges):
        return pl.when(x.is_not_nan()).then(pl.lit(0, dtype=pl.Int64))
    found = pl.lit(pl.Series(edges)).search_sorted(x, side="right").cast(pl.Int64)
    return pl.when(x.is_not_nan()).then(found)


def _bucket_by_key(x: Array, key: Array, *, places: Mapping[str, int], edges: list[Array]) -> Values:
    at = _places(key, places)
    found = np.zeros(len(x), dtype=np.int64)
    for place in np.unique(at[at >= 0]).tolist():
        rows = at == place
        found[rows] = np.searchsorted(edges[place], x[rows], side="right")
    return Values(found, (at >= 0) & ~np.isnan(x))


def _vocabulary(x: Array, *, index: Mapping[str, int], oov_buckets: int, default: int) -> Array:
    places = np.array([index.get(text, -1) for text in x.tolist()], dtype=np.int64)
    if len(places) == 1 and places[0] >= 0:
        return places
    unknown = places < 0
    if not oov_buckets:
        return np.where(unknown, default, places)
    places[unknown] = len(index) + buckets_of(x[unknown], oov_buckets)
    return places


def _projected(x: Lists, *, mean: Array, axes: Array) -> Values:
    """Each coordinate is a sum in the order of the input's columns, so that a row alone gives the same."""
    width = len(mean)
    fits = x.lengths == width
    matrix = np.zeros((len(x), width))
    matrix[fits] = x.flat[np.repeat(fits, x.lengths)].reshape(-1, width) - mean
    found = np.zeros((len(x), axes.shape[1]))
    for column in range(width):
        found += matrix[:, column : column + 1] * axes[column]
    return Values(Lists(found.ravel(), np.arange(len(x) + 1, dtype=np.int64) * axes.shape[1]), fits)


def _with_axes(params: Params) -> Params:
    axes = np.array(params["axes"], dtype=np.float64).reshape(len(params["mean"]), -1)
    return {**params, "mean": np.array(params["mean"]), "axes": axes}


def _with_edges(params: Params) -> Params:
    return {**params, "edges": np.array(params["boundaries"], dtype=np.float64)}


def _with_edges_by_key(params: Params) -> Params:
    edges = [np.array(found, dtype=np.float64) for found in params["boundaries"]]
    return {**params, "places": _index(params["keys"]), "edges": edges}


def _with_index(params: Params) -> Params:
    return {**params, "index": _index(params["values"])}


OPS: dict[str, Op] = {
    "scale": Op(
        (FLOAT,), "float", _scaled, params=("middle", "spread"), learns=True, lifts=True, prepare=_with_scale
    ),
    "scale_by_key": Op(
        (FLOAT, TEXT),
        "float",
        _scaled_by_key,
        params=("places", "table"),
        learns=True,
        prepare=_with_scale_by_key,
    ),
    # its boundaries are learned or given
    "apply_buckets": Op(
        (FLOAT,), "int", _bucket, _bucket_native, params=("edges",), prepare=_with_edges, lifts=True
    ),
    "apply_buckets_by_key": Op(
        (FLOAT, TEXT),
        "int",
        _bucket_by_key,
        params=("places", "edges"),
        learns=True,
        prepare=_with_edges_by_key,
    ),
    "apply_vocabulary": Op(
        (TEXT,),
        "int",
        _vocabulary,
        params=("index", "oov_buckets", "default"),
        learns=True,
        lifts=True,
        prepare=_with_index,
    ),
    "project": Op(
        (("list[float]",),),
        "list[float]",
        _projected,
        params=("mean", "axes"),
        learns=True,
        prepare=_with_axes,
    ),
}
