"""Rows at rest: the files of one split, written and read one row group at a time.

Layout: `<artifact>/Split-<name>/part-00000.parquet`, zstd, row groups of `ROW_GROUP_ROWS` rows, so
that whoever reads never holds more than one group. Rows in memory are Arrow tables. This room knows
files and splits; it does not know where rows come from or what they mean.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from tidemill.data.split_names import select_splits as select_splits
from tidemill.errors import DataError, did_you_mean

ROW_GROUP_ROWS = 100_000
"""Rows of one row group, and of one batch in memory."""
_GROUP_CELLS = 20_000_000
"""Values of one row group at most: files of very many columns have smaller groups."""
_FINGERPRINTS = "tidemill.row_groups"


def split_folder(artifact: Path, split: str) -> Path:
    """Folder of the files of one split of an artifact."""
    return artifact / f"Split-{split}"


def open_parquet(
    source: Path | pa.NativeFile, name: str = "", *, dictionaries: Sequence[str] = ()
) -> pq.ParquetFile:
    """Open one file and read its footer. DataError, naming the file, when it is not whole Parquet.

    Columns named in `dictionaries` are read as Arrow dictionaries.
    """
    name = name or str(source)
    try:
        return pq.ParquetFile(
            source, pre_buffer=False, page_checksum_verification=True, read_dictionary=[*dictionaries]
        )
    except FileNotFoundError:
        raise DataError("the file does not exist", where=name) from None
    except (pa.ArrowInvalid, OSError) as error:
        raise broken(name, error) from error


def read_row_group(file: pq.ParquetFile, group: int, columns: Sequence[str] | None, name: str) -> pa.Table:
    """One row group as a table with plain columns. DataError, naming the file, when its pages are broken."""
    try:
        return file.read_row_group(group, columns=None if columns is None else list(columns))
    except (pa.ArrowInvalid, OSError) as error:
        raise broken(f"{name} (row group {group})", error) from error


def split_files(folder: Path) -> list[Path]:
    """The Parquet files of a split folder, sorted. DataError when there are none."""
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise DataError(
            "the split has no Parquet files" if folder.is_dir() else "the split's folder does not exist",
            where=str(folder),
        )
    return files


def count_rows(folder: Path) -> int:
    """Rows of a split, from the footers alone."""
    total = 0
    for path in split_files(folder):
        with open_parquet(path) as file:
            total += file.metadata.num_rows
    return total


def row_group_fingerprints(file: pq.ParquetFile) -> list[str]:
    """A text for each row group that is equal when its columns and bytes are; none in files of others.

    What was computed from a group can be kept under it: whichever file of whichever run has an equal group,
    it holds the same rows.
    """
    found = (file.metadata.metadata or {}).get(_FINGERPRINTS.encode(), b"").decode().split()
    return found if len(found) == file.num_row_groups else []


def read_schema(folder: Path) -> pa.Schema:
    """Columns of a split; every file of it has the same."""
    with open_parquet(split_files(folder)[0]) as file:
        return file.schema_arrow


def read_tables(folder: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The rows of a split in file order, one row group at a time; nothing when the split has no rows.

    `columns` limits what is read, and orders it. DataError for an unknown one.
    """
    for path in split_files(folder):
        with open_parquet(path) as file:
            known = file.schema_arrow.names
            for column in columns or ():
                if column not in known:
                    raise DataError(
                        f"there is no column {column!r}", where=str(path), hint=did_you_mean(column, known)
                    )
            for group in range(file.num_row_groups):
                table = read_row_group(file, group, columns, str(path))
                yield table if columns is None else table.select(list(columns))


class SplitWriter:
    """Writes one split: collects rows to full row groups, then writes. Use as a context manager.

    The same rows in the same order give the same groups, whatever batches they came in. A split
    without rows still gets a file, so that its columns are known. The footer holds a fingerprint of each
    group, see `row_group_fingerprints`.
    """

    def __init__(self, folder: Path, schema: pa.Schema, *, group_rows: int = ROW_GROUP_ROWS) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.num_rows = 0
        self._path = folder / "part-00000.parquet"
        self._group_rows = max(1, min(group_rows, _GROUP_CELLS // max(1, len(schema.names))))
        self._fingerprints: list[str] = []
        self._seen = 4  # the bytes `PAR1`
        self._schema = schema
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        self._sink = pa.OSFile(str(self._path), "wb")
        self._writer = pq.ParquetWriter(self._sink, schema, compression="zstd", write_page_checksum=True)

    def write(self, table: pa.Table) -> None:
        """Append rows; their columns must equal the schema's."""
        self._waiting.append(table)
        self._waiting_rows += table.num_rows
        self.num_rows += table.num_rows
        if self._waiting_rows >= self._group_rows:
            self._flush(whole_groups_only=True)

    def _flush(self, *, whole_groups_only: bool) -> None:
        rows = pa.concat_tables(self._waiting) if self._waiting else self._schema.empty_table()
        start = 0
        while rows.num_rows - start >= (self._group_rows if whole_groups_only else 1):
            group = rows.slice(start, self._group_rows)
            self._writer.write_table(group, row_group_size=self._group_rows)
            self._fingerprints.append(self._fingerprint())
            start += group.num_rows
        rest = rows.slice(start)
        self._waiting, self._waiting_rows = ([rest] if rest.num_rows else []), rest.num_rows

    def _fingerprint(self) -> str:
        """Of the group that was just written: a digest of its columns' names and types, and of its bytes."""
        self._sink.flush()
        end = self._sink.tell()
        digest = hashlib.blake2b(str(self._schema.remove_metadata()).encode(), digest_size=16)
        with self._path.open("rb") as written:
            written.seek(self._seen)
            while chunk := written.read(min(1 << 20, end - written.tell())):
                digest.update(chunk)
        self._seen = end
        return digest.hexdigest()

    def close(self) -> None:
        """Write what is left, and the footer."""
        self._flush(whole_groups_only=False)
        self._writer.add_key_value_metadata({_FINGERPRINTS: " ".join(self._fingerprints)})
        self._close()

    def _close(self) -> None:
        self._writer.close()
        self._sink.close()

    def __enter__(self) -> SplitWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._close()


def write_split(folder: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> int:
    """Write tables as one split; the number of rows written."""
    with SplitWriter(folder, schema) as writer:
        for table in tables:
            writer.write(table)
    return writer.num_rows


def broken(name: str, error: Exception) -> DataError:
    """The error for a file whose bytes are not Parquet, or not all of it."""
    why = " ".join(str(error).split())
    return DataError(
        f"not readable as Parquet: {why}",
        where=name,
        hint="the file is truncated or not Parquet: deliver it again, or set format='csv' if it is CSV",
    )
