"""The same chain and fan on Dagster, Prefect and Kedro, each in a virtual environment of its own.

They are installed by name from wherever pip installs from; the environments are kept in a folder of the
system's temporary files, so that a second look costs nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(tempfile.gettempdir()) / "tidemill-bench-peers"

DAGSTER = """
import sys, time
from dagster import DagsterInstance, job, op, In, Nothing
import tempfile
def make(name, ins):
    @op(name=name, ins={i: In(Nothing) for i in ins})
    def nothing(): pass
    return nothing
@job
def chain():
    last = None
    for i in range(10):
        node = make(f"n{i}", ["a"] if last is not None else [])
        last = node(last) if last is not None else node()
@job
def fan():
    first = make("first", [])()
    middle = [make(f"n{i}", ["a"])(first) for i in range(98)]
    make("last", [f"i{i}" for i in range(98)])(**{f"i{i}": m for i, m in enumerate(middle)})
for shape in (chain, fan):
    times = []
    for _ in range(int(sys.argv[1])):
        with tempfile.TemporaryDirectory() as folder, DagsterInstance.local_temp(folder) as instance:
            started = time.perf_counter()
            assert shape.execute_in_process(instance=instance).success
            times.append(time.perf_counter() - started)
    print("RESULT", shape.name, *times)
"""
PREFECT = """
import sys, time
from prefect import flow, task
@task
def nothing(*before): pass
@flow
def chain():
    last = None
    for i in range(10):
        last = nothing.submit(last) if last is not None else nothing.submit()
    last.wait()
@flow
def fan():
    first = nothing.submit()
    middle = [nothing.submit(first) for _ in range(98)]
    nothing.submit(*middle).wait()
for shape in (chain, fan):
    times = []
    for _ in range(int(sys.argv[1])):
        started = time.perf_counter()
        shape()
        times.append(time.perf_counter() - started)
    print("RESULT", shape.__name__, *times)
"""
KEDRO = """
import sys, time
from kedro.io import DataCatalog
from kedro.pipeline import node, pipeline
from kedro.runner import SequentialRunner
def nothing(*before): return 1
chain = pipeline([node(nothing, [f"d{i - 1}"] if i else None, f"d{i}", name=f"n{i}") for i in range(10)])
middle = [node(nothing, ["first"], f"d{i}", name=f"n{i}") for i in range(98)]
fan = pipeline([node(nothing, None, "first", name="first"), *middle,
                node(nothing, [f"d{i}" for i in range(98)], "last", name="last")])
for name, shape in (("chain", chain), ("fan", fan)):
    times = []
    for _ in range(int(sys.argv[1])):
        started = time.perf_counter()
        SequentialRunner().run(shape, DataCatalog())
        times.append(time.perf_counter() - started)
    print("RESULT", name, *times)
"""
PEERS = {"dagster": DAGSTER, "prefect": PREFECT, "kedro": KEDRO}
NOTES = {
    "dagster": "in process, its own store in a new folder",
    "prefect": "threads, its own temporary server, whose start is in the first figure",
    "kedro": "in process, one after another, keeps no record",
}


def peers(repeats: int) -> dict[str, tuple[list[float], str]]:
    """Milliseconds of whole runs."""
    found: dict[str, tuple[list[float], str]] = {}
    for name, program in PEERS.items():
        python = _installed(name)
        if python is None:
            continue
        done = _ask([str(python), "-c", program, str(repeats)], timeout=600)
        if done is None or done.returncode:
            _say(f"{name}: left out, its program failed: {_last(done)}")
            continue
        version = _ask([str(python), "-c", _VERSION.format(name=name)], timeout=60)
        shown = version.stdout.strip() if version else "?"
        for line in done.stdout.splitlines():
            if line.startswith("RESULT"):
                _, shape, *times = line.split()
                size = 10 if shape == "chain" else 100
                label = f"{name} {shown}: {shape} of {size}"
                found[label] = [float(t) * 1000 for t in times], f"ms  ({NOTES[name]})"
    return found


_VERSION = "import importlib.metadata as m; print(m.version('{name}'))"


def _installed(name: str) -> Path | None:
    """The interpreter of an environment that has the peer; None where it cannot be had."""
    python = FOLDER / name / "bin" / "python"
    if _ask([str(python), "-c", f"import {name}"], timeout=120) is None or not python.exists():
        FOLDER.mkdir(exist_ok=True)
        made = _ask([sys.executable, "-m", "venv", str(FOLDER / name)], timeout=120)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", name]
        if made is None or made.returncode:
            _say(f"{name}: left out, no virtual environment: {_last(made)}")
            return None
        installed = _ask(pip, timeout=600)
        if installed is None or installed.returncode:
            _say(f"{name}: left out, it cannot be installed: {_last(installed)}")
            return None
    return python


def _ask(command: list[str], timeout: float) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=FOLDER.parent)
    except (OSError, subprocess.TimeoutExpired):
        return None


def _last(done: subprocess.CompletedProcess[str] | None) -> str:
    lines = (done.stderr or done.stdout).strip().splitlines() if done else []
    return lines[-1][:200] if lines else "no answer in time"


def _say(what: str) -> None:
    sys.stdout.write(json.dumps(what)[1:-1] + "\n")
