"""Opening the external files that a pattern resolved to, local or behind a URI.

Knows nothing of formats. A file that changed since it was fingerprinted is refused: the cache key
and the lineage would speak of other bytes than those read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from tidemill.errors import DataError, StorageError
from tidemill.storage.external import open_remote
from tidemill.storage.uri import is_local
from tidemill.types.source import SourceFile


def open_stream(file: SourceFile) -> Any:
    """A readable binary stream, decompressed when the name ends with .gz, .bz2, .zst or the like."""
    check_unchanged(file)
    if not is_local(file.uri):
        return pa.PythonFile(open_remote(file.uri, decompress=True), mode="r")
    try:
        return pa.input_stream(file.uri)
    except OSError as error:
        raise StorageError(f"cannot read the file: {error}", where=file.uri) from error


def open_seekable(file: SourceFile) -> Any:
    """A random-access binary file."""
    check_unchanged(file)
    if not is_local(file.uri):
        return pa.PythonFile(open_remote(file.uri), mode="r")
    try:
        return pa.OSFile(file.uri, mode="rb")
    except OSError as error:
        raise StorageError(f"cannot read the file: {error}", where=file.uri) from error


def check_unchanged(file: SourceFile) -> None:
    """DataError for an empty file, or a local one that has another size than when it was resolved."""
    if not file.size:
        raise DataError(
            "the file is empty", where=file.uri, hint="deliver it again: it has no header, no rows"
        )
    if not is_local(file.uri):
        return
    try:
        size = Path(file.uri).stat().st_size
    except OSError as error:
        raise StorageError(f"cannot read the file: {error.strerror}", where=file.uri) from error
    if size != file.size:
        raise DataError(
            f"the file changed while it was used: {file.size} bytes when resolved, {size} now",
            where=file.uri,
            hint="run again once whoever writes it has finished",
        )
