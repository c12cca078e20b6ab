"""What a worker does with one block, on every backend: read, add, and give the state back as bytes.

What went wrong travels as plain values too: backends wrap or lose exceptions, each in its own way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tidemill.data.engine.analyzer import AnyAnalyzer
from tidemill.data.engine.blocks import Block
from tidemill.data.engine.encoding import pack, unpack
from tidemill.data.parquet import open_parquet, read_row_group
from tidemill.errors import DataError, did_you_mean

Work = Callable[[Block], tuple[int, bytes]]
"""Gives the block's index, and its outcome as bytes."""


@dataclass(frozen=True)
class BlockWork:
    """The work of one analyzer. It is sent to workers, so the analyzer must be importable there."""

    analyzer: AnyAnalyzer

    def __call__(self, block: Block) -> tuple[int, bytes]:
        """The block's index and outcome; bad data is an outcome, a mistake in the analyzer is raised."""
        try:
            return block.index, pack({"state": self.analyzer.to_bytes(self._state(block))})
        except DataError as error:
            return block.index, pack({"error": error.message, "where": error.where, "hint": error.hint})

    def _state(self, block: Block) -> object:
        analyzer, state, rows = self.analyzer, self.analyzer.empty(), 0
        with open_parquet(block.path) as file:
            known = file.schema_arrow.names
            for column in analyzer.columns or ():
                if column not in known:
                    raise DataError(
                        f"there is no column {column!r}",
                        where=str(block.path),
                        hint=did_you_mean(column, known),
                    )
            for group in range(block.first, block.first + block.groups):
                table = read_row_group(file, group, analyzer.columns, str(block.path))
                rows += table.num_rows
                state = analyzer.add(
                    state, table if analyzer.columns is None else table.select(list(analyzer.columns))
                )
        if rows != block.rows:
            raise DataError(
                f"the footers say {block.rows} rows, but {rows} were read",
                where=f"{block.path} (row groups {block.first} to {block.first + block.groups - 1})",
                hint="the file changed while it was read, or is broken: deliver it again",
            )
        return state


def state_of(outcome: bytes) -> bytes:
    """The state in an outcome; its DataError when there is none."""
    found = unpack(outcome)
    if "error" in found:
        raise DataError(found["error"], where=found["where"], hint=found["hint"])
    state: bytes = found["state"]
    return state
