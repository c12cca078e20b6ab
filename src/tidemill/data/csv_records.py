"""CSV record by record, with line numbers: slow and exact, for headers and for errors.

`csv_source` reads with Arrow, which says that something is wrong but seldom where. Both agree on what a
record is (RFC 4180, blank lines left out).
"""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from tidemill.data.external import open_stream
from tidemill.data.source import BadRows
from tidemill.errors import DataError
from tidemill.types.source import SourceFile

csv.field_size_limit(1 << 30)
BROKEN_STREAM = (OSError, EOFError, zlib.error)
"""What reading a compressed file raises that was cut off or damaged."""


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written."""

    delimiter: str = ","
    column_names: tuple[str, ...] = ()
    """Given: the files have no header."""

    @property
    def header_records(self) -> int:
        """Records before the first row."""
        return 0 if self.column_names else 1


def header(file: SourceFile, dialect: Dialect) -> list[str]:
    """Column names of a file, checked."""
    if dialect.column_names:
        return _checked(list(dialect.column_names), "column_names")
    try:
        names = next((record for _, record in records(file, dialect, errors="replace")), [])
        if any("\ufffd" in name for name in names):  # rows are decoded ahead, and their faults come later
            next(records(file, dialect))
    except (UnicodeDecodeError, csv.Error, *BROKEN_STREAM) as error:
        raise unreadable(file, 0, error, dialect) from error
    if not names:
        raise DataError("the file is empty: it has no header", where=file.uri)
    return _checked(names, f"{file.uri}:1")


def _checked(names: list[str], where: str) -> list[str]:
    seen: set[str] = set()
    for at, name in enumerate(names):
        if not name.strip():
            raise DataError(f"column {at + 1} of the header has no name", where=where)
        if name in seen:
            raise DataError(f"the header names column {name!r} twice", where=where)
        seen.add(name)
    return names


def records(
    file: SourceFile, dialect: Dialect, *, strict: bool = False, errors: str = "strict"
) -> Iterator[tuple[int, list[str]]]:
    """Records that are not blank lines, with the line each starts on."""
    with io.TextIOWrapper(open_stream(file), encoding="utf-8-sig", errors=errors, newline="") as text:
        reader = csv.reader(text, strict=strict, delimiter=dialect.delimiter)
        line = 1
        for record in reader:
            if record:
                yield line, record
            line = reader.line_num + 1


def line_of_row(file: SourceFile, row: int, dialect: Dialect) -> int:
    """Line on which the data row with that index (0 is the first after the header) starts."""
    wanted = row + dialect.header_records
    return next((line for at, (line, _) in enumerate(records(file, dialect)) if at == wanted), 0)


def put_aside(
    file: SourceFile, columns: int, reasons: Mapping[int, str], bad: BadRows, dialect: Dialect
) -> None:
    """Add to `bad` the ragged rows of a file, and those others that `reasons` names: by their index among
    the rows that are not ragged."""
    index = -dialect.header_records
    line, record = 0, [""]
    for line, record in records(file, dialect, errors="replace"):
        if len(record) != columns:
            bad.add(file, line, _ragged(len(record), columns), _as_text(record, dialect))
            continue
        if index in reasons:
            bad.add(file, line, reasons[index], _as_text(record, dialect))
        index += 1
    if any("\n" in value for value in record):
        check_quotes_close(file, dialect)


def _as_text(record: Sequence[str], dialect: Dialect) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", delimiter=dialect.delimiter).writerow(record)
    return text.getvalue().removesuffix("\n")


def _ragged(found: int, columns: int) -> str:
    return f"the row has {found} values, the header has {columns} columns"


def unreadable(file: SourceFile, columns: int, error: Exception, dialect: Dialect) -> DataError:
    """What is wrong with a file that Arrow could not read, with its line where there is one.

    `columns`: that the rows must have; 0 when that is not known yet.
    """
    why = " ".join(str(error).split())
    try:
        for line, record in records(file, dialect) if columns else ():
            if len(record) != columns:
                return DataError(
                    _ragged(len(record), columns),
                    where=f"{file.uri}:{line}",
                    hint='mend the row; a value with a comma or line break must be in double quotes ("a, b")',
                )
    except UnicodeDecodeError:
        return _not_utf8(file)
    except csv.Error as cause:
        why = str(cause)
    except BROKEN_STREAM as cause:
        return cut_off(file, cause)
    if isinstance(error, UnicodeDecodeError):
        return _not_utf8(file)
    if isinstance(error, BROKEN_STREAM) and not isinstance(error, pa.ArrowException):
        return cut_off(file, error)
    if "straddling" in why:
        why = "a row is longer than a block of the file; is a double quote never closed?"
    return DataError(
        f"not readable as CSV: {why}", where=file.uri, hint="CSV must be UTF-8, with one header line"
    )


def cut_off(file: SourceFile, error: Exception) -> DataError:
    """The error for a compressed file that ends in the middle, or is damaged."""
    why = " ".join(str(error).split())
    return DataError(
        f"the compressed file is cut off or damaged: {why}",
        where=file.uri,
        hint="deliver it again; no row of it was used",
    )


def _not_utf8(file: SourceFile) -> DataError:
    with open_stream(file) as stream:
        for line, content in enumerate(io.BufferedReader(stream), 1):
            try:
                content.decode("utf-8-sig" if line == 1 else "utf-8")
            except UnicodeDecodeError as error:
                return DataError(
                    f"byte 0x{content[error.start]:02x} is not UTF-8: {error.reason}",
                    where=f"{file.uri}:{line}",
                    hint="CSV must be UTF-8; convert the file, for example with iconv",
                )
    return DataError("the file is not UTF-8", where=file.uri)


def check_quotes_close(file: SourceFile, dialect: Dialect) -> None:
    """DataError when the last value was opened by a double quote that never closes."""
    line = 0
    try:
        for line, _ in records(file, dialect, strict=True, errors="replace"):  # noqa: B007 - the last is wanted
            pass
    except csv.Error as error:
        raise DataError(
            f"a double quote is never closed: {error}", where=f"{file.uri}, after line {line}"
        ) from error
