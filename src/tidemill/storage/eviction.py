"""How large the mirror may be, and what goes when it is larger: what was not used for longest.

Once its task has ended, a mirror holds only what the storage has too, or what nobody refers to, so anything
that no process holds may go. A unit is a sealed folder or a log. Environments of nodes lie in mirrors too;
they cannot be fetched again, and stay.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tidemill.errors import StorageError
from tidemill.storage import holds, manifest
from tidemill.storage.removal import size_of
from tidemill.types.size import bytes_of

LIMIT = "TIDEMILL_MIRROR_LIMIT"
"""Environment variable that says how large the mirror may be: `200Gi`, `30%` of its disk, or `none`."""
_DEFAULT = "50%"
_LOW = 0.9
"""What it is brought down to, as a part of the limit: so that not every artifact makes somebody look."""
_TRASH, _TOTAL = ".removed", ".bytes"
_OWN = {holds.HOLDS, holds.LOCK, holds.FETCHING, _TRASH, _TOTAL}
_ENVIRONMENT = "pyvenv.cfg"


@dataclass(frozen=True, slots=True)
class Usage:
    """What a mirror holds now. Sizes in bytes."""

    folder: Path
    size: int
    units: int
    """Artifacts and logs."""
    held: int
    """Bytes of those that somebody uses."""
    limit: int | None


@dataclass(frozen=True, slots=True)
class _Unit:
    path: Path
    size: int
    used: float
    """When it was last used, in seconds since 1970."""


def limit() -> int | None:
    """Bytes that the mirror may have; None for any number. StorageError for a setting that is none."""
    text = os.environ.get(LIMIT, "") or _DEFAULT
    if text.strip().lower() == "none":
        return None
    try:
        if text.endswith("%"):
            share = float(text[:-1])
            if not 0 < share <= 100:
                raise ValueError
            there = next(p for p in (holds.folder(), *holds.folder().parents) if p.exists())
            return int(shutil.disk_usage(there).total * share / 100)
        return bytes_of(text)
    except ValueError:
        raise StorageError(
            f"{LIMIT} is {text!r}, which says no size",
            hint="write for example 200Gi, 30% (of its disk) or none",
        ) from None


def used(path: Path) -> None:
    """Note that a unit is of use now; a mirror that cannot be written is no reason to fail."""
    marked = path / manifest.NAME if path.is_dir() else path
    with contextlib.suppress(OSError):
        os.utime(marked)


def grew(size: int) -> None:
    """Note that the mirror has `size` bytes more, and make room when it has too many."""
    most = limit()
    if most is None or not size:
        return
    mirror = holds.folder()
    with holds.locked(mirror):
        total = _noted(mirror)
        total = sum(u.size for u in _units(mirror)) if total is None else total + size
        _note(mirror, total)
    if total > most:
        clear(int(most * _LOW))


def usage() -> Usage:
    """Look at the whole mirror. Nothing is changed."""
    mirror = holds.folder()
    if not mirror.is_dir():
        return Usage(mirror, 0, 0, 0, limit())
    with holds.locked(mirror):
        held, _ = holds.in_use(mirror)
        units = _units(mirror)
    size, taken = sum(u.size for u in units), sum(u.size for u in units if _is_held(u.path, held))
    return Usage(mirror, size, len(units), taken, limit())


def clear(most: int = 0) -> int:
    """Remove what is not held, unused for longest first, until `most` bytes are left; bytes removed."""
    mirror = holds.folder()
    if not mirror.is_dir():
        return 0
    with holds.locked(mirror):
        held, begun = holds.in_use(mirror)
        freed = _tidy(mirror, begun, held)
        units = sorted(_units(mirror), key=lambda unit: unit.used)
        total = sum(unit.size for unit in units)
        for unit in units:
            if total <= most:
                break
            if not _is_held(unit.path, held) and _put_away(mirror, unit.path, held):
                total -= unit.size
                freed += unit.size
        _note(mirror, total)
    # Deleting takes long, and nobody finds these any more: not with the lock held.
    shutil.rmtree(mirror / _TRASH, ignore_errors=True)
    return freed


def _tidy(mirror: Path, begun: dict[Path, list[Path]], held: set[Path]) -> int:
    """Remove what ended tasks began and never finished; it is in no storage and in no record."""
    left = [Path(e.path) for e in _entries(mirror / holds.FETCHING)]
    for folder in (f for folders in begun.values() for f in folders):
        made = [Path(e.path) for e in _entries(folder)]
        left += [path for path in made if not (path / manifest.NAME).is_file()]
    freed = 0
    for path in left:
        if not _is_held(path, held):
            freed += size_of(path) if path.is_dir() else path.stat().st_size
            _put_away(mirror, path, held)
    for file in begun:
        file.unlink(missing_ok=True)
    return freed


def _is_held(path: Path, held: set[Path]) -> bool:
    return path in held or any(parent in held for parent in path.parents)


def _put_away(mirror: Path, path: Path, held: set[Path]) -> bool:
    """Out of sight at once; empty folders above it go too, unless somebody is about to fill them."""
    trash = mirror / _TRASH
    try:
        trash.mkdir(exist_ok=True)
        path.rename(trash / uuid.uuid4().hex)
    except OSError:
        return False
    for parent in path.parents:
        if parent == mirror or any(one.is_relative_to(parent) for one in held):
            break
        try:
            parent.rmdir()
        except OSError:
            break
    return True


def _units(mirror: Path) -> list[_Unit]:
    return [unit for entry in _entries(mirror) if entry.name not in _OWN for unit in _below(entry)]


def _below(entry: os.DirEntry[str]) -> Iterator[_Unit]:
    """Units in a folder; anything else that lies there is nobody's, and stays."""
    path = Path(entry.path)
    if not entry.is_dir(follow_symlinks=False):
        if ".log" in entry.name and path.parent.parent.name == "logs":
            with contextlib.suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                yield _Unit(path, status.st_size, status.st_mtime)
        return
    mark = path / manifest.NAME
    if mark.is_file():
        sealed = manifest.read(path)
        with contextlib.suppress(OSError):
            yield _Unit(path, sealed.size if sealed else size_of(path), mark.stat().st_mtime)
        return
    if not (path / _ENVIRONMENT).exists():
        for inner in _entries(path):
            yield from _below(inner)


def _entries(path: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError:
        return []


def _noted(mirror: Path) -> int | None:
    try:
        return int((mirror / _TOTAL).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _note(mirror: Path, total: int) -> None:
    with contextlib.suppress(OSError):
        (mirror / _TOTAL).write_text(str(total), encoding="utf-8")
