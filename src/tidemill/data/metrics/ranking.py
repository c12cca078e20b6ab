"""Rankings: within each query, rows are ordered by score, and labels say how relevant they are (0: not).

Each metric is computed per query and averaged over queries, so that a query is what a row is elsewhere:
intervals and the bootstrap resample queries. Queries without a relevant row have no best order and are left
out. Equal scores are ordered by a hash of the row's number: neither their order in the data nor the label
can favour a model that cannot decide.

In a slice a query consists of those of its rows that lie in the slice. Rows of one query may lie anywhere in
the data, so numbers of all rows are kept; beyond a million rows they wait in files, cut by a hash of the
query.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidemill.data.evaluation import Task
from tidemill.data.hashing import hash_column
from tidemill.data.metrics.catalog import Asked
from tidemill.data.metrics.state import TaskState
from tidemill.data.metrics.tally import Batch, Floats, Formula, Slicing, draws_of

IN_MEMORY = 1_000_000
"""Rows kept in memory at most."""
_PARTS = 64


class RankingState(TaskState):
    """Collects rows; `close` turns them into sums over queries."""

    task: ClassVar[Task] = "ranking"

    def __init__(
        self, names: Sequence[str], models: int, slices: int, *, replicates: int = 0, confidence: float = 0.95
    ) -> None:
        super().__init__(names, models, slices, replicates=replicates, confidence=confidence)
        self.waiting: list[NDArray[Any]] = []
        self.held = 0
        self.folder: tempfile.TemporaryDirectory[str] | None = None
        self.unranked = 0
        """Queries without a relevant row."""
        self.bounds: list[tuple[int, int]] = []
        self.counted = np.zeros(slices, np.int64)

    def columns_kept(self) -> tuple[list[str], list[str]]:
        """See TaskState."""
        return ["weight"], [asked.name for asked in self.asked]

    def formula(self, asked: Asked) -> Formula | None:
        """See TaskState."""
        return lambda sums: sums[asked.name] / sums["weight"]

    def why(self, asked: Asked, model: int, at: int) -> str:
        """See TaskState."""
        del asked, model, at
        return "no query has a relevant row"

    def notes(self) -> list[str]:
        """See TaskState."""
        found = [f"{self.unranked} queries without a relevant row are left out"] if self.unranked else []
        return [*found, "a row's weight is not used: each query counts once"] if self.weighted else found

    def rows(self, at: int) -> int:
        """See TaskState: rows, not queries."""
        return int(self.counted[at])

    def add(self, batch: Batch) -> None:
        """Take in rows; `batch.queries` must be there."""
        assert batch.queries is not None
        self.weighted |= batch.weights is not None
        self.bounds = [(slicing.start, slicing.stop) for slicing in batch.slicings]
        kept = np.zeros(len(batch), self._record(len(batch.slicings)))
        kept["query"], kept["label"] = batch.queries, batch.labels
        rows = np.arange(len(batch), dtype=np.uint64) if batch.rows is None else batch.rows
        kept["tie"] = hash_column(pa.array(rows))
        for model, predictions in enumerate(batch.predictions):
            kept["score"][:, model] = predictions
        for at, slicing in enumerate(batch.slicings):
            kept["slice"][:, at] = slicing.codes
            self.counted += np.bincount(slicing.codes[slicing.codes >= 0], minlength=self.slices)
        self._keep(kept)

    def _keep(self, kept: NDArray[Any]) -> None:
        self.waiting.append(kept)
        self.held += len(kept)
        if self.held > IN_MEMORY:
            self._spill()

    def merge(self, other: Any) -> None:
        """Take in the rows of a state that is not closed."""
        self.bounds = self.bounds or other.bounds
        self.weighted |= other.weighted
        self.counted += other.counted
        for part in other.parts():
            self._keep(part)

    def close(self) -> None:
        """Compute the metrics of every query."""
        for part in self.parts():
            for at, (start, stop) in enumerate(self.bounds):
                inside = part[part["slice"][:, at] >= 0]
                if len(inside):
                    self._add_queries(inside, inside["slice"][:, at].astype(np.int64), start, stop)
        if self.folder is not None:
            self.folder.cleanup()
        self.folder, self.waiting = None, []

    def parts(self) -> list[NDArray[Any]] | Any:
        """All rows that were taken in, those of a query in one part."""
        if self.folder is None:
            return [np.concatenate(self.waiting)] if self.waiting else []
        self._spill()
        return self._read()

    def _read(self) -> Any:
        assert self.folder is not None
        for path in sorted(Path(self.folder.name).iterdir()):
            yield np.fromfile(path, self._record(len(self.bounds)))

    def _record(self, slicings: int) -> np.dtype[Any]:
        return np.dtype(
            [("query", "<u8"), ("tie", "<u8"), ("label", "<f8"), ("score", "<f8", (self.models,)),
             ("slice", "<i4", (slicings,))]
        )  # fmt: skip

    def _spill(self) -> None:
        """Move what waits in memory into files."""
        self.folder = self.folder or tempfile.TemporaryDirectory()
        for kept in self.waiting:
            part = (kept["query"] % np.uint64(_PARTS)).astype(np.int64)
            for number in np.unique(part).tolist():
                with (Path(self.folder.name) / f"part-{number:02}").open("ab") as file:
                    kept[part == number].tofile(file)
        self.waiting, self.held = [], 0

    def _add_queries(self, rows: NDArray[Any], codes: NDArray[np.int64], start: int, stop: int) -> None:
        """Add one line per slice and query to the sums."""
        order = np.lexsort((rows["query"], codes))
        rows, codes = rows[order], codes[order]
        first = np.flatnonzero(np.append(True, (np.diff(codes) != 0) | (np.diff(rows["query"]) != 0)))
        query = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(rows))))
        best = _gains(rows["label"], query, first, rows["tie"], rows["label"], self.asked)
        relevant = np.add.reduceat((rows["label"] > 0).astype(np.float64), first) > 0
        columns = [np.ones(len(first))[:, None]]
        for model in range(self.models):
            scores = rows["score"][:, model]
            bad = np.add.reduceat((~np.isfinite(scores)).astype(np.int64), first)
            if bad.any():
                np.add.at(self.spoilt[model], codes[first], bad)
                scores = np.where(np.isfinite(scores), scores, 0.0)
            columns.append(_gains(scores, query, first, rows["tie"], rows["label"], self.asked, best))
        self.unranked += int((~relevant).sum()) if start == 0 else 0
        table = np.concatenate(columns, axis=1)[relevant]
        names = rows["query"][first][relevant]
        one = Slicing(codes[first][relevant], start, stop)
        lines = Batch(table[:, 0], (), (one,), None, np.ascontiguousarray(names))
        self.sums.add(table, lines, draws_of(lines, self.drawn))


def _gains(
    scores: Floats, query: NDArray[np.int64], first: NDArray[np.int64], ties: NDArray[np.uint64],
    labels: Floats, asked: Sequence[Asked], best: Floats | None = None,
) -> Floats:  # fmt: skip
    """Each metric of each query, shape (queries, metrics), with rows ordered by `scores`.

    Rows of a query are adjacent from `first` on. Without `best`, ndcg is the dcg, to divide others by.
    """
    order = np.lexsort((ties, -scores, query))
    labels = labels[order]
    place = np.arange(len(labels)) - first[query]
    relevant = (labels > 0).astype(np.float64)
    so_far = np.cumsum(relevant)
    hits = so_far - (so_far[first] - relevant[first])[query]
    total = np.add.reduceat(relevant, first)
    found = np.zeros((len(first), len(asked)))
    for at, metric in enumerate(asked):
        k = np.inf if metric.at is None else metric.at
        inside = place < k
        match metric.base:
            case "ndcg":
                value = np.add.reduceat(np.where(inside, labels / np.log2(place + 2.0), 0.0), first)
            case "map":
                value = np.add.reduceat(np.where(inside, relevant * hits / (place + 1), 0.0), first)
                value = value / np.maximum(np.minimum(total, k), 1)
            case "mrr":
                value = np.maximum.reduceat(np.where(inside & (labels > 0), 1 / (place + 1.0), 0.0), first)
            case "hit_rate":
                value = np.maximum.reduceat(np.where(inside, relevant, 0.0), first)
            case "recall_at":
                value = np.add.reduceat(np.where(inside, relevant, 0.0), first) / np.maximum(total, 1)
            case _:
                size = np.minimum(np.diff(np.append(first, len(labels))), k)
                value = np.add.reduceat(np.where(inside, relevant, 0.0), first)
                value = value / (size if metric.at is None else k)
        if metric.base == "ndcg" and best is not None:
            value = np.divide(value, best[:, at], out=np.zeros_like(value), where=best[:, at] > 0)
        found[:, at] = value
    return found
