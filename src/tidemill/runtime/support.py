"""tidemill's own files for environments that do not have it, and for no package index to be asked.

    ROOT/environments/tidemill-DIGEST/package/tidemill    the running tidemill, copied
    ROOT/environments/tidemill-DIGEST/dependencies/...    what its core needs, as it is installed here

Only `package` comes before what an environment has installed; the dependencies come last, so that a
node's own requirements always win over them.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from tidemill.runtime.making import Place, only_maker, read_mark, write_durably

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LEFT_OUT = {"__pycache__"}


@dataclass(frozen=True, slots=True)
class Support:
    """The folders to put first and last on the path of an interpreter."""

    folder: Path

    @property
    def package(self) -> Path:
        """Holds tidemill and nothing else."""
        return self.folder / "package"

    @property
    def dependencies(self) -> Path:
        """Holds what tidemill's core needs."""
        return self.folder / "dependencies"


def support(place: Place) -> Support:
    """The support folder of the running tidemill, made if it is not there."""
    name = f"tidemill-{_digest()}"
    made = Support(place.folder / name)
    mark = made.folder / "complete.json"
    if read_mark(mark) is not None:
        return made
    with only_maker(place, name):
        if read_mark(mark) is None:
            shutil.rmtree(made.folder, ignore_errors=True)
            for relative, source in _files():
                target = made.folder / relative
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
            made.dependencies.mkdir(parents=True, exist_ok=True)
            write_durably(mark, {"dependencies": list(_core())})
    return made


def requirements_of_extras(extras: list[str]) -> list[str]:
    """What the named extras of tidemill need, as its own metadata says; extras of extras included.

    LookupError names an extra that does not exist.
    """
    known = set(map(_canonical, known_extras()))
    found, pending, seen = [], [_canonical(e) for e in extras], set[str]()
    while pending:
        extra = pending.pop()
        if extra not in known:
            raise LookupError(extra)
        seen.add(extra)
        for text in _requires("tidemill"):
            needed, _, marker = text.partition(";")
            named = re.search(r"extra\s*==\s*['\"]([^'\"]+)['\"]", marker)
            if named is None or _canonical(named[1]) != extra:
                continue
            inner = re.fullmatch(r"\s*tidemill\s*\[([^\]]*)\]\s*", needed)
            if inner:
                pending += [e for e in map(_canonical, inner[1].split(",")) if e not in seen]
            else:
                found.append(needed.strip())
    return sorted(set(found))


def known_extras() -> list[str]:
    """Names of tidemill's extras."""
    return sorted(metadata.metadata("tidemill").get_all("Provides-Extra") or [])


@cache
def _digest() -> str:
    sha = hashlib.sha256()
    for relative, source in _files():
        if relative.startswith("package/"):
            sha.update(f"{relative}\0".encode())
            sha.update(source.read_bytes())
    sha.update("\n".join(_core()).encode())
    return sha.hexdigest()[:32]


@cache
def _files() -> tuple[tuple[str, Path], ...]:
    """(path inside the folder, file) of everything to copy, sorted."""
    home = Path(__file__).parents[1]
    found = [(f"package/tidemill/{p.relative_to(home).as_posix()}", p) for p in home.rglob("*")
             if p.is_file() and _LEFT_OUT.isdisjoint(p.parts)]  # fmt: skip
    for text in _core():
        distribution = metadata.distribution(text.partition("==")[0])
        for file in distribution.files or []:
            source = Path(str(distribution.locate_file(file)))
            if ".." not in file.parts and _LEFT_OUT.isdisjoint(file.parts) and source.is_file():
                found.append((f"dependencies/{file.as_posix()}", source))
    return tuple(sorted(found))


@cache
def _core() -> tuple[str, ...]:
    """`name==version` of every distribution that tidemill's core needs, directly or not, as installed."""
    found: dict[str, str] = {}
    pending = ["tidemill"]
    while pending:
        for text in _requires(pending.pop()):
            needed, _, marker = text.partition(";")
            match = _NAME.match(needed.strip())
            if match is None or "extra" in marker:
                continue
            try:
                version = metadata.version(match[0])
            except metadata.PackageNotFoundError:  # for another platform or an older Python
                continue
            name = _canonical(match[0])
            if name not in found:
                found[name] = version
                pending.append(name)
    return tuple(f"{name}=={found[name]}" for name in sorted(found))


def _requires(name: str) -> list[str]:
    """What a distribution says it needs; nothing when it is not installed but merely on the path."""
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
