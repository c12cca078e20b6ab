"""Fingerprints on a corpus of generated tracebacks: same cause same print, other cause other print."""

from __future__ import annotations

import importlib.util
import itertools
import textwrap
from pathlib import Path
from types import ModuleType

import pytest

from tidemill.runtime.fingerprint import normalised, of_exception, of_message

SOURCE = """
{blank}
import json

class Broken(Exception):
    pass

def outer(n, how, value):
    return inner(n, how, value)

def inner(n, how, value):
    if n:
        return inner(n - 1, how, value)
    return HOW[how](value)

def raise_value(value):
    raise ValueError(f"row {{value}} in /data/run-{{value}}/x.csv is bad")

def raise_key(value):
    raise KeyError(value)

def raise_own(value):
    raise Broken(f"object at {{id(value):#x}}")

def from_library(value):
    return json.loads("{{" + str(value))

def in_comprehension(value):
    return [raise_value(v) for v in [value]]

def chained(value):
    try:
        raise_key(value)
    except KeyError as error:
        raise RuntimeError(f"step {{value}}") from error

def chained_otherwise(value):
    try:
        raise_value(value)
    except ValueError as error:
        raise RuntimeError(f"step {{value}}") from error

def division(value):
    return value / 0

class Step:
    def __call__(self, value):
        return {{}}[value]

HOW = [raise_value, raise_key, raise_own, from_library, in_comprehension, chained, chained_otherwise,
       division, Step()]
"""
CAUSES = 9


def load(folder: Path, blank: int, name: str = "project_code") -> ModuleType:
    folder.mkdir()
    path = folder / f"{name}.py"
    path.write_text(
        textwrap.dedent(SOURCE).replace("{blank}", "#\n" * blank).replace("{{", "{").replace("}}", "}")
    )
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def versions(tmp_path: Path) -> list[tuple[Path, ModuleType]]:
    """The same code in different folders, with its lines moved."""
    folders = [tmp_path / name for name in ("a", "b2", "c-0123456789abcdef")]
    return [(folder, load(folder, blank)) for blank, folder in enumerate(folders)]


def print_of(folder: Path, module: ModuleType, how: int, value: object, depth: int) -> str:
    try:
        module.outer(depth, how, value)
    except Exception as error:
        return of_exception("EXCEPTION", error, str(folder))
    raise AssertionError("it was to fail")


def test_a_cause_has_one_print_and_another_cause_another(versions: list[tuple[Path, ModuleType]]) -> None:
    prints: dict[int, set[str]] = {how: set() for how in range(CAUSES)}
    for how, (folder, module), value, depth in itertools.product(
        range(CAUSES), versions, (1, 17, 10**9, 123456), (0, 1, 3, 30)
    ):
        prints[how].add(print_of(folder, module, how, value, depth))
    assert [len(found) for found in prints.values()] == [1] * CAUSES, "432 tracebacks of 9 causes"
    assert len(set().union(*prints.values())) == CAUSES


def test_class_and_module_count(tmp_path: Path) -> None:
    one, other = load(tmp_path / "a", 0, "one"), load(tmp_path / "b", 0, "other")
    assert print_of(tmp_path / "a", one, 0, 1, 0) != print_of(tmp_path / "b", other, 0, 1, 0)
    error = ValueError("x")
    assert of_exception("DATA", error, "") != of_exception("EXCEPTION", error, "")


def test_a_circle_of_causes_ends() -> None:
    one, other = ValueError("x"), KeyError("y")
    one.__cause__, other.__cause__ = other, one
    assert of_exception("EXCEPTION", one, "")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("row 5 of /data/2024/x.csv", "row 17 of /data/2025/y.csv"),
        ("took longer than 0.3 s", "took longer than 120 s"),
        ("object 0x7f3a9c12", "object 0x1badf00d"),
        ("run 7f3a9c12-aa11-4e0b-9c3d-0123456789ab", "run 00000000-bb22-4e0b-9c3d-0123456789ab"),
        ("C:\\data\\one.csv is gone", "D:\\other\\two.csv is gone"),
    ],
)
def test_what_changes_from_run_to_run_is_left_out(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)
    assert of_message("TIMEOUT", one, "m:f") == of_message("TIMEOUT", other, "m:f")


def test_words_and_executors_count() -> None:
    texts = ("column age is missing", "column name is missing", "the file is empty", "face and deadline")
    prints = {of_message("DATA", text, executor) for text in texts for executor in ("m:f", "m:g")}
    assert len(prints) == 8
    assert normalised("face and deadline") == "face and deadline", "words are no hexadecimal numbers"
