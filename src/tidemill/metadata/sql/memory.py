"""Databases that live in memory: `memory://`, each one new, and gone when its store is closed.

SQLite's own in-memory databases belong to one connection, and threads need one each. So it is a file in a
folder of its own, on a memory file system where there is one. This file knows nothing of what is in it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from pathlib import Path

from tidemill.errors import StoreError

URL = "memory://"
_MEMORY = Path("/dev/shm")


class Folder:
    """The folder of one such database. It goes with `remove`, with this object, or with the process."""

    def __init__(self) -> None:
        path = tempfile.mkdtemp(prefix="tidemill-", dir=_MEMORY if _MEMORY.is_dir() else None)
        self.database = f"{path}/metadata.db"
        self.remove = weakref.finalize(self, _remove, path, os.getpid())


def check(url: str, *, read_only: bool) -> None:
    """StoreError for an address in memory that means nothing."""
    if url != URL:
        raise StoreError(f"{url} means nothing: a store in memory has no name", hint=f"write {URL}")
    if read_only:
        raise StoreError("a store in memory is always new: there is nothing to read", where=url)


def _remove(path: str, process: int) -> None:
    if process == os.getpid():  # a forked child must not take it away from its parent
        shutil.rmtree(path, ignore_errors=True)
