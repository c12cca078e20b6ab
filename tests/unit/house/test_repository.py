"""The repository keeps its own rules: what `make lint` and `make type` run, as tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

BIN = Path(sys.executable).parent

TOOLS = {
    "ruff check": [BIN / "ruff", "check", "."],
    "ruff format": [BIN / "ruff", "format", "--check", "."],
    "import rules": [BIN / "lint-imports"],
    "mypy": [BIN / "mypy"],
}


@pytest.mark.parametrize("command", TOOLS.values(), ids=TOOLS.keys())
def test_the_tools_have_no_complaint(command: list[str | Path], root: Path) -> None:
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=280)
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"


@pytest.mark.parametrize("example", ["recommender", "taxi"])
def test_the_types_of_an_example_hold(example: str, root: Path) -> None:
    command = [BIN / "mypy", "--config-file", root / "pyproject.toml", "."]
    folder = root / "examples" / example
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=280)
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"


def test_the_house_rules_are_kept(house: ModuleType, root: Path) -> None:
    violations, _notes = house.check(root)
    assert not violations, "\n".join(map(str, violations))
