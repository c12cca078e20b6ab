"""What stands between the launcher and a container hands on what is said, and the answer at the very end."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tidemill.runtime import client, entry

ENGINE = """
cd "$0"
printf '{"started": true}\\n{"answer": {"outputs": {}}}\\n' > ANSWER
while [ ! -e go ]; do sleep 0.02; done
touch off_the_books
"""


def test_the_answer_comes_when_the_engine_has_nothing_left_to_do(tmp_path: Path) -> None:
    """Whoever gets it kills what is left: podman's monitor, before it took the container off the books."""
    read, write = os.pipe()
    words = ["sh", "-c", ENGINE.replace("ANSWER", entry.ANSWER), str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tidemill.runtime.client", str(tmp_path), *words, str(write)],
        pass_fds=[write], stdin=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(write)
    with os.fdopen(read, "rb") as said:
        assert said.readline() == b'{"started": true}\n', "this is told at once: time limits count from it"
        assert not select.select([said], [], [], 0.3)[0]
        (tmp_path / "go").touch()
        assert said.readline() == b'{"answer": {"outputs": {}}}\n'
        assert (tmp_path / "off_the_books").exists()
        assert said.read() == b""
    assert process.wait(30) == 0


def test_an_engine_that_does_not_end_keeps_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_PATIENCE", 0.0)
    (tmp_path / "said").write_bytes(b'{"started": true}\n{"answer": {}}\n')
    read, write = os.pipe()
    client._bring(tmp_path / "said", write, threading.Event())
    os.close(write)
    with os.fdopen(read, "rb") as said:
        assert said.read() == b'{"started": true}\n{"answer": {}}\n'
