"""The packages of a lock as wheels for the platform of an image, and as the files that installing gives.

pip finds and downloads them, whatever platform they are for; unpacking is done here, so that the files
are the same wherever it is done: no scripts with somebody's interpreter in them, nothing compiled, no times.
Formats: the binary distribution format 1.0 (PEP 427); platform tags (PEP 425, 600, 656).
"""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tidemill.errors import ImageError
from tidemill.images.layer import Entry, file_mode
from tidemill.images.lock import Lock, canonical_name
from tidemill.images.manifest import Platform

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64", "ppc64le": "ppc64le", "s390x": "s390x", "386": "i686"}
"""Processors as registries name them -> as wheels do."""
GLIBC = (2, 28)
"""The C library that a base is taken to have at least; Debian 10, and what most wheels are built for."""
_WHEEL = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)(-\d[^-]*)?-(?P<python>[^-]+)-(?P<abi>[^-]+)-"
                    r"(?P<platform>[^-]+)\.whl")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Target:
    """What packages must run on."""

    python: str
    """Minor version: `3.12`."""
    platform: Platform

    @property
    def machine(self) -> str:
        """The processor as wheels name it; ImageError for one that no wheels are made for."""
        if self.platform.system != "linux" or self.platform.machine not in _MACHINES:
            known = ", ".join(f"linux/{m}" for m in sorted(_MACHINES))
            raise ImageError(f"there are no wheels for {self.platform}", hint=f"known: {known}")
        return _MACHINES[self.platform.machine]

    def platforms(self) -> list[str]:
        """Tags of platforms that it can run, the newest first."""
        found = [f"manylinux_{GLIBC[0]}_{minor}_{self.machine}" for minor in range(GLIBC[1], 4, -1)]
        return [
            *found,
            *(f"manylinux{y}_{self.machine}" for y in (2014, 2010, 1)),
            f"linux_{self.machine}",
            "any",
        ]


def fetch(
    lock: Lock, target: Target, folder: Path, *, wheels: Path | None = None, index: bool = True
) -> list[Path]:
    """Put the wheels of a lock into a folder; their paths, sorted by name.

    `wheels` holds wheels that are taken where they fit; without `index` there are no others. ImageError when
    pip is missing or finds one not, and for a wheel that cannot run on the target.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if lock.lines:
        _download(lock, target, folder, wheels, index)
    found = sorted(folder.glob("*.whl"))
    for path in found:
        refuse_misfit(path.name, target)
    missing = lock.names - {canonical_name(p.name.partition("-")[0]) for p in found}
    needed = [
        line for line in lock.lines if ";" not in line and canonical_name(line.partition("==")[0]) in missing
    ]
    if needed:
        raise ImageError(
            f"no wheel was found for {', '.join(needed)}", hint="build it, and name it with --wheels"
        )
    return found


def _download(lock: Lock, target: Target, folder: Path, wheels: Path | None, index: bool) -> None:
    wanted = folder / "requirements.txt"
    wanted.write_text(lock.text(), encoding="utf-8")
    minor = target.python.replace(".", "")
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
             "--only-binary=:all:", "--implementation", "cp", "--python-version", target.python,
             "--dest", str(folder), "--requirement", str(wanted)]  # fmt: skip
    words += [word for abi in (f"cp{minor}", "abi3", "none") for word in ("--abi", abi)]
    words += [word for name in target.platforms() for word in ("--platform", name)]
    words += [] if index else ["--no-index"]
    words += ["--find-links", str(wheels)] if wheels else []
    done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    wanted.unlink()
    if done.returncode == 0:
        return
    if "No module named pip" in done.stderr:
        raise ImageError("wheels are fetched by pip, which is not in this environment",
                         hint=f"{Path(sys.executable).name} -m ensurepip, or uv pip install pip")  # fmt: skip
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")] or [done.stderr.strip()]
    raise ImageError(
        f"pip finds no wheels for Python {target.python} on {target.platform}: "
        f"{' '.join(line.removeprefix('ERROR: ') for line in lines)[:600]}",
        hint="is the index reached? What has no wheel there is built with pip wheel: --wheels DIR",
    )


def refuse_misfit(name: str, target: Target) -> None:
    """ImageError for a wheel that cannot run on the target, by the tags in its name."""
    match = _WHEEL.fullmatch(name)
    if match is None:
        raise ImageError(
            f"{name} is not named as wheels are", hint="a source package? Build its wheel: pip wheel"
        )
    minor = int(target.python.partition(".")[2])
    platforms = set(target.platforms())
    for python in match["python"].split("."):
        version = re.fullmatch(r"(py|cp)(\d)(\d*)", python)
        if version is None or version[2] != "3":
            continue
        exact = version[1] == "cp" and not {"abi3", "none"} & set(match["abi"].split("."))
        of = int(version[3] or 0)
        if (of == minor if exact else of <= minor) and platforms & set(match["platform"].split(".")):
            return
    raise ImageError(f"the wheel {name} does not run with Python {target.python} on {target.platform}",
                     hint="take the one for the image's platform, or choose another --platform")  # fmt: skip


# --- unpacking ------------------------------------------------------------------------------------


def unpacked(wheels: Iterable[tuple[str, bytes | Path]], below: str) -> list[Entry]:
    """The files that installing wheels (file name, content or place) puts into a folder of an image.

    Scripts, headers and data for other folders are left out, and `RECORD` does not list them. Of two wheels
    with a file in one place the later one's stays, as with pip.
    """
    found: dict[str, Entry] = {}
    for name, content in wheels:
        found.update((entry.path, entry) for entry in _files(name, content, below))
    return [found[path] for path in sorted(found)]


def _files(name: str, content: bytes | Path, below: str) -> Iterator[Entry]:
    archive = zipfile.ZipFile(io.BytesIO(content) if isinstance(content, bytes) else content)
    record: zipfile.ZipInfo | None = None
    for info in archive.infolist():
        path = _placed(info.filename)
        if path.endswith(".dist-info/RECORD"):
            record = info
        elif (
            path
            and not info.is_dir()
            and not path.endswith((".dist-info/RECORD.jws", ".dist-info/RECORD.p7s"))
        ):
            mode = file_mode(bool(info.external_attr >> 16 & 0o111))
            yield Entry(f"{below}/{path}", partial(archive.read, info), mode)
    if record is None:
        raise ImageError(f"{name} is no wheel: it has no RECORD")
    text = io.StringIO()
    rows = csv.reader(io.StringIO(archive.read(record).decode("utf-8")))
    placed = sorted([_placed(row[0]), *row[1:]] for row in rows if row and _placed(row[0]))
    csv.writer(text, lineterminator="\n").writerows(placed)
    yield Entry(f"{below}/{record.filename}", text.getvalue().encode)


def _placed(path: str) -> str:
    """Where a file of a wheel goes below the folder of packages; empty: nowhere."""
    if path.startswith("/") or ".." in path.split("/"):
        raise ImageError(f"a wheel has a file {path!r}, which would lie outside of its folder")
    first, _, rest = path.partition("/")
    if not first.endswith(".data"):
        return path
    kind, _, inner = rest.partition("/")
    return inner if kind in ("purelib", "platlib") else ""
