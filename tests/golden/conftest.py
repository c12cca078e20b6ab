"""Golden files are written anew with `pytest tests/golden --update-goldens`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="write the golden files anew")


@pytest.fixture
def update_goldens(request: pytest.FixtureRequest) -> bool:
    # The default is for runs of the whole suite, where this conftest is read after the command line.
    return bool(request.config.getoption("--update-goldens", default=False))


@pytest.fixture(autouse=True)
def no_trace_of_user_code(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Modules that a test imports through the loader are gone afterwards."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if not name.startswith("tidemill"):
            del sys.modules[name]
