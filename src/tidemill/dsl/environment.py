"""Environments of a node: what its executor finds installed, and the checks of what was written.

They say what is wanted. How an environment is made, and that it takes uv or a container engine, is
known to the runtime alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_PYTHON = re.compile(r"3\.(\d+)(\.\d+)?")
_OLDEST = 11
_TIDEMILL = re.compile(r"tidemill\s*(\[[A-Za-z0-9_.,\s-]*\])?\s*(?P<rest>.*)", re.IGNORECASE)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualEnv:
    """A virtual environment of the node's own, made once by uv and kept under the pipeline root.

    tidemill itself is always in it. `tidemill[data]` among the requirements stands for what that extra
    needs.
    """

    requirements: tuple[str, ...] = ()
    """Packages as pip spells them: `scikit-learn==1.5.2`."""
    python: str = ""
    """Python version, such as `3.12`; empty for the one that runs tidemill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container of the node's own. Its image needs Python 3.11 or newer, and not tidemill."""

    image: str
    """Name of the image, with tag or digest."""
    python: str = "python3"
    """The interpreter inside the image."""
    env: tuple[str, ...] = ()
    """Names of environment variables that are passed into the container; no others are."""
    mounts: tuple[str, ...] = ()
    """Further absolute folders to mount at the same paths. The pipeline root, the working directory and
    the folders of inputs are mounted anyway."""


Environment = VirtualEnv | Container


def problems_of(environment: object) -> list[str]:
    """What is wrong with an environment, as sentences."""
    match environment:
        case None:
            return []
        case VirtualEnv():
            return _venv_problems(environment)
        case Container():
            return _container_problems(environment)
    return [f"environment is {environment!r}; write VirtualEnv(...) or Container(...)"]


def _venv_problems(wanted: VirtualEnv) -> list[str]:
    found = _texts("environment.requirements", wanted.requirements)
    for text in [] if found else wanted.requirements:
        named = _TIDEMILL.fullmatch(text.strip())
        if not text.strip() or text.strip().startswith("-"):
            found.append(f"environment.requirements holds {text!r}, which is not a requirement")
        elif named and (named["rest"][:1] in tuple("<>=!~@") and named["rest"]):
            what = "but tidemill is always the running one"
            found.append(f"environment.requirements holds {text!r}, {what}; leave its version out")
    python: object = wanted.python
    version = _PYTHON.fullmatch(python) if isinstance(python, str) else None
    if python != "" and version is None:
        found.append(f"environment.python is {python!r}; write a version such as 3.12")
    elif version is not None and int(version[1]) < _OLDEST:
        found.append(f"environment.python is {python!r}; tidemill needs 3.{_OLDEST} or newer")
    return found


def _container_problems(wanted: Container) -> list[str]:
    found = []
    for name in ("image", "python"):
        value: object = getattr(wanted, name)
        if not isinstance(value, str) or not value.strip() or value.startswith("-") or "\0" in value:
            found.append(f"environment.{name} is {value!r}; write the name of an {_WHAT[name]}")
    wrong = _texts("environment.env", wanted.env)
    for name in [] if wrong else wanted.env:
        if not _VARIABLE.fullmatch(name):
            wrong.append(f"environment.env holds {name!r}; write names of variables, never their values")
    found += wrong
    wrong = _texts("environment.mounts", wanted.mounts)
    for folder in [] if wrong else wanted.mounts:
        if not folder.startswith("/") or ".." in folder.split("/"):
            wrong.append(f"environment.mounts holds {folder!r}; write absolute folders")
    return found + wrong


_WHAT = {"image": "image", "python": "interpreter inside the image"}


def _texts(name: str, value: object) -> list[str]:
    """What is wrong with a list of str."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        return [f"{name} is {value!r}; write a tuple of str"]
    if not all(isinstance(item, str) and "\0" not in item and "\n" not in item for item in value):
        return [f"{name} is {value!r}; write a tuple of str"]
    return []
