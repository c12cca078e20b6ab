"""What every kind of source gives the ingest: tables with one schema, and the rows that are none.

A source knows files and formats; it does not know splits, nor where tables go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from tidemill.errors import DataError
from tidemill.types.source import SourceFile

QUARANTINE = "Quarantine"
"""Folder of an Examples artifact with the rows that could not be read; only there when there are any."""
_QUARANTINE_TYPES: dict[str, pa.DataType] = {
    "file": pa.string(), "line": pa.int64(), "reason": pa.string(), "row": pa.string()
}  # fmt: skip
QUARANTINE_SCHEMA = pa.schema(_QUARANTINE_TYPES)
_SHOWN = 3
_ROW_CHARACTERS = 100_000


class TableSource(Protocol):
    """Something that can be read from its beginning, as often as it takes."""

    @property
    def schema(self) -> pa.Schema:
        """Columns of the tables."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """What is read, for messages: URIs of files, or one text."""
        ...

    def tables(self, bad: BadRows, files: Sequence[SourceFile] | None = None) -> Iterator[pa.Table]:
        """All rows in a fixed order, or those of some of its files. A row that cannot be read goes to `bad`,
        or is a DataError that names its place. Reread when the rest does not fit the schema."""
        ...


class Reread(Exception):
    """A later part of the data needs a wider schema; start again with `source`."""

    def __init__(self, source: TableSource) -> None:
        super().__init__(source)
        self.source = source


class BadRows:
    """Rows that cannot be read, kept aside up to a limit; with a limit of 0 the first one is an error.

    A row counts once, however often its place is read.
    """

    def __init__(self, limit: int = 0, root: str = "") -> None:
        self.limit = limit
        self._root = root
        self._rows: dict[tuple[str, int], tuple[str, str]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def wanted(self) -> bool:
        """Whether bad rows are kept aside at all."""
        return self.limit > 0

    def add(self, file: SourceFile, line: int, reason: str, row: str) -> None:
        """Keep a row aside. DataError when there are more than the limit allows."""
        self._rows[file.uri, line] = (reason, row[:_ROW_CHARACTERS])
        if len(self._rows) > self.limit:
            raise self.too_many()

    def too_many(self, at_least: int = 0) -> DataError:
        """The error for more bad rows than allowed."""
        shown = "; ".join(
            f"{uri}:{line}: {reason}" for (uri, line), (reason, _) in sorted(self._rows.items())[:_SHOWN]
        )
        return DataError(
            f"more than max_bad_rows={self.limit} rows cannot be read"
            + (f": {at_least} in one file at least" if at_least else ""),
            where=shown,
            hint="mend the delivery, or raise max_bad_rows if that much loss is acceptable",
        )

    def clear(self) -> None:
        """Forget all: the data is read anew."""
        self._rows.clear()

    def write(self, artifact: Path) -> None:
        """Write the rows, by file and line, below an artifact; nothing when there are none.

        Files are named relative to the folder that all files of the source share, so that the same bytes in
        another place are the same artifact.
        """
        if not self._rows:
            return
        folder = artifact / QUARANTINE
        folder.mkdir(parents=True)
        rows = sorted(self._rows.items())
        columns = [
            [uri.removeprefix(self._root) for (uri, _), _ in rows],
            [line for (_, line), _ in rows],
            [reason.replace(self._root, "") if self._root else reason for _, (reason, _) in rows],
            [row for _, (_, row) in rows],
        ]
        table = pa.table(columns, schema=QUARANTINE_SCHEMA)
        pq.write_table(table, folder / "part-00000.parquet", compression="zstd", write_page_checksum=True)


def shared_folder(uris: Sequence[str]) -> str:
    """The longest folder, with its final slash, that all URIs lie below."""
    folder = uris[0].rpartition("/")[0] if uris else ""
    while folder and not all(uri.startswith(f"{folder}/") for uri in uris):
        folder = folder.rpartition("/")[0]
    return f"{folder}/" if folder else ""


def check_same_columns(first: Sequence[str], other: Sequence[str], first_uri: str, other_uri: str) -> None:
    """DataError when two files of one source do not have the same set of columns."""
    names = (set(first), set(other))
    missing = [name for name in first if name not in names[1]]
    added = [name for name in other if name not in names[0]]
    if missing or added:
        parts = [f"lacks {', '.join(map(repr, missing))}"] if missing else []
        parts += [f"adds {', '.join(map(repr, added))}"] if added else []
        raise DataError(
            f"the files have differing columns: this one {' and '.join(parts)}",
            where=other_uri,
            hint=f"make it the same as {first_uri}, or read the two with separate nodes",
        )
