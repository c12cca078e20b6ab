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
    nodes = [getattr(tuner, name) for name in ("TunerAsk", "TunerTrial", "TunerBest")]
    values = {"Choice", "FloatRange", "IntRange"}  # what Tuner, which is several nodes, is called with
    names = [name for name in tidemill.components.__all__ if name not in {"Tuner", *values}]
    assert len(names) == len(tidemill.components.__all__) - 4
    for found in (*(getattr(tidemill.components, name) for name in names), *nodes):
        assert found.name in {*names, "TunerAsk", "TunerTrial", "TunerBest"}
        module, _, function = found.executor.partition(":")
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
