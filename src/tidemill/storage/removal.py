"""Removing folders that nothing refers to any more."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from tidemill.errors import StorageError


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder; 0 when it does not exist."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(root) / name).lstat().st_size
    return total


def remove(folder: Path, root: Path) -> None:
    """Remove `folder` and the empty folders above it, up to `root`. Absent is fine.

    StorageError when it does not lie below `root` (symbolic links followed), or cannot be removed.
    """
    real, top = folder.resolve(), root.resolve()
    if not real.is_relative_to(top) or real == top:
        raise StorageError(f"{folder} does not lie below {root}; it is not removed")
    try:
        shutil.rmtree(real)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise StorageError(f"cannot remove {folder}: {error.strerror or error}") from error
    for parent in real.parents:
        if parent == top:
            return
        try:
            parent.rmdir()
        except OSError:
            return
