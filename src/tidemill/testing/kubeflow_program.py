"""The Go program of tests/kubeflow_go: KFP's own code, built once, asked by the tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PROGRAM, BUILD = "TIDEMILL_KFP_PROGRAM", "TIDEMILL_KFP_BUILD"
SECONDS = 600


def built(source: Path, folder: Path) -> str:
    """The program of `source`; the test is skipped where there is none and none can or shall be built."""
    if ready := os.environ.get(PROGRAM):
        return ready
    go = shutil.which("go")
    if go is None or not os.environ.get(BUILD):
        pytest.skip(f"{PROGRAM} names no program, and {BUILD} does not ask to build one with Go")
    program = folder / "kubeflow_go"
    command = [go, "build", "-o", str(program), "."]
    made = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=SECONDS)
    if made.returncode:
        pytest.skip(f"Go cannot build it here: {made.stderr.strip().splitlines()[-1][:200]}")
    return str(program)


@contextmanager
def serving(program: str) -> Iterator[str]:
    """KFP's API server; its URL. It ends when its standard input does."""
    with subprocess.Popen(
        [program, "serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


def compiled(
    program: str, files: Mapping[str, str], parameters: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, dict[str, Any]]:
    """What KFP makes of each file: its `workflow`, or the `stage` that refused it and the `error`."""
    given = parameters or {}
    asked = [{"name": n, "text": text, "parameters": given.get(n, {})} for n, text in files.items()]
    ended = subprocess.run(
        [program, "compile"], input=json.dumps(asked), capture_output=True, text=True, check=True, timeout=120
    )
    return {answer["name"]: answer for answer in json.loads(ended.stdout)}
