"""Removing folders that nothing refers to any more."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from tidemill.errors import StorageError
from tidemill.storage.uri import is_local, local_path


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder, or of a file; 0 when it does not exist."""
    total = folder.lstat().st_size if folder.is_file() else 0
    for root, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(root) / name).lstat().st_size
    return total


def place(uri: str) -> tuple[str, bool]:
    """One form for all URIs of a place, links followed, without a slash at its end; whether that is sure.

    It is not for a relative path, since nobody knows to what, nor for names in an object store that a file
    system would read in another way than the store.
    """
    if "\0" in uri:
        return "", False
    if is_local(uri):
        absolute = uri.startswith(("/", "file:///"))
        return os.path.realpath(local_path(uri)).rstrip("/"), absolute
    scheme, _, rest = uri.partition("://")
    parts = rest.rstrip("/").split("/")
    sure = not any(part in ("", ".", "..") for part in parts) and not set("?#*[]%\\") & set(rest)
    return f"{scheme.lower()}://{'/'.join(part for part in parts if part not in ('', '.'))}", sure


def remove(folder: Path, root: Path) -> None:
    """Remove `folder`, or a file, and the empty folders above it, up to `root`. Absent is fine.

    StorageError when it does not lie below `root` (symbolic links followed), or cannot be removed.
    """
    real, top = folder.resolve(), root.resolve()
    if not real.is_relative_to(top) or real == top:
        raise StorageError(f"{folder} does not lie below {root}; it is not removed")
    try:
        if real.is_file():
            real.unlink()
        else:
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
