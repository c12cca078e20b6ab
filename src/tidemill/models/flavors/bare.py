"""LightGBM and XGBoost without scikit-learn, which both import for classes that nobody here uses.

It takes three quarters of the time of their import: 2.2 to 2.9 of 3.3 to 4.0 CPU seconds, measured on two
cores. A server, an Evaluator and every trial of a search would pay that.
"""

from __future__ import annotations

import sys
import threading
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from tidemill.models.flavors.base import library

_LOCK = threading.RLock()
_COPIES: dict[str, ModuleType] = {}


def import_bare(name: str, extra: str, *, alone: bool = False) -> ModuleType:
    """The library, without scikit-learn unless it is loaded already; DataError when it is not installed.

    The copy is ours: whoever imports the library by its name gets a whole one, whose scikit-learn classes
    work. Both share the compiled part. alone: no code of others runs in this process, so the copy may stand
    under its name; needed where the library imports parts of itself later on.
    """
    with _LOCK:
        if name not in _COPIES:
            _COPIES[name] = _import(name, extra, alone)
        return _COPIES[name]


def _import(name: str, extra: str, alone: bool) -> ModuleType:
    if "sklearn" in sys.modules or name in sys.modules:
        return library(name, extra)
    hidden = _Hidden()
    sys.meta_path.insert(0, hidden)
    try:
        found = library(name, extra)
    finally:
        sys.meta_path.remove(hidden)
    if not alone:
        for module in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
            del sys.modules[module]
    return found


class _Hidden:
    """A finder that knows scikit-learn, and says to one thread that it is not there."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        """ModuleNotFoundError for scikit-learn in the thread that hides it; else let others answer."""
        if name.partition(".")[0] == "sklearn" and threading.get_ident() == self.thread:
            raise ModuleNotFoundError(f"{name} is hidden here", name=name)
        return None
