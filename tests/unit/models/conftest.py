"""Rows to train on."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

# Before any library starts its threads: on busy cores they would mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

_SPEC = importlib.util.spec_from_file_location("models_made", Path(__file__).parent / "made.py")
assert _SPEC is not None
assert _SPEC.loader is not None
made: ModuleType = importlib.util.module_from_spec(_SPEC)
sys.modules["models_made"] = made
_SPEC.loader.exec_module(made)


@pytest.fixture
def ground(tmp_path: Path) -> object:
    return made.ground(tmp_path)
