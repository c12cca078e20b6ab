"""Commands in processes of their own, where a file of the user's is loaded."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable

import pytest

Run = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def project_run() -> Run:
    """Calls a command here."""

    def call(line: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "tidemill.cli.main", *shlex.split(line)]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    return call
