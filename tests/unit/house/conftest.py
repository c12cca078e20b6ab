"""Fixtures for the tests of the house's own rules."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def house() -> ModuleType:
    """The script tests/house_rules.py, as a module."""
    spec = importlib.util.spec_from_file_location("house_rules", ROOT / "tests" / "house_rules.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["house_rules"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
