"""Importing a model's library without what a server never uses of it.

LightGBM imports all of scikit-learn, where that is installed, for wrappers that predicting does without:
two seconds and 60 MB of every start. Only a process that does nothing but serve may do as if scikit-learn
were missing, for in that process LightGBM's wrappers stay away.
"""

from __future__ import annotations

import importlib
import sys


def import_library(flavor: str) -> None:
    """Import the library of a flavor that carries too much, if nothing of it is loaded yet."""
    if flavor != "lightgbm" or {"lightgbm", "sklearn"} & set(sys.modules):
        return
    sys.modules["sklearn"] = None  # type: ignore[assignment]  # Python's way to say that there is no such module
    try:
        importlib.import_module("lightgbm")
    except ImportError:
        pass  # loading the model says it better
    finally:
        del sys.modules["sklearn"]
