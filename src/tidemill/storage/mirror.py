"""Remote pipeline roots: a folder on this machine stands in for what lies in an object store.

Executors read and write local files only. An artifact behind a remote URI has a place in the mirror, where
its bytes are made, and from where they are kept in the store before anybody is told of them; on another
machine they are fetched to the same place first. The manifest is written last and read first, so what
was not kept whole does not exist. The mirror is a cache: what nobody holds may be removed at any time.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tidemill.errors import StorageError
from tidemill.storage import eviction, holds, manifest
from tidemill.storage.external import file_system, open_remote
from tidemill.storage.manifest import Manifest
from tidemill.storage.uri import is_local, join, local_path

_CHUNK = 1 << 20


def place(uri: str) -> Path:
    """Where the files of a URI are, or will be, on this machine. StorageError for one like `s3://a/../b`."""
    if is_local(uri):
        return local_path(uri)
    scheme, _, rest = uri.partition("://")
    return Path(join(str(holds.folder()), scheme, *rest.strip("/").split("/")))


def fetched(uri: str, digest: str = "") -> Path:
    """The folder of an artifact, complete on this machine; it is fetched when it lies elsewhere only.

    StorageError when it is not there, or when its bytes are not those of `digest`.
    """
    found = place(uri)
    if is_local(uri):
        return found
    holds.hold(found)  # before anybody looks whether it is there
    here = manifest.read(found)
    if here is None or (digest and here.digest != digest) or manifest.damage(found):
        _fetch(uri, found, digest)
    eviction.used(found)
    return found


def making(uri: str) -> Path:
    """The folder of an attempt, whose artifacts are about to be made there; nobody removes it meanwhile."""
    found = place(uri)
    if not is_local(uri):
        holds.hold(found, made=True)
    return found


def hold(uri: str) -> None:
    """Let nobody remove what the mirror has of a URI, or will have, while it is of use to this process."""
    if not is_local(uri):
        holds.hold(place(uri))


def keep(uri: str) -> None:
    """Store what lies in the mirror: a sealed folder, its manifest last, or a file. A local URI is kept."""
    if is_local(uri):
        return
    here, there = place(uri), _file_system(uri)
    if here.is_file():
        _put(there, uri, [(here, uri)])
        return
    sealed = manifest.read(here)
    if sealed is None:
        raise StorageError(f"{here} was not sealed, so it is not kept", where=uri)
    _put(there, uri, [(here / f.path, _inside(uri, f.path)) for f in sealed.files])
    _put(there, uri, [(here / manifest.NAME, join(uri, manifest.NAME))])
    eviction.grew(sealed.size)


def listed(uri: str) -> Manifest | None:
    """What an artifact's folder holds; None when there is none, or its manifest cannot be read."""
    if is_local(uri):
        return manifest.read(local_path(uri))
    with suppress(StorageError):
        return _manifest(uri)
    return None


def folders(uri: str) -> list[str]:
    """Names of the folders in a remote one, sorted; none when there is no such folder."""
    try:
        found = _file_system(uri).ls(uri, detail=True)
    except FileNotFoundError:
        return []
    except Exception as error:
        raise _trouble("list", uri, error) from error
    return sorted(str(e["name"]).rstrip("/").rpartition("/")[2] for e in found if e["type"] == "directory")


def damage(uri: str, digest: object = "", *, deep: bool = False) -> str:
    """What is wrong with a remote artifact: gone, files missing or resized; with `deep`, changed bytes too.

    Empty when nothing is.
    """
    try:
        sealed = _manifest(uri)
        if sealed is None:
            return f"{uri} is gone"
        if digest and sealed.digest != digest:
            return f"{uri} has other bytes than when it was published"
        there = _file_system(uri)
        sizes = {_key(there, name): info.get("size") for name, info in there.find(uri, detail=True).items()}
    except StorageError:
        raise
    except Exception as error:
        raise _trouble("read", uri, error) from error
    for entry in sealed.files:
        size = sizes.get(_key(there, _inside(uri, entry.path)))
        if size is None:
            return f"{_inside(uri, entry.path)} is gone"
        if size != entry.size:
            return f"{_inside(uri, entry.path)} has {size} bytes instead of {entry.size}"
    return _changed(uri, sealed) if deep else ""


def remove(uri: str) -> None:
    """Remove a remote folder, and what the mirror has of it. Absent is fine."""
    try:
        _file_system(uri).rm(uri, recursive=True)
    except FileNotFoundError:
        pass
    except Exception as error:
        raise _trouble("remove", uri, error) from error
    shutil.rmtree(place(uri), ignore_errors=True)


def size_of(uri: str) -> int:
    """Bytes of all files of a remote folder; 0 when it does not exist."""
    try:
        return sum(int(i.get("size") or 0) for i in _file_system(uri).find(uri, detail=True).values())
    except Exception as error:
        raise _trouble("read", uri, error) from error


# --- one way and the other ------------------------------------------------------------------------


def _fetch(uri: str, found: Path, digest: str) -> None:
    """Elsewhere first, so that nobody ever sees half of it; whoever was faster has made the same."""
    sealed = _manifest(uri)
    if sealed is None:
        raise StorageError("the artifact is gone: it has no manifest", where=uri)
    if digest and sealed.digest != digest:
        raise StorageError("the artifact has other bytes than when it was published", where=uri)
    part = _fetching()
    try:
        _get(uri, part, sealed)
        with holds.locked(holds.folder()):
            # Others may have fetched it meanwhile, and read it already.
            if manifest.read(found) == sealed and not manifest.damage(found):
                return
            shutil.rmtree(found, ignore_errors=True)
            found.parent.mkdir(parents=True, exist_ok=True)
            part.rename(found)
        eviction.grew(sealed.size)
    except OSError as error:
        raise manifest.storage_error(error, found) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _get(uri: str, folder: Path, sealed: Manifest) -> None:
    there = _file_system(uri)
    targets = [folder / f.path for f in sealed.files]
    for target in {t.parent for t in targets} | {folder}:
        target.mkdir(parents=True, exist_ok=True)
    try:
        if targets:
            there.get([_inside(uri, f.path) for f in sealed.files], [str(t) for t in targets])
    except Exception as error:
        raise _trouble("fetch", uri, error) from error
    for entry, target in zip(sealed.files, targets, strict=True):
        if target.stat().st_size != entry.size or _sha256(target) != entry.sha256:
            raise StorageError(
                "the file has other bytes than when it was published", where=_inside(uri, entry.path)
            )
    if manifest.seal(folder) != sealed:
        raise StorageError("the artifact has other files than when it was published", where=uri)


def _changed(uri: str, sealed: Manifest) -> str:
    for entry in sealed.files:
        file = _inside(uri, entry.path)
        with open_remote(file) as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != entry.sha256:
                return f"{file} has other bytes than when it was published"
    return ""


def _put(there: Any, uri: str, pairs: Iterable[tuple[Path, str]]) -> None:
    found = list(pairs)
    if not found:
        return
    try:
        for parent in {target.rpartition("/")[0] for _, target in found}:
            there.makedirs(parent, exist_ok=True)  # object stores have no folders, and do nothing
        there.put([str(source) for source, _ in found], [target for _, target in found])
    except Exception as error:
        raise _trouble("write", uri, error) from error


def _manifest(uri: str) -> Manifest | None:
    try:
        text: bytes = _file_system(uri).cat_file(join(uri, manifest.NAME))
    except FileNotFoundError:
        return None
    except Exception as error:
        raise _trouble("read", uri, error) from error
    try:
        return manifest.parse(json.loads(text))
    except (ValueError, KeyError, TypeError):
        raise StorageError("the manifest of the artifact is damaged", where=uri) from None


# --- places ---------------------------------------------------------------------------------------


def _fetching() -> Path:
    """A path for what is fetched. It has no name yet that anybody would look for."""
    path = holds.folder() / holds.FETCHING / uuid.uuid4().hex
    holds.hold(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _inside(uri: str, path: str) -> str:
    return join(uri, *path.split("/"))


def _key(there: Any, uri: str) -> str:
    return str(there._strip_protocol(uri))


def _file_system(uri: str) -> Any:
    return file_system(uri.partition("://")[0])


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _trouble(what: str, uri: str, error: Exception) -> StorageError:
    """Whatever the library behind a scheme raises: each has errors of its own."""
    return StorageError(
        f"cannot {what} it: {type(error).__name__}: {error}",
        where=uri,
        hint="can this machine reach the storage, and does it know the credentials?",
    )
