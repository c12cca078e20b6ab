"""What tidemill adds to a node that does nothing, and what its start costs.

    python bench/overhead.py [--repeats N] [--json]

Everything is measured in one go on one machine, next to a bare `subprocess` call that starts and
ends a Python process, so that figures of different machines can be compared as ratios. Wall times
are medians with minimum and maximum; CPU times are user + system of the measured process.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from chain import NODES, chain
from tidemill.dsl.compile import compile_pipeline
from tidemill.metadata.sql import open_store
from tidemill.runners.local.runner import LocalRunner
from tidemill.runtime.call import Isolation

Figures = dict[str, float]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7, help="runs per figure (default 7)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    figures = measure(options.repeats)
    if options.json:
        sys.stdout.write(json.dumps(figures, indent=2) + "\n")
        return
    for name, f in figures.items():
        sys.stdout.write(f"{name:<52} {f['median']:8.1f} {f['min']:8.1f} {f['max']:8.1f}\n")


def measure(repeats: int) -> dict[str, Figures]:
    """All figures, in milliseconds."""
    sys.stdout.write(f"{'milliseconds':<52} {'median':>8} {'min':>8} {'max':>8}\n")
    return {
        "bare subprocess: python -c pass, wall": _wall(lambda: _run("-c", "pass"), repeats),
        f"no-op node in-process, wall per node (chain of {NODES})": _chain("none", repeats),
        f"no-op node isolated, wall per node (chain of {NODES})": _chain("process", repeats),
        f"no-op node in a fresh interpreter, wall per node (chain of {NODES})": _chain("fresh", repeats),
        "python -c pass, CPU": _cpu(repeats, "-c", "pass"),
        "import tidemill, CPU": _cpu(repeats, "-c", "import tidemill"),
        "tidemill --help, CPU": _cpu(repeats, "-m", "tidemill.cli.main", "--help"),
        "python -m tidemill.runtime (imports), CPU": _cpu(repeats, "-c", "import tidemill.runtime.__main__"),
    }


def _chain(isolation: Isolation, repeats: int) -> Figures:
    """Run the chain against a warm store; wall milliseconds per node."""
    ir = compile_pipeline(chain)
    here = str(Path(__file__).parent)
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"sqlite:///{folder}/metadata.db")
        runner = LocalRunner(store=store, metadata="", root=folder, jobs=1, isolation=isolation)

        def once() -> None:
            result = runner.run(ir, code_root=here, new=True)
            assert len(result.outcomes) == NODES, result

        once()
        figures = _wall(once, repeats)
        store.close()
    return {name: value / NODES for name, value in figures.items()}


def _wall(action: Callable[[], None], repeats: int) -> Figures:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        action()
        times.append((time.perf_counter() - started) * 1000)
    return _figures(times)


def _cpu(repeats: int, *words: str) -> Figures:
    times = []
    _run(*words)
    for _ in range(repeats):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        _run(*words)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        times.append(spent * 1000)
    return _figures(times)


def _run(*words: str) -> None:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL, env=environment)


def _figures(times: list[float]) -> Figures:
    return {"median": statistics.median(times), "min": min(times), "max": max(times)}


if __name__ == "__main__":
    main()
