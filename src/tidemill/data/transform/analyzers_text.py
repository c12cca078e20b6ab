"""The state of a vocabulary; see `analyzers` for what all states promise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from tidemill.errors import DataError

LIMIT = 2_000_000
"""Distinct texts that are counted at most: of short ones about 200 MB."""
_WAITING = 200_000
"""Distinct texts of batches that are put together at once."""


class Vocabulary:
    """How often each text occurs, exactly, up to LIMIT distinct texts.

    Beyond it, with `top_k`, the state becomes a summary of Misra and Gries (1982): as much is taken off every
    count as the first text that finds no room has, and what falls to 0 is forgotten; `off_by` sums that up.
    A text that occurs more often than `off_by` is never lost. Without `top_k`, more texts are an error.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.top_k: int | None = params["top_k"]
        self.threshold: int = params["frequency_threshold"]
        self.frequency: bool = params.get("frequency", False)
        self.off_by = 0
        self._counts = pl.DataFrame(schema={"text": pl.String, "count": pl.Int64})
        self._waiting: list[pl.DataFrame] = []

    def add(self, columns: Sequence[pl.Series]) -> None:
        """Take in one more batch."""
        for column in columns:
            texts = column.drop_nulls()
            if isinstance(texts.dtype, pl.List):
                texts = texts.explode(empty_as_null=False)
            self._take(texts.rename("text").value_counts(name="count").cast({"count": pl.Int64}))

    def merge(self, other: Vocabulary) -> None:
        """Take in what another state saw after this one."""
        other._settle()
        self.off_by += other.off_by
        self._take(other._counts)

    def plain(self) -> list[Any]:
        """See `State`."""
        self._settle()
        ordered = self._counts.sort("text")
        texts: Any = ordered["text"].to_arrow().cast(pa.large_string())
        _, offsets, data = texts.buffers()
        return [
            self.off_by,
            np.frombuffer(offsets, np.int64)[: len(texts) + 1] if len(texts) else np.zeros(1, np.int64),
            data.to_pybytes() if data else b"",
            ordered["count"].to_numpy(),
        ]

    def restore(self, value: list[Any]) -> None:
        """See `State`."""
        self.off_by, offsets, data, counts = value
        buffers: Any = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
        texts: Any = pa.Array.from_buffers(pa.large_string(), len(counts), buffers)
        self._counts = pl.DataFrame(
            {"text": pl.Series(pl.from_arrow(texts), dtype=pl.String), "count": counts}
        )
        self._waiting = []

    def finish(self) -> dict[str, Any]:
        """`values`: the kept texts, most frequent first, equals in code point order.

        With `frequency` also `counts`; `off_by` where counts may be too small by that much.
        """
        self._settle()
        kept = self._counts.filter(pl.col("count") >= self.threshold)
        kept = kept.sort(["count", "text"], descending=[True, False]).head(self.top_k or len(kept))
        found: dict[str, Any] = {"values": kept["text"].to_list()}
        if self.frequency:
            found["counts"] = kept["count"].to_list()
        return {**found, "off_by": self.off_by} if self.off_by else found

    def _take(self, counted: pl.DataFrame) -> None:
        self._waiting.append(counted)
        if sum(len(frame) for frame in self._waiting) > _WAITING:
            self._settle()

    def _settle(self) -> None:
        if not self._waiting:
            return
        together = pl.concat([self._counts, *self._waiting])
        self._waiting = []
        counts = together.group_by("text").agg(pl.col("count").sum())
        if len(counts) > LIMIT:
            if self.top_k is None:
                raise DataError(
                    f"the vocabulary has more than {LIMIT:,} distinct terms",
                    hint="keep the most frequent ones with top_k=..., or use hash_bucket for such a column",
                )
            room = max(LIMIT // 2, min(self.top_k * 10, LIMIT))
            off = int(counts["count"].sort(descending=True)[room])
            counts = counts.with_columns(pl.col("count") - off).filter(pl.col("count") > 0)
            self.off_by += off
        self._counts = counts
