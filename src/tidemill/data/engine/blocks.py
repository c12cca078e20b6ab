"""The rows cut into blocks, in an order that depends on nothing but the files.

A block is up to `BLOCK_GROUPS` row groups of one file. It is what one worker does at once, row group after
row group into one state. Blocks are merged to a state per file, files to a state of all, both in order:
that shape is a promise, because sums of floats and sketches depend on it to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tidemill.data.dataset import Dataset
from tidemill.data.parquet import open_parquet, split_files

BLOCK_GROUPS = 4
"""Row groups of a block: about 400,000 rows, so that two workers share a million rows, and a merge, which
costs about as much as a tenth of a row group, is rare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Consecutive row groups of one file."""

    index: int
    """Its place among all blocks, counted from 0."""
    path: Path
    first: int
    """Its first row group."""
    groups: int
    """Number of row groups."""
    rows: int
    """Rows that the file's footer promises for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileBlocks:
    """All blocks of one file, in order; none when it has no rows."""

    path: Path
    rows: int
    blocks: tuple[Block, ...]


def plan(data: Dataset | Sequence[Path]) -> list[FileBlocks]:
    """The blocks of every file of a dataset, or of split folders, in the order of the data.

    Only footers are read. DataError for a folder without files and a file that is not Parquet.
    """
    folders = data.folders if isinstance(data, Dataset) else data
    planned: list[FileBlocks] = []
    index = 0
    for path in (path for folder in folders for path in split_files(folder)):
        with open_parquet(path) as file:
            footer = file.metadata
            sizes = [footer.row_group(group).num_rows for group in range(footer.num_row_groups)]
            promised = footer.num_rows
        blocks = []
        for first in range(0, len(sizes), BLOCK_GROUPS):
            held = sizes[first : first + BLOCK_GROUPS]
            blocks.append(Block(index=index, path=path, first=first, groups=len(held), rows=sum(held)))
            index += 1
        planned.append(FileBlocks(path=path, rows=promised, blocks=tuple(blocks)))
    return planned
