"""The standard components by name: all there, none loaded before it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tidemill.components


def test_every_name_is_a_component_with_an_executor_that_exists() -> None:
    import importlib

    assert dir(tidemill.components) == tidemill.components.__all__
    tuner = importlib.import_module("tidemill.components.tuner.component")
    # Tuner is several nodes, and there are the values it is called with.
    several = {"Tuner", "Choice", "FloatRange", "IntRange"}
    assert several < set(tidemill.components.__all__)
    found = {n: getattr(tidemill.components, n) for n in tidemill.components.__all__ if n not in several}
    found |= {name: getattr(tuner, name) for name in ("TunerAsk", "TunerTrial", "TunerBest")}
    for name, component in found.items():
        assert component.name == name
        module, _, function = component.executor.partition(":")
        assert callable(getattr(importlib.import_module(module), function))


def test_an_unknown_name_suggests() -> None:
    with pytest.raises(AttributeError, match="did you mean 'Trainer'"):
        tidemill.components.Trainr  # noqa: B018


def test_declarations_load_no_engine() -> None:
    code = (
        "import sys, tidemill.components as c\n"
        "[getattr(c, name) for name in c.__all__]\n"
        "heavy = {'numpy', 'polars', 'pyarrow', 'sklearn', 'tidemill.data'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
