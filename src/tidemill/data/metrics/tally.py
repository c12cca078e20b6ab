"""Weighted sums over rows, for all slices and models at once: the mergeable state of most metrics.

A task (`binary`, `multiclass`, ...) turns each row into some numbers, the columns. What is kept per slice is
their sum, S = sum of w x, and their second moments, M = sum of w^2 x x'. A metric is a function f of S, and
M gives its variance by linearisation (the infinitesimal jackknife, or delta method): g' M g with g the
gradient of f at S. That needs no centring, since each f is homogeneous of degree 0: doubling all weights
changes no metric. For two models on the same rows the variance of the difference follows in the same way
from their common M, so it is paired. Bootstrap replicates keep S once per replicate, with other weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.data.metrics.resample import poisson_weights

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Formula = Callable[[Mapping[str, Any]], Any]
"""A metric of sums by column; arrays in, an array out, of real or complex numbers."""

MOST_DRAWN = 2**25
"""Cells of all replicates together, of one histogram: 256 MiB. Slices beyond that have none."""
_CHUNK = 20_000
_TINY_STEP = 1e-30


@dataclass(frozen=True, slots=True)
class Slicing:
    """Which slice each row belongs to: a number in [start, stop), or -1. Each slicing has its own numbers."""

    codes: Ints
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows with a label, as arrays of equal length."""

    labels: Floats
    predictions: tuple[Floats, ...]
    """One array per model: (rows,) or (rows, classes)."""
    slicings: tuple[Slicing, ...]
    """The first is that of all rows, slice 0."""
    weights: Floats | None = None
    rows: NDArray[np.uint64] | None = None
    """Numbers that tell rows apart, for the bootstrap; None counts from 0."""
    queries: NDArray[np.uint64] | None = None
    """Hashes of the query of each row, for rankings."""

    def __len__(self) -> int:
        return len(self.labels)


def whole(count: int) -> Slicing:
    """The slicing of all rows."""
    return Slicing(np.zeros(count, np.int64), 0, 1)


def groups(slicing: Slicing) -> Iterator[tuple[int, Any]]:
    """Each slice that has rows, with what selects them from an array."""
    if slicing.stop - slicing.start == 1 and (slicing.codes >= 0).all():
        if len(slicing.codes):
            yield slicing.start, slice(None)
        return
    # Small integers are sorted by radix: ten times faster.
    codes = slicing.codes.astype(np.int16) if slicing.stop < 2**15 else slicing.codes
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(slicing.start, slicing.stop + 1))
    for number in range(slicing.stop - slicing.start):
        if ends[number] < ends[number + 1]:
            yield slicing.start + number, order[ends[number] : ends[number + 1]]


class Sums:
    """S, M and the replicates' S of named columns, per slice."""

    def __init__(
        self, shared: Sequence[str], own: Sequence[str], models: int, slices: int, replicates: int
    ) -> None:
        self.shared, self.own = tuple(shared), tuple(own)
        width = len(self.shared) + len(self.own) * models
        self.rows = np.zeros(slices, np.int64)
        self.sums = np.zeros((slices, width))
        self.moments = np.zeros((slices, width, width))
        self.replicates = np.zeros((replicates, slices, width))

    def add(self, columns: Floats, batch: Batch, draws: NDArray[np.uint8] | None) -> None:
        """Take in rows: `columns` of shape (rows, width), `draws` of shape (rows, replicates)."""
        weights = batch.weights
        for slicing in batch.slicings:
            for number, rows in groups(slicing):
                x = columns[rows]
                weighted = x if weights is None else x * weights[rows][:, None]
                self.rows[number] += len(x)
                self.sums[number] += weighted.sum(axis=0)
                self.moments[number] += weighted.T @ weighted
                if draws is not None:
                    _replicate(self.replicates[:, number], draws[rows], weighted)

    def merge(self, other: Sums) -> None:
        """Take in the state of other rows."""
        self.rows += other.rows
        self.sums += other.sums
        self.moments += other.moments
        self.replicates += other.replicates

    def move(self, matrix: Floats) -> None:
        """Replace the columns x by `matrix` x."""
        self.sums = self.sums @ matrix.T
        self.moments = matrix @ self.moments @ matrix.T
        self.replicates = self.replicates @ matrix.T

    def at(self, model: int) -> list[int]:
        """Positions of the columns of a model, shared ones first."""
        first = len(self.shared) + len(self.own) * model
        return [*range(len(self.shared)), *range(first, first + len(self.own))]

    def named(self, table: Any, model: int) -> dict[str, Any]:
        """Columns of a model by name, from an array whose last axis is that of the columns."""
        positions = self.at(model)
        return {name: table[..., at] for name, at in zip((*self.shared, *self.own), positions, strict=True)}

    def values(self, formula: Formula, model: int) -> Floats:
        """A metric of each slice; NaN where it is not defined."""
        with np.errstate(all="ignore"):
            found: Floats = np.asarray(formula(self.named(self.sums, model)), np.float64)
        return found

    def replicated(self, formula: Formula, model: int) -> Floats:
        """A metric of each replicate and slice."""
        with np.errstate(all="ignore"):
            found: Floats = np.asarray(formula(self.named(self.replicates, model)), np.float64)
        return found

    def gradient(self, formula: Formula, model: int) -> Floats:
        """Derivatives of a metric by each column, per slice: (slices, width). By a complex step, hence exact
        to the last digits (Squire and Trapp 1998)."""
        found = np.zeros_like(self.sums)
        for at in self.at(model):
            shifted = self.sums.astype(np.complex128)
            shifted[:, at] += 1j * _TINY_STEP
            with np.errstate(all="ignore"):
                value = np.asarray(formula(self.named(shifted, model)))
            found[:, at] = np.imag(value) / _TINY_STEP if np.iscomplexobj(value) else 0.0
        return found

    def errors(self, gradient: Floats) -> Floats:
        """Standard error per slice of what has this gradient; NaN with less than two rows."""
        with np.errstate(all="ignore"):
            variance = np.einsum("si,sij,sj->s", gradient, self.moments, gradient)
            count = self.rows
            corrected: Floats = np.sqrt(np.maximum(variance, 0.0) * (count / (count - 1.0)))
        corrected[count < 2] = np.nan
        return corrected


def _replicate(out: Floats, draws: NDArray[np.uint8], weighted: Floats) -> None:
    for start in range(0, len(weighted), _CHUNK):
        part = slice(start, start + _CHUNK)
        out += draws[part].T.astype(np.float64) @ weighted[part]


class Cells:
    """Weights per slice and cell, such as those of a histogram; and those of the replicates."""

    def __init__(self, size: int, slices: int, replicates: int = 0) -> None:
        self.size = size
        self.counts = np.zeros((slices, size))
        drawn = min(slices, max(1, MOST_DRAWN // max(1, replicates * size)))
        self.replicates = np.zeros((replicates, drawn, size))

    def add(
        self, cells: Ints, batch: Batch, draws: NDArray[np.uint8] | None = None, only_all: bool = False
    ) -> None:
        """Take in rows, each with the number of its cell; -1 for none."""
        for slicing in batch.slicings[:1] if only_all else batch.slicings:
            count_cells(self.counts, cells, slicing, batch.weights)
            if draws is None or slicing.stop > self.replicates.shape[1]:
                continue
            for number in range(draws.shape[1]):
                drawn = draws[:, number].astype(np.float64)
                weights = drawn if batch.weights is None else drawn * batch.weights
                count_cells(self.replicates[number], cells, slicing, weights)

    def replicated(self, metric: Callable[[Floats], Floats]) -> Floats:
        """A metric of each replicate and slice; NaN for slices without replicates."""
        found = metric(self.replicates)
        missing = len(self.counts) - found.shape[1]
        return np.pad(found, ((0, 0), (0, missing)), constant_values=np.nan)

    def note(self) -> list[str]:
        """What a reader should know of slices without replicates."""
        drawn = self.replicates.shape[1]
        if not len(self.replicates) or drawn >= len(self.counts):
            return []
        return [f"the bootstrap of areas and counts covers the first {drawn} of {len(self.counts)} slices"]

    def merge(self, other: Cells) -> None:
        """Take in the state of other rows."""
        self.counts += other.counts
        self.replicates += other.replicates


def count_cells(out: Floats, cells: Ints, slicing: Slicing, weights: Floats | None) -> None:
    """Add the weights of rows to their slice and cell of `out`, shape (slices, cells)."""
    size = out.shape[1]
    index = (slicing.codes - slicing.start) * size + cells
    outside = (slicing.codes < 0) | (cells < 0)
    if outside.any():
        index = index[~outside]
        weights = None if weights is None else weights[~outside]
    many = slicing.stop - slicing.start
    found = np.bincount(index, weights, minlength=many * size).reshape(many, size)
    out[slicing.start : slicing.stop] += found


def draws_of(batch: Batch, replicates: int) -> NDArray[np.uint8] | None:
    """The bootstrap's weights for the rows of a batch; None without replicates."""
    if not replicates:
        return None
    rows = np.arange(len(batch), dtype=np.uint64) if batch.rows is None else batch.rows
    return poisson_weights(rows, replicates)
