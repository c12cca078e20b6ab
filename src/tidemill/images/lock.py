"""Which packages go into an image, in exactly which versions.

Two sources: a lock file that somebody keeps, or what is installed here, of which the pipeline's code needs
a part. Either way each line is one package at one version, so that nothing is resolved when an image is made.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from tidemill.errors import ImageError, did_you_mean
from tidemill.types.json import digest

_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[([^\]]*)\])?\s*(.*)")
_PINNED = re.compile(r"===?\s*([A-Za-z0-9][A-Za-z0-9.!+_-]*)\s*(;[^#]*)?")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")
OWN = "tidemill"
"""Never a line of a lock: the image gets the very tidemill that made it."""


@dataclass(frozen=True, slots=True)
class Lock:
    """Packages as lines of a requirements file, sorted, each `name==version` with markers and hashes."""

    lines: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What people should know of how it came about."""

    @property
    def digest(self) -> str:
        """sha256 of the lines, in hex."""
        return digest(list(self.lines))

    @property
    def names(self) -> frozenset[str]:
        """Canonical names of its packages."""
        return frozenset(canonical_name(line.partition("==")[0].partition("[")[0]) for line in self.lines)

    def text(self) -> str:
        """The requirements file."""
        return "".join(f"{line}\n" for line in self.lines)


def canonical_name(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


# --- a file ---------------------------------------------------------------------------------------


def read_lock(path: Path) -> Lock:
    """The lock of a requirements file; what tidemill needs besides is added as installed here.

    ImageError lists the lines that are not one package at one version.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ImageError(f"--requirements {path} cannot be read: {error}", hint="name a lock file") from None
    lines: dict[str, str] = {}
    wrong = []
    for number, line in _logical_lines(text):
        found, why = _pinned(line)
        if why:
            wrong.append(f"line {number}: {why}")
        elif found and found[0] != OWN:
            lines[found[0]] = found[1]
    if wrong:
        raise ImageError(
            f"{path} is no lock file: {'; '.join(wrong[:10])}{'; ...' * (len(wrong) > 10)}",
            hint="lock it: uv pip compile requirements.in -o requirements.txt, or pip freeze",
        )
    own, _ = _closure([f"{OWN}"])
    added = {name: line for name, line in own.items() if name not in lines}
    if any("--hash=" in line for line in lines.values()) and added:
        raise ImageError(f"{path} has hashes, and lacks what tidemill needs: {', '.join(sorted(added))}",
                         hint="lock tidemill's requirements with yours")  # fmt: skip
    notes = [f"added to {path.name} for tidemill: {', '.join(added.values())}"] if added else []
    whole = {**added, **lines}
    return Lock(tuple(whole[name] for name in sorted(whole)), tuple(notes))


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments, with those joined that end in a backslash; the number is the first one's."""
    pending, start = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        start = start or number
        bare = re.sub(r"(^|\s)#.*$", "", line).rstrip()
        if bare.endswith("\\"):
            pending += bare[:-1] + " "
            continue
        if (pending + bare).strip():
            yield start, " ".join((pending + bare).split())
        pending, start = "", 0


def _pinned(line: str) -> tuple[tuple[str, str] | None, str]:
    """((canonical name, line), "") of a line that pins, (None, why not) of one that does not."""
    if line.startswith("-"):
        option = line.split()[0].partition("=")[0]
        if option in ("--only-binary", "--no-binary", "--prefer-binary"):
            return None, ""
        if option in ("-i", "--index-url", "--extra-index-url", "--find-links", "-f", "--trusted-host"):
            return None, f"{option} belongs to pip's own configuration, where it is in no image"
        return None, f"{option} is not possible; write all packages into one file"
    bare, *hashes = re.split(r"\s+--hash=", line)
    match = _NAME.fullmatch(bare)
    pinned = _PINNED.fullmatch(match[3]) if match else None
    if match is None or pinned is None:
        return None, f"{bare!r} is not NAME==VERSION"
    name = canonical_name(match[1])
    marker = f" {pinned[2].strip()}" if pinned[2] else ""
    return (name, f"{name}=={pinned[1]}{marker}" + "".join(f" --hash={h}" for h in sorted(hashes))), ""


# --- what is installed here -----------------------------------------------------------------------


def installed_lock(
    modules: Collection[str], *, extras: Iterable[str] = (), packages: Iterable[str] = ()
) -> Lock:
    """The lock of what `modules` (dotted names that the code imports), some extras of tidemill and some
    packages need, as they are installed here.

    ImageError for an extra that does not exist, and for what is asked for and not here, or from no index.
    """
    known = sorted(metadata.metadata(OWN).get_all("Provides-Extra") or [])
    for extra in extras:
        if canonical_name(extra) not in map(canonical_name, known):
            raise ImageError(f"tidemill has no extra {extra!r}", hint=did_you_mean(extra, known))
    names, strange = distributions_of(modules)
    wanted = [f"{OWN}[{','.join(sorted(extras))}]", *sorted(names), *packages]
    found, problems = _closure(wanted)
    for extra in extras:
        if missing := _missing_of(extra):
            raise ImageError(
                f"the extra {extra!r} is not installed here: {', '.join(missing)}",
                hint=f"install it, pip install '{OWN}[{extra}]', or give a lock with --requirements",
            )
    for package in packages:
        match = _NAME.fullmatch(package)
        if match is None or canonical_name(match[1]) not in found:
            raise ImageError(f"the package {package!r} is not installed here",
                             hint=did_you_mean(package, _installed()) or "install it")  # fmt: skip
    if problems:
        raise ImageError(
            f"not from a package index, so no version names it: {', '.join(sorted(problems))}",
            hint="give a lock with --requirements and the wheels with --wheels DIR",
        )
    notes = [f"imported and not installed here, so left out: {', '.join(strange)}"] if strange else []
    return Lock(tuple(found[name] for name in sorted(found)), tuple(notes))


def _missing_of(extra: str) -> list[str]:
    """What an extra of tidemill needs itself, on every platform, and is not installed."""
    needed = []
    for requirement in metadata.distribution(OWN).requires or []:
        text, _, marker = requirement.partition(";")
        if _EXTRA.fullmatch(marker.strip()) and _extra_of(requirement) == canonical_name(extra):
            match = _NAME.fullmatch(text.strip())
            needed += [canonical_name(match[1])] if match else []
    return sorted(set(needed) - {*_installed()})


def distributions_of(modules: Collection[str]) -> tuple[set[str], list[str]]:
    """Names of the distributions that give `modules`, and the top-level modules that none gives."""
    giving = _giving()
    names, strange = set[str](), set[str]()
    for module in sorted(modules):
        top = module.partition(".")[0]
        candidates = {canonical_name(n) for n in giving.get(top, ())} - {OWN}
        if not candidates and top != OWN:
            strange.add(top)
        names |= _holding(module, candidates) if len(candidates) > 1 else candidates
    return names, sorted(strange)


def _holding(module: str, candidates: set[str]) -> set[str]:
    """Those that hold a module below a namespace such as `google`, which many share; else all of them."""
    parts = module.split(".")
    for end in range(len(parts), 1, -1):
        inside = "/".join(parts[:end])
        if holding := {n for n in candidates if _holds(n, inside)}:
            return holding
    return candidates


def _holds(name: str, inside: str) -> bool:
    files = metadata.distribution(name).files or []
    return any(f.as_posix().startswith((f"{inside}/", f"{inside}.")) for f in files)


@cache
def _giving() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


def _installed() -> list[str]:
    return [canonical_name(d.name) for d in metadata.distributions() if d.name]


def _closure(wanted: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Canonical name -> `name==version` of all that `wanted` needs and is installed; names from no index.

    What is needed on other platforms only is not installed here, and so not in it. An editable project is not
    in it either: its code is the user's own.
    """
    found: dict[str, str] = {}
    strange: list[str] = []
    seen = set[tuple[str, str]]()
    pending = list(wanted)
    while pending:
        text = pending.pop()
        match = _NAME.fullmatch(text.partition(";")[0])
        assert match is not None, f"{text!r} came from metadata"
        name = canonical_name(match[1])
        try:
            here = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        origin = _origin(here)
        if name != OWN and not origin:
            found[name] = f"{name}=={here.version}"
        elif origin == "strange" and name != OWN:
            strange.append(name)
        for extra in ["", *map(canonical_name, (match[2] or "").split(","))]:
            if (name, extra) not in seen:
                seen.add((name, extra))
                pending += [r for r in here.requires or [] if _extra_of(r) == extra]
    return found, strange


def _extra_of(requirement: str) -> str:
    named = _EXTRA.search(requirement.partition(";")[2])
    return canonical_name(named[1]) if named else ""


def _origin(distribution: metadata.Distribution) -> str:
    """Empty for a package of an index, `editable`, or `strange`: a folder, a file, a repository."""
    text = distribution.read_text("direct_url.json")
    if not text:
        return ""
    found: Any = json.loads(text)
    return "editable" if found.get("dir_info", {}).get("editable") else "strange"
