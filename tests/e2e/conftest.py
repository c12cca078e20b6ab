"""A project folder, the real command line in a real process, and a look into the real database."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tidemill.metadata.sql import open_store


@dataclass(frozen=True)
class Project:
    """A folder with pipeline files, and the `tidemill` command run inside it."""

    folder: Path

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
        return path

    def start(self, *words: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tidemill.cli.main", *words],
            cwd=self.folder,
            env={**os.environ, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def tidemill(self, *words: str, expect: int | None = 0, **env: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*words, **env)
        out, err = process.communicate(timeout=120)
        if expect is not None:
            assert process.returncode == expect, f"exit {process.returncode}\n{out}\n{err}"
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def run(self, *words: str, expect: int | None = 0, **env: str) -> dict[str, Any]:
        """`tidemill run pipeline.py --json`; its answer."""
        done = self.tidemill("run", "pipeline.py", "--json", *words, expect=expect, **env)
        return dict(json.loads(done.stdout))

    def states(self, answer: dict[str, Any]) -> dict[str, str]:
        return {name: node["state"] for name, node in answer["nodes"].items()}

    def until(self, holds: Callable[[], Any], seconds: float = 120.0) -> None:
        """Wait for what must come true, however slow the machine is."""
        pause, end = threading.Event(), time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, "it never came true"
            pause.wait(0.02)

    def journal(self) -> list[str]:
        """What executors noted in `journal.txt`, one line per call."""
        path = self.folder / "journal.txt"
        return path.read_text().split() if path.exists() else []

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self.folder / ".tidemill" / "metadata.db") as database:
            rows = database.execute(sql, values).fetchall()
        database.close()
        return rows


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def sound() -> Callable[[Project], None]:
    """Checks what must hold of the record at any time, whatever died and when."""

    def check(project: Project) -> None:
        database = project.folder / ".tidemill" / "metadata.db"
        if not database.exists():
            return
        assert project.query("PRAGMA integrity_check") == [("ok",)]
        store = open_store(str(database), read_only=True)
        try:
            assert store.findings() == []
        finally:
            store.close()

    return check
