"""The user's code as files of an image: whole packages, single modules, and what is named besides.

What the compiler reaches says which packages and modules these are. Of a package everything goes in, since
modules may be found at run time and data lie beside them; of a plain folder only the modules in use.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from tidemill.errors import ImageError, did_you_mean
from tidemill.images.secrecy import refuse_secrets

_LEFT_OUT = {"__pycache__", "node_modules"}
CODE_MOST = 64 * 2**20
"""Bytes of code; more than that is data that was taken along by mistake."""


@dataclass(frozen=True, slots=True, order=True)
class SourceFile:
    """One file; `path` is relative to the folder that modules are imported from."""

    path: str
    place: Path
    executable: bool = False

    def digest(self) -> str:
        """sha256 of its bytes, in hex."""
        return hashlib.sha256(self.place.read_bytes()).hexdigest()


def gather(
    modules: Mapping[str, Path], *, include: Iterable[str] = (), exclude: Iterable[str] = (), root: Path
) -> tuple[SourceFile, ...]:
    """The files behind `modules` (name -> source file), sorted by path.

    `include` names files and folders below `root`, the folder that modules are imported from; `exclude` holds
    patterns of paths or file names. ImageError for secrets, for two things in one place, for a link that
    leads out, for what does not exist, and for too much.
    """
    leave = tuple(exclude)
    found: dict[str, SourceFile] = {}
    used = set[str]()
    units = sorted({*(_unit(name, path) for name, path in modules.items()), *_included(include, root)})
    for relative, place in units:
        for file in _files(relative, place):
            matching = [p for p in leave if fnmatch(file.path, p) or fnmatch(file.place.name, p)
                        or any(fnmatch(part, p) for part in file.path.split("/"))]  # fmt: skip
            used.update(matching)
            if matching:
                continue
            other = found.setdefault(file.path, file)
            if other.place != file.place:
                raise ImageError(f"both {other.place} and {file.place} would be {file.path} in the image")
    for pattern in sorted(set(leave) - used):
        hint = did_you_mean(pattern, {f.place.name for f in found.values()})
        raise ImageError(f"--exclude {pattern!r} leaves nothing out", hint=hint)
    files = tuple(found[path] for path in sorted(found))
    _refuse_too_much(files)
    refuse_secrets({file.path: file.place for file in files})
    return files


def _unit(module: str, path: Path) -> tuple[str, Path]:
    """What a module belongs to: its outermost package, or itself; relative to where it is imported from."""
    parts = module.split(".")
    package = path.name == "__init__.py"
    root = path.parents[len(parts) if package else len(parts) - 1]
    for end in range(1, len(parts) + 1):
        folder = root.joinpath(*parts[:end])
        if (folder / "__init__.py").is_file():
            return "/".join(parts[:end]), folder
    return path.relative_to(root).as_posix(), path


def _included(names: Iterable[str], root: Path) -> Iterator[tuple[str, Path]]:
    for name in names:
        place = (root / name).resolve()
        if not place.exists():
            near = [p.name for p in root.iterdir()] if root.is_dir() else []
            raise ImageError(
                f"--include {name}: there is no such file in {root}", hint=did_you_mean(name, near)
            )
        if not place.is_relative_to(root.resolve()) or place == root.resolve():
            raise ImageError(f"--include {name} is not below {root}", hint="name files and folders below it")
        yield place.relative_to(root.resolve()).as_posix(), place


def _files(relative: str, place: Path) -> Iterator[SourceFile]:
    """The files of a unit. Other dot files than secrets are no part of anybody's package."""
    if place.is_file():
        yield SourceFile(relative, place, os.access(place, os.X_OK))
        return
    inside = place.resolve()
    for folder, names, files in os.walk(place, followlinks=True):
        here = Path(folder)
        if not here.resolve().is_relative_to(inside):
            raise ImageError(f"{here} is a link that leads out of {place}", hint="copy it, or --exclude it")
        names[:] = sorted(n for n in names if n not in _LEFT_OUT and not (n.startswith(".") and _dull(n)))
        for name in sorted(files):
            file = here / name
            if name.endswith((".pyc", ".pyo")) or _dull(name) or not file.is_file():
                continue
            if not file.resolve().is_relative_to(inside):
                raise ImageError(
                    f"{file} is a link that leads out of {place}", hint="copy it, or --exclude it"
                )
            path = f"{relative}/{file.relative_to(place).as_posix()}"
            yield SourceFile(path, file, os.access(file, os.X_OK))


def _dull(name: str) -> bool:
    """A dot file that is neither code nor a secret that somebody should hear of."""
    return name.startswith(".") and not name.startswith(
        (".env", ".netrc", ".aws", ".ssh", ".npmrc", ".pypirc")
    )


def _refuse_too_much(files: tuple[SourceFile, ...]) -> None:
    sizes = {file.path: file.place.stat().st_size for file in files}
    if sum(sizes.values()) <= CODE_MOST:
        return
    largest = sorted(sizes, key=lambda path: -sizes[path])[:5]
    shown = ", ".join(f"{path} ({sizes[path] / 2**20:.0f} MiB)" for path in largest)
    raise ImageError(
        f"the code has {sum(sizes.values()) / 2**20:.0f} MiB, and {CODE_MOST // 2**20} are the most: {shown}",
        hint="data belong beside the code, not in its packages; leave them out with --exclude",
    )
