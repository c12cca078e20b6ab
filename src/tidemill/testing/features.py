"""Which engine does what: one row a feature, each cell with the test that shows it or the reason why not.

`make features` writes `docs/engines.md` from `feature_list.py` and from the runner suites: a scenario's cells
are what each engine's suite says in its `differences`. `tests/docs/test_engines.py` holds the page against
it, and each named test against what pytest collects. A new feature is one entry in `feature_list.py`.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

from tidemill.testing.runner_suite import Difference
from tidemill.testing.scenario_list import SCENARIOS

Kind = Literal["yes", "notimpl", "notyet", "never"]


@dataclass(frozen=True, slots=True)
class Cell:
    """What one engine does of one feature."""

    kind: Kind
    test: str = ""
    """What shows it: a test's id as pytest has it, without parameters."""
    reason: str = ""
    """Why not; empty for yes."""


@dataclass(frozen=True, slots=True)
class Once:
    """Done where a test exists, the first of several; not implemented as long as there is none.

    For what another change brings, or what has another name there.
    """

    test: str | tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Feature:
    """A row of the table. Cells that are not given are those of its scenario."""

    name: str
    local: Cell | Once | None = None
    airflow: Cell | Once | None = None
    kubeflow: Cell | Once | None = None
    scenario: str = ""


@dataclass(frozen=True, slots=True)
class Engine:
    """Something that runs pipelines, and the suite that judges it."""

    key: str
    name: str
    file: str
    suite: str


ENGINES = (
    Engine("local", "Local", "tests/conformance/test_runner_local.py", "TestPythonApi"),
    Engine("airflow", "Airflow", "tests/conformance/test_runner_airflow.py", "TestDagTest"),
    Engine("kubeflow", "Kubeflow", "tests/conformance/test_runner_kubeflow.py", "TestEmulator"),
)

_HEAD = """# What runs where

Written by `make features` from [the list of features](../src/tidemill/testing/feature_list.py) and from what
the runner suites say; do not edit. *yes* leads to the test that shows it. *notimpl*: the engine could, and
nobody wrote it. *notyet*: the engine cannot, and may one day. *never*: it makes no sense there. A row with a
scenario is the same pipeline with the same golden lineage everywhere.
"""


def yes(test: str) -> Cell:
    """It works, and a test shows it: `tests/FILE.py::test_it`."""
    return Cell("yes", test)


def notimpl(reason: str) -> Cell:
    """The engine could, and nobody wrote it."""
    return Cell("notimpl", reason=reason)


def notyet(reason: str) -> Cell:
    """The engine cannot, and may one day."""
    return Cell("notyet", reason=reason)


def never(reason: str) -> Cell:
    """It makes no sense there."""
    return Cell("never", reason=reason)


def cells(feature: Feature, root: Path) -> dict[str, Cell]:
    """The cells of a row by engine, as the tests under `root` have it. ValueError when it says too little."""
    found = {}
    for engine in ENGINES:
        given = getattr(feature, engine.key)
        if given is None:
            given = _of_suite(engine, feature.scenario, root)
        elif isinstance(given, Once):
            asked = (given.test,) if isinstance(given.test, str) else given.test
            there = [test for test in asked if defined(test, root)]
            given = yes(there[0]) if there else notimpl(given.reason)
        if given is None:
            raise ValueError(f"{feature.name}: nothing is said of {engine.name}")
        found[engine.key] = given
    return found


def _of_suite(engine: Engine, scenario: str, root: Path) -> Cell | None:
    if not scenario:
        return None
    if scenario not in {known.name for known in SCENARIOS}:
        raise ValueError(f"there is no scenario {scenario!r}")
    if not (root / engine.file).is_file():
        return notimpl("no runner suite yet")
    difference = _differences(root / engine.file, engine.suite).get(scenario)
    if difference is None:
        return yes(f"{engine.file}::{engine.suite}::test_scenario")
    return Cell(difference.kind, reason=difference.reason)


def _differences(file: Path, suite: str) -> Mapping[str, Difference]:
    """What a suite says of itself."""
    module = _module(file)
    found = getattr(module, suite).differences
    return found if isinstance(found, Mapping) else {}


def _module(file: Path) -> ModuleType:
    name = f"tidemill_features_{file.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
    return sys.modules[name]


def defined(test: str, root: Path) -> bool:
    """Whether a test is written in a file that pytest collects: read, not imported."""
    file, *names = test.split("::")
    path = root / file
    if not path.is_file() or not path.name.startswith("test_") or not names:
        return False
    body: list[ast.stmt] = ast.parse(path.read_text(encoding="utf-8")).body
    for name in names:
        inner = [
            node
            for node in body
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
        ]
        if not inner:
            return name == "test_scenario" and name != names[0]  # inherited by a runner suite
        body = inner[-1].body
    return names[-1].startswith("test_")


def tests(sections: Mapping[str, tuple[Feature, ...]], root: Path) -> list[str]:
    """The ids of all tests that the table names, each once."""
    rows = [feature for features in sections.values() for feature in features]
    return sorted({cell.test for row in rows for cell in cells(row, root).values() if cell.test})


def page(sections: Mapping[str, tuple[Feature, ...]], root: Path) -> str:
    """The page as Markdown: a table for each section."""
    return "\n".join([_HEAD, *_tables(sections, root)]) + "\n"


def _tables(sections: Mapping[str, tuple[Feature, ...]], root: Path) -> Iterator[str]:
    for title, features in sections.items():
        yield f"## {title}\n"
        yield "| Feature | " + " | ".join(engine.name for engine in ENGINES) + " |"
        yield "| --- |" + " --- |" * len(ENGINES)
        for feature in features:
            row = [_name(feature), *(_cell(cell) for cell in cells(feature, root).values())]
            yield f"| {' | '.join(row)} |"
        yield ""


def _name(feature: Feature) -> str:
    if not feature.scenario:
        return feature.name
    return f"{feature.name} ([{feature.scenario}](../src/tidemill/testing/scenarios/{feature.scenario}.py))"


def _cell(cell: Cell) -> str:
    if cell.kind == "yes":
        return f"[yes](../{cell.test.partition('::')[0]})"
    return f"{cell.kind}: {cell.reason}"
