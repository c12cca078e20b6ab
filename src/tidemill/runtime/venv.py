"""Virtual environments of nodes, made by uv.

    ROOT/environments/DIGEST/lock.json       what the requirements resolved to, once and for all
    ROOT/environments/DIGEST/venv/           the environment
    ROOT/environments/DIGEST/complete.json   written last: without it the environment is made anew

DIGEST is that of the wish (requirements as written, Python version), so a wish is resolved once per
pipeline root and stays what it was; delete the folder to have it resolved again.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import sysconfig
import time
from collections.abc import Mapping
from pathlib import Path

from tidemill.errors import ResolutionError, did_you_mean
from tidemill.ir.model import EnvironmentIR, ResourcesIR
from tidemill.metadata.model import PropertyValue
from tidemill.runtime.entry import VENV_BOOT
from tidemill.runtime.making import Place, only_maker, read_mark, run_tool, write_durably
from tidemill.runtime.order import Order
from tidemill.runtime.support import known_extras, requirements_of_extras, support
from tidemill.types.json import digest

_OWN = re.compile(r"tidemill\s*(?:\[([A-Za-z0-9_.,\s-]*)\])?", re.IGNORECASE)
_OTHER_ENVIRONMENT = (
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "UV_PROJECT_ENVIRONMENT",
)
"""Variables that would let another environment leak in."""
_REACH = "check the requirements, and that the package index can be reached from here"
_VERSION = "import platform; print(platform.python_version())"


def identify(wanted: EnvironmentIR, place: Place) -> VenvOfNode:
    """The environment with its exact versions, as an earlier run resolved them or as uv does now."""
    requirements = _requirements(wanted)
    name = digest(
        {
            "requirements": requirements,
            "python": wanted.python or _own_python(),
            "on": sysconfig.get_platform(),
        }
    )[:32]
    folder = place.folder / name
    lock = read_mark(folder / "lock.json")
    if lock is None:
        uv = find_uv()
        with only_maker(place, name) as held:
            lock = read_mark(folder / "lock.json")
            if lock is None:
                folder.mkdir(exist_ok=True)
                lock = _resolve(uv, wanted.python, requirements, place, held)
                write_durably(folder / "lock.json", lock)
    return VenvOfNode(folder, lock, place)


class VenvOfNode:
    """A virtual environment whose exact versions are known."""

    def __init__(self, folder: Path, lock: Mapping[str, object], place: Place) -> None:
        self.folder = folder
        self.place = place
        self.python = str(lock["python"])
        self.interpreter = str(lock["interpreter"])
        packages = lock["packages"]
        self.packages = [str(p) for p in packages] if isinstance(packages, list) else []
        self.seconds = 0.0

    @property
    def digest(self) -> str:
        """Covers the exact versions and Python's minor version: a patch of Python changes no result."""
        minor = ".".join(self.python.split(".")[:2])
        return digest({"python": minor, "packages": self.packages})[:32]

    def facts(self) -> dict[str, PropertyValue]:
        """Python version and packages; the seconds when it was made just now."""
        found: dict[str, PropertyValue] = {
            "tidemill.environment": self.digest,
            "tidemill.python": self.python,
            "tidemill.packages": "\n".join(self.packages),
        }
        if self.seconds:
            found["tidemill.environment_seconds"] = self.seconds
        return found

    def command(self, order: Order, resources: ResourcesIR, folder: str) -> list[str]:  # noqa: ARG002 - as containers
        """What starts an executor in it; made if it is not there."""
        mark = self.folder / "complete.json"
        if not self._is_whole(mark):
            started = time.perf_counter()
            uv = find_uv()
            with only_maker(self.place, self.folder.name) as held:
                if not self._is_whole(mark):
                    self._make(uv, mark, held)
            self.seconds = time.perf_counter() - started
        tidemill = support(self.place)
        # Isolated: nothing that the launcher's environment names gets in, nor the user's own packages.
        words = [str(_interpreter(self.folder / "venv")), "-I", "-u", "-c", VENV_BOOT]
        return [*words, str(tidemill.package), str(tidemill.dependencies)]

    def removal(self) -> list[str]:
        """Nothing: its processes are the supervisor's own."""
        return []

    def ended(self, *, well: bool) -> None:
        """Nothing is left of a process."""

    def _is_whole(self, mark: Path) -> bool:
        """Whether it was made to its end, and its interpreter was not taken away since."""
        return read_mark(mark) is not None and os.access(_interpreter(self.folder / "venv"), os.X_OK)

    def _make(self, uv: str, mark: Path, held: int) -> None:
        shown = ", ".join(self.packages) or "no packages"
        self.place.say(f"making environment {self.folder.name[:12]} with Python {self.python}: {shown}")
        started = time.perf_counter()
        mark.unlink(missing_ok=True)
        venv = self.folder / "venv"
        shutil.rmtree(venv, ignore_errors=True)
        purpose = f"making the environment {self.folder.name[:12]}"

        def tool(*words: str, given: str = "") -> None:
            run_tool([uv, *words], self.place, purpose=purpose, hint=_REACH, given=given,
                     env=_uv_environment(), keep=(held,))  # fmt: skip

        tool("venv", "--quiet", "--python", self.interpreter, str(venv))
        if self.packages:
            lock = self.folder / "requirements.txt"
            lock.write_text("".join(f"{p}\n" for p in self.packages), encoding="utf-8")
            tool(
                "pip", "install", "--quiet", "--no-deps", "--python", str(_interpreter(venv)), "-r", str(lock)
            )
        seconds = time.perf_counter() - started
        write_durably(mark, {"python": self.python, "packages": self.packages, "seconds": seconds})
        self.place.say(f"environment {self.folder.name[:12]} was made in {seconds:.1f} s")


def find_uv() -> str:
    """The uv program, on PATH or beside the running interpreter. ResolutionError when there is none."""
    beside = Path(sys.executable).parent / "uv"
    found = shutil.which("uv") or (str(beside) if os.access(beside, os.X_OK) else None)
    if found is None:
        raise ResolutionError(
            "the node has a virtual environment of its own, and uv, which makes it, is not installed",
            hint="install uv (pip install uv), on PATH or beside the interpreter that runs tidemill",
        )
    return found


def _requirements(wanted: EnvironmentIR) -> list[str]:
    """The requirements, with what tidemill's extras stand for in place of them."""
    found: set[str] = set()
    for text in wanted.requirements:
        own = _OWN.fullmatch(text.strip())
        if own is None:
            found.add(text.strip())
            continue
        try:
            found.update(requirements_of_extras([e for e in (own[1] or "").split(",") if e.strip()]))
        except LookupError as error:
            extra = str(error.args[0])
            raise ResolutionError(
                f"the requirement {text!r} names no extra of tidemill",
                hint=did_you_mean(extra, known_extras()),
            ) from None
    return sorted(found)


def _resolve(uv: str, python: str, requirements: list[str], place: Place, held: int) -> dict[str, object]:
    """Exact versions, by uv and the package index it is set up for."""
    purpose = f"resolving the requirements {', '.join(requirements) or '(none)'}"
    interpreter = sys.executable
    if python:
        hint = f"install Python {python}, or leave python= out to use {_own_python()}"
        words = [uv, "python", "find", "--no-project", python]
        found = run_tool(words, place, purpose=f"finding Python {python}", hint=hint, env=_uv_environment(),
                         keep=(held,))  # fmt: skip
        interpreter = found.strip().splitlines()[-1]
    asked = run_tool([interpreter, "-I", "-c", _VERSION], place, hint="is it a working Python?",
                     purpose=f"asking {interpreter} for its version")  # fmt: skip
    version = asked.strip()
    packages: list[str] = []
    if requirements:
        words = [
            uv,
            "pip",
            "compile",
            "--quiet",
            "--no-header",
            "--no-annotate",
            "--python",
            interpreter,
            "-",
        ]
        text = run_tool(words, place, purpose=purpose, hint=_REACH, given="\n".join(requirements) + "\n",
                        env=_uv_environment(), keep=(held,))  # fmt: skip
        packages = [line.strip() for line in text.splitlines() if line.strip() and line[0] not in "#-"]
    return {"python": version, "interpreter": interpreter, "packages": packages, "requirements": requirements}


def _uv_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _OTHER_ENVIRONMENT}


def _interpreter(venv: Path) -> Path:
    return venv / "bin" / "python"


def _own_python() -> str:
    return ".".join(platform.python_version_tuple()[:2])
