"""`make setup` on machines that lack something: one clear line instead of a riddle."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOOLS = ("bash", "sh", "make", "grep", "sed", "expand", "touch", "true")


@pytest.fixture
def machine(tmp_path: Path, root: Path) -> Path:
    """A folder with the Makefile, and a `bin` that holds no Python."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(root / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None, tool
        (tmp_path / "bin" / tool).symlink_to(found)
    return tmp_path


def python(machine: Path, name: str, answer: str) -> None:
    """An interpreter that answers each `-c CODE` as the shell line `answer` says ($2 is the code)."""
    script = machine / "bin" / name
    script.write_text(
        '#!/bin/sh\nif [ "$1" = --version ]; then echo "Python of the test"; exit; fi\n' + answer + "\n"
    )
    script.chmod(0o755)


def setup(machine: Path, *words: str) -> str:
    run = subprocess.run(
        ["make", "setup", *words],
        cwd=machine,
        env={"PATH": str(machine / "bin"), "HOME": os.environ.get("HOME", "")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode != 0
    assert not (machine / ".venv" / ".ready").exists()
    return run.stdout + run.stderr


def test_without_any_python(machine: Path) -> None:
    assert "tidemill needs Python 3.11 or newer" in setup(machine)


def test_an_old_python_alone(machine: Path) -> None:
    python(machine, "python3", "exit 1")
    said = setup(machine)
    assert "needs Python 3.11 or newer and found Python of the test" in said
    assert "make PYTHON=" in said


def test_an_old_python_with_a_newer_one_beside_it(machine: Path) -> None:
    python(machine, "python3", "exit 1")
    python(machine, "python3.12", 'case "$1 $2" in *ensurepip*) exit 1;; esac')
    assert "python3.12 cannot make virtual environments" in setup(machine)


def test_a_python_that_is_named_is_the_one(machine: Path) -> None:
    python(machine, "python3", "exit 0")
    python(machine, "snake", 'case "$2" in *ensurepip*) exit 1;; esac')
    said = setup(machine, "PYTHON=snake")
    assert "snake cannot make virtual environments" in said
    assert "python3-venv" in said


def test_a_half_made_environment_is_made_anew(machine: Path) -> None:
    (machine / ".venv" / "bin").mkdir(parents=True)
    (machine / ".venv" / "bin" / "python").symlink_to(machine / "gone")
    python(machine, "python3", 'case "$*" in "-m venv --clear .venv") echo "made anew"; exit 1;; esac')
    assert "made anew" in setup(machine)
