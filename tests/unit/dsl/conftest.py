"""Definitions written to a file and read as the command line reads them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.errors import DefinitionError

Found = list[tuple[str, str, str]]
"""What is wrong, the text of the line that is named, and how to mend it."""

PRELUDE = '''\
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypedDict

import tidemill
from tidemill import *


@component
def read(examples: Output[Examples]) -> None:
    """No inputs."""


@component
def train(examples: Input[Examples], model: Output[Model], *, rate: float = 0.1) -> float:
    """An input, an output of either kind, a parameter."""


@component
def judge(model: Input[Model], baseline: Input[Model] | None = None) -> None:
    """An input that may be left out."""


@component
def merge(examples: Input[list[Examples]]) -> None:
    """Any number of artifacts."""


@component
def take(
    *, count: int = 1, rate: float = 0.5, text: str = "", flag: bool = False, anything: Any = None,
    names: list[str] = [], limits: Mapping[str, float] = {}, deep: dict[str, list[int]] = {},
    choice: Literal["a", "b", 1] = "a", pair: tuple[int, str] = (1, "x"), maybe: int | None = None,
    function: Callable[..., Any] | None = None, source: FileSet | None = None,
) -> None:
    """Parameters of all kinds."""


'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], Path]]:
    """Writes modules that can be imported during the test and are forgotten after it."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    before = set(sys.modules)

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        importlib.invalidate_caches()
        return path

    yield write
    for name in set(sys.modules) - before:
        if not name.startswith("tidemill"):
            del sys.modules[name]


@pytest.fixture
def mistakes(module: Callable[[str, str], Path]) -> Callable[[str], Found]:
    """The mistakes in a module that starts with the components above."""

    def find(text: str) -> Found:
        path = module("case.py", PRELUDE + text)
        lines = path.read_text(encoding="utf-8").splitlines()
        with pytest.raises(DefinitionError) as caught:
            compile_pipeline(load_pipeline(str(path))[0])
        found = []
        for problem in caught.value.problems:
            file, _, line = problem.where.rpartition(":")
            assert file == str(path), problem
            found.append((problem.what, lines[int(line) - 1].strip(), problem.hint))
        return found

    return find


@pytest.fixture
def mistakes_inside(mistakes: Callable[[str], Found]) -> Callable[[str], Found]:
    """The mistakes in the body of a pipeline function."""

    def find(body: str) -> Found:
        inside = "\n".join(f"    {line}" for line in body.splitlines())
        return mistakes(f"@pipeline\ndef case(number: int = 1, word: str = ''):\n{inside}\n")

    return find
