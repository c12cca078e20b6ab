"""The table of features: what the generator writes, and each test that it names is collected by pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tidemill.testing import features
from tidemill.testing.feature_list import SECTIONS
from tidemill.testing.features import Cell, Feature, Once, never, notimpl, yes
from tidemill.testing.scenario_list import SCENARIOS

THIS = "tests/docs/test_engines.py"


def test_the_page_is_what_make_features_writes(root: Path) -> None:
    written = (root / "docs" / "engines.md").read_text(encoding="utf-8")
    assert written == features.page(SECTIONS, root), "run `make features` and look at the difference"


def test_every_scenario_is_a_row() -> None:
    rows = [row.scenario for rows in SECTIONS.values() for row in rows if row.scenario]
    assert sorted(rows) == sorted(scenario.name for scenario in SCENARIOS)


def test_each_named_test_is_collected(root: Path) -> None:
    named = features.tests(SECTIONS, root)
    assert all(features.defined(test, root) for test in named)
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "--collect-only",
            "-q",
            "--no-header",
            "-p",
            "no:cacheprovider",
            *named,
        ],
        cwd=root,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    collected = {line.partition("[")[0] for line in run.stdout.splitlines() if "::" in line}
    assert collected == set(named)


@pytest.mark.parametrize(
    ("test", "there"),
    [
        (f"{THIS}::test_every_scenario_is_a_row", True),
        (f"{THIS}::test_gone", False),
        (f"{THIS}::TestGone::test_scenario", False),
        ("tests/docs/test_gone.py::test_it", False),
        ("tests/docs/conftest.py::test_it", False),
        (THIS, False),
        ("tests/conformance/test_runner_local.py::TestPythonApi::test_scenario", True),
        ("tests/conformance/test_runner_local.py::TestPythonApi::run", False),
    ],
)
def test_a_test_is_found_where_it_is_written(root: Path, test: str, there: bool) -> None:
    assert features.defined(test, root) is there


def test_cells(root: Path) -> None:
    here = f"{THIS}::test_cells"
    row = Feature(
        "x", local=yes(here), airflow=Once((f"{THIS}::test_gone", here), "-"), kubeflow=Once(f"{here}_", "no")
    )
    assert features.cells(row, root) == {
        "local": Cell("yes", here), "airflow": Cell("yes", here), "kubeflow": notimpl("no"),
    }  # fmt: skip
    row = Feature("x", scenario="linear", kubeflow=never("so"))
    found = features.cells(row, root)
    assert found["local"] == yes("tests/conformance/test_runner_local.py::TestPythonApi::test_scenario")
    assert found["kubeflow"] == never("so")
    for wrong in (Feature("x"), Feature("x", scenario="gone")):
        with pytest.raises(ValueError):
            features.cells(wrong, root)
    text = features.page({"One": (row,)}, root)
    assert text.splitlines()[-2].endswith("| never: so |")


def test_a_suite_says_its_differences(tmp_path: Path) -> None:
    folder = tmp_path / "tests" / "conformance"
    folder.mkdir(parents=True)
    (folder / "test_runner_local.py").write_text(
        "from tidemill.testing.runner_suite import Difference, RunnerSuite\n\n"
        "class TestPythonApi(RunnerSuite):\n    differences = {'linear': Difference('notyet', 'too early')}\n"
    )
    features.sys.modules.pop("tidemill_features_test_runner_local", None)
    try:
        found = features.cells(Feature("x", scenario="linear"), tmp_path)
    finally:
        features.sys.modules.pop("tidemill_features_test_runner_local", None)
    assert found["local"] == Cell("notyet", reason="too early")
    assert found["kubeflow"] == notimpl("no runner suite yet")
