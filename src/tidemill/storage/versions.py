"""A folder of model versions, one of them current: every change is one rename.

    <destination>/versions/<version>/   the model's files and their manifest; never changed once there
    <destination>/current.json          which version is served, and the date of its data
    <destination>/history.jsonl         who made what current, when and why; one line each, only added to
    <destination>/.pending/             what is being made or removed; worthless after a crash
    <destination>/.lock                 held by the one pusher at work; the system frees it when that dies

The pointer is a small file, not a symbolic link: network file systems, Windows and object-store mounts
have no links, or links that cannot be replaced in one step; all of them can replace a file. This file
knows folders and manifests, not what a model is: Pusher writes here, servers and commands read.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tidemill.errors import StorageError, did_you_mean
from tidemill.storage.manifest import NAME, damage, read, seal, storage_error

POINTER, VERSIONS, HISTORY = "current.json", "versions", "history.jsonl"
_PENDING, _LOCK = ".pending", ".lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """What `current.json` says."""

    version: str
    as_of: str
    """ISO date of the data behind the current model; empty when it was pushed without one."""
    digest: str
    withdrawn: tuple[str, ...] = ()
    """Digests that somebody rolled back from: a push does not make them current again by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One line of the history."""

    time: str
    """ISO 8601, UTC."""
    action: str
    """`push` or `rollback`."""
    version: str
    before: str
    """The version that was current; empty for none."""
    by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """The outcome of one push."""

    version: str
    path: Path
    written: bool
    """False when a version with these bytes was there already."""
    current: bool
    """Whether this version is the current one now."""
    reason: str
    digest: str = ""


def current(destination: Path) -> Path | None:
    """Folder of the current version; None before the first push. StorageError for a broken pointer."""
    pointer = read_pointer(destination)
    return destination / VERSIONS / pointer.version if pointer else None


def read_pointer(destination: Path) -> Pointer | None:
    """What is current; None before the first push. StorageError when the file is damaged."""
    path = destination / POINTER
    try:
        value = json.loads(path.read_bytes())
        return Pointer(
            version=value["version"], as_of=value["as_of"], digest=value["digest"],
            withdrawn=tuple(value.get("withdrawn", ())),
        )  # fmt: skip
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"{path} is damaged: {error!r}", hint="restore it, or delete it and push again"
        ) from None


def push(
    source: Path, destination: Path, *, as_of: str = "", force: bool = False, keep: int | None = None
) -> Push:
    """Add the files of `source` as a version, and make it current unless the current one is newer.

    `as_of` is an ISO date or empty; an empty one is never too old. Bytes that were rolled back from stay
    what they are, a version, unless `force`. StorageError when the disk is full or
    the place cannot be written; what this call added is gone then.
    """
    try:
        for folder in (destination / VERSIONS, destination / _PENDING):
            folder.mkdir(parents=True, exist_ok=True)
        with _locked(destination / _LOCK):
            _clear(destination / _PENDING)
            try:
                done = _push(source, destination, as_of, force)
                if keep is not None:
                    _prune(destination, keep, done.version)
            finally:
                _clear(destination / _PENDING)
            return done
    except OSError as error:
        raise storage_error(error, destination) from error


def _push(source: Path, destination: Path, as_of: str, force: bool) -> Push:
    pointer = read_pointer(destination)
    copy = destination / _PENDING / "model"
    _copy(source, copy)
    digest = seal(copy).digest
    version = _version_of(destination, digest)
    written = version is None
    version = version or _appear(copy, destination, as_of)
    withdrawn = tuple(d for d in (pointer.withdrawn if pointer else ()) if not (force and d == digest))
    new = Pointer(version=version, as_of=as_of, digest=digest, withdrawn=withdrawn)
    try:
        return _point(destination, pointer, new, written, force)
    except OSError:
        if written and read_pointer(destination) == pointer:  # else it is served already
            _remove(destination, version)
        raise


def _copy(source: Path, target: Path) -> None:
    """Copy all files but the manifest; `shutil.copytree` would hide which error ended it."""
    target.mkdir()
    for path in sorted(source.iterdir()):
        if path.is_symlink():
            raise StorageError(f"{path} is a symbolic link", hint="write a real file into the model instead")
        if path.is_dir():
            _copy(path, target / path.name)
        elif path.name != NAME:
            shutil.copyfile(path, target / path.name)


def _point(destination: Path, old: Pointer | None, new: Pointer, written: bool, force: bool) -> Push:
    """Make `new` current, unless what is current has a newer date."""
    path = destination / VERSIONS / new.version
    what = f"version {new.version}" if written else f"these bytes are version {new.version} already: it"
    stays = old is not None and bool(new.as_of) and new.as_of < old.as_of and not force
    made = Push(
        version=new.version, path=path, written=written, current=True, digest=new.digest,
        reason=f"{what} is current",
    )  # fmt: skip
    if old is not None and (stays or new.digest in new.withdrawn):
        why = f"its data is of {old.as_of}, after {new.as_of}" if stays else "somebody rolled back from these"
        reason = f"{what} is kept, but {old.version} stays current: {why}"
        return replace(made, current=old.version == new.version, reason=reason)
    if old != new:
        _note(destination, action="push", version=new.version, before=old.version if old else "")
        _replace_pointer(destination, new)
    return made


def _version_of(destination: Path, digest: str) -> str | None:
    """The newest undamaged version with this content."""
    for name in reversed(versions(destination)):
        folder = destination / VERSIONS / name
        manifest = read(folder)
        if manifest is not None and manifest.digest == digest and not damage(folder):
            return name
    return None


def versions(destination: Path) -> list[str]:
    """Names of all versions, in the order they were pushed."""
    names = [path.name for path in (destination / VERSIONS).iterdir() if _number(path.name)]
    return sorted(names, key=_number)


def rollback(destination: Path, *, to: str = "", by: str = "", reason: str = "") -> Change:
    """Make an earlier version current: `to`, or the newest one before the current that was current once.

    The bytes rolled back from are withdrawn: pushing them again does not bring them back. Asking for the
    current version changes nothing. StorageError when there is no such version, or it is damaged.
    """
    try:
        if not (destination / VERSIONS).is_dir():
            raise StorageError(f"{destination} is not a folder that Pusher pushed to")
        (destination / _PENDING).mkdir(exist_ok=True)
        with _locked(destination / _LOCK):
            _clear(destination / _PENDING)
            return _roll_back(destination, to, by, reason)
    except OSError as error:
        raise storage_error(error, destination) from error


def _roll_back(destination: Path, to: str, by: str, reason: str) -> Change:
    known, old = versions(destination), read_pointer(destination)
    if old is None:
        raise StorageError(f"nothing is current in {destination}", hint="push a model first")
    target = to or _previous(destination, known, old)
    if target not in known:
        raise StorageError(
            f"there is no version {target!r} in {destination}", hint=did_you_mean(target, known)
        )
    folder = destination / VERSIONS / target
    manifest = read(folder)
    if manifest is None or (wrong := damage(folder, deep=True)):
        raise StorageError(
            f"version {target} is damaged: {wrong if manifest else 'it has no manifest'}",
            hint="name another one with --to",
        )
    if target == old.version:
        return Change(time="", action="rollback", version=target, before=target, by=by, reason=reason)
    withdrawn = sorted({*old.withdrawn, old.digest} - {manifest.digest})
    as_of = target.rpartition("-")[0]
    change = _note(destination, action="rollback", version=target, before=old.version, by=by, reason=reason)
    _replace_pointer(
        destination,
        Pointer(version=target, as_of=as_of, digest=manifest.digest, withdrawn=tuple(withdrawn)),
    )
    return change


def _previous(destination: Path, known: list[str], old: Pointer) -> str:
    """What was current last, before the current version, and is still there and not withdrawn."""
    for change in reversed(history(destination)):
        name = change.before
        if name in known and name != old.version:
            manifest = read(destination / VERSIONS / name)
            if manifest is not None and manifest.digest not in old.withdrawn:
                return name
    raise StorageError(
        f"no earlier version was current in {destination}", hint=f"name one with --to: {', '.join(known)}"
    )


def history(destination: Path) -> list[Change]:
    """Every change of what is current, oldest first; empty where none is on record.

    A line is written before its change: the last one may be of a change that a crash cut off.
    """
    changes = []
    try:
        lines = (destination / HISTORY).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    for line in lines:
        try:
            changes.append(Change(**json.loads(line)))
        except (ValueError, TypeError):
            continue  # a crash cut it off
    return changes


def _note(destination: Path, **what: str) -> Change:
    """Add a line to the history, durably."""
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    change = Change(time=now, **what)
    path = destination / HISTORY
    cut_off = path.exists() and path.read_bytes()[-1:] not in (b"", b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write(("\n" if cut_off else "") + json.dumps(asdict(change), ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return change


def _number(name: str) -> int:
    """The count in a version's name: 7 of `2026-03-01-7`; 0 for other folders."""
    last = name.rpartition("-")[2]
    return int(last) if last.isascii() and last.isdigit() else 0


def _appear(copy: Path, destination: Path, as_of: str) -> str:
    """Give the finished copy its name, in one step; a name that another host took is passed over."""
    number = max((_number(name) for name in versions(destination)), default=0) + 1
    while True:
        name = f"{as_of}-{number}" if as_of else str(number)
        try:
            copy.rename(destination / VERSIONS / name)
        except OSError:
            if not (destination / VERSIONS / name).exists():
                raise
            number += 1
        else:
            _sync(destination / VERSIONS)
            return name


def _replace_pointer(destination: Path, pointer: Pointer) -> None:
    value: dict[str, object] = {
        "version": pointer.version, "as_of": pointer.as_of, "digest": pointer.digest,
    }  # fmt: skip
    if pointer.withdrawn:
        value["withdrawn"] = list(pointer.withdrawn)
    new = destination / _PENDING / POINTER
    with new.open("w", encoding="utf-8") as file:
        file.write(json.dumps(value) + "\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(destination / POINTER)
    _sync(destination)


def _prune(destination: Path, keep: int, pushed: str) -> None:
    """Remove the oldest versions above `keep`; never the current one nor the one just pushed."""
    pointer = read_pointer(destination)
    safe = {pushed, pointer.version if pointer else pushed}
    others = [name for name in versions(destination) if name not in safe]
    for name in others[: max(0, len(others) + len(safe) - keep)]:
        _remove(destination, name)


def _remove(destination: Path, version: str) -> None:
    """Take a version away in one step, then delete its files."""
    gone = destination / _PENDING / f"removed-{version}"
    (destination / VERSIONS / version).rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def _clear(folder: Path) -> None:
    """Delete what we, or a pusher that died, left behind; nobody else is at work while we hold the lock."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
