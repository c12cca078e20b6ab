"""What a worker does with one block, on every backend: read, add, and give the state back as bytes.

What went wrong travels as plain values too: backends wrap or lose exceptions, each in its own way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from tidemill.data.engine.analyzer import AnyAnalyzer
from tidemill.data.engine.blocks import Block
from tidemill.data.engine.encoding import pack, unpack
from tidemill.data.parquet import open_parquet, read_row_group
from tidemill.errors import DataError, did_you_mean

_LARGEST_DICTIONARY = 1 << 20

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
        with open_parquet(
            block.path, dictionaries=_dictionaries(block) if analyzer.dictionaries else ()
        ) as file:
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


def _dictionaries(block: Block) -> list[str]:
    """Columns of text that the file holds as dictionaries in all row groups of the block.

    Footers do not say so plainly. But a writer gives a dictionary up when it becomes larger than a megabyte
    at the latest, so a smaller column either is one, or is quickly made to one.
    """
    with open_parquet(block.path) as file:
        names = {
            f.name
            for f in file.schema_arrow
            if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)
        }
        footer = file.metadata
        for group in range(block.first, block.first + block.groups):
            chunks = footer.row_group(group)
            for at in range(chunks.num_columns):
                chunk = chunks.column(at)
                if not chunk.has_dictionary_page or chunk.total_uncompressed_size >= _LARGEST_DICTIONARY:
                    names.discard(chunk.path_in_schema)
    return sorted(names)


def state_of(outcome: bytes) -> bytes:
    """The state in an outcome; its DataError when there is none."""
    found = unpack(outcome)
    if "error" in found:
        raise DataError(found["error"], where=found["where"], hint=found["hint"])
    state: bytes = found["state"]
    return state
