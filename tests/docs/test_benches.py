"""The benchmarks that the README names still run: small, for what they measure is no matter here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"
SMALL = {
    "history.py": ("--executions", "1000", "--repeats", "2"),
    "filters.py": ("--artifacts", "2000", "--repeats", "1"),
    "writers.py": ("--seconds", "0.2"),
}


@pytest.mark.parametrize("name", SMALL)
def test_a_benchmark_runs(name: str) -> None:
    """Each fills a store of its own by SQL of its own, which a new column of the schema can break."""
    done = subprocess.run(
        [sys.executable, str(BENCH / name), *SMALL[name]], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 2
