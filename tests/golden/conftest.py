"""Golden files are written anew with `make goldens`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture
def update_goldens(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-goldens"))


@pytest.fixture(autouse=True)
def no_trace_of_user_code(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Modules that a test imports through the loader are gone afterwards."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if not name.startswith("tidemill"):
            del sys.modules[name]
