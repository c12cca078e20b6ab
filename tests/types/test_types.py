"""Wrong wiring is a type error: mypy reads the files in this folder and must agree with every line."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.fixture(scope="module")
def mypy_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for both runs: the second reads what the first has learned of tidemill."""
    return tmp_path_factory.mktemp("mypy")


def mypy(cache: Path, file: Path) -> str:
    command = [sys.executable, "-m", "mypy", f"--cache-dir={cache}", "--no-error-summary", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.stderr == ""
    return done.stdout


def test_mypy_refuses_what_is_wrong_and_nothing_else(mypy_cache: Path) -> None:
    assert mypy(mypy_cache, HERE / "wiring.py") == ""


def test_the_expected_errors_are_real(mypy_cache: Path, tmp_path: Path) -> None:
    """The same file without its ignores: an error in each of their lines, with their code, and no other."""
    text = (HERE / "wiring.py").read_text(encoding="utf-8")
    bare = tmp_path / "wiring.py"
    bare.write_text(re.sub(r"  # type: ignore.*", "", text), encoding="utf-8")
    found = {
        (int(line), code)
        for line, code in re.findall(
            r"wiring\.py:(\d+): error: .*\[([a-z-]+)\]$", mypy(mypy_cache, bare), re.M
        )
    }
    expected = {
        (number, match[1])
        for number, line in enumerate(text.splitlines(), 1)
        if (match := re.search(r"# type: ignore\[([a-z-]+)\]", line))
    }
    assert found == expected
    assert len(expected) >= 20
