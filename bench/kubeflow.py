"""What compiling for Kubeflow Pipelines costs: 1,000 nodes, and what a container imports before its node.

    [TIDEMILL_KFP_PYTHON=...] python bench/kubeflow.py [--nodes N] [--repeats N] [--json]

Compiling is from the IR to the texts of both files, with everything that is checked on the way. One DAG of
1,000 nodes is then refused, since KFP cannot run it, so the steps are taken one by one. The import is that of
the entrypoint in a fresh interpreter. With TIDEMILL_KFP_PYTHON, an interpreter that has kfp, kfp's own
compiler is measured in alternation on a chain of as many container components. Medians, in seconds.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.errors import DefinitionError
from tidemill.ir.model import PipelineIR
from tidemill.runners.kubeflow import check, files
from tidemill.runners.kubeflow.spec import compile_spec
from tidemill.runners.kubeflow.target import Target

ENTRY = "tidemill.runners.kubeflow.entry"
HEAVY = (
    "numpy",
    "polars",
    "pandas",
    "pyarrow",
    "sklearn",
    "torch",
    "lightgbm",
    "kfp",
    "google.protobuf",
    "yaml",
)
"""Libraries that the entrypoint must not import."""
GOALS = {"compile": 1.0, "import": 0.3}
"""Seconds of CPU: 1,000 nodes, and the entrypoint."""
PIPELINE = """
from tidemill import Input, Integer, component, pipeline

@component
def step(a: Input[Integer] | None = None, *, number: int) -> int:
    "Something."
    return number

@pipeline
def chain() -> None:
    "One after another."
    last = None
    for number in range({nodes}):
        last = step(last, number=number).with_id(f"step_{{number}}").outputs.result
"""
KFP = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
from kfp import compiler, dsl
nodes, file = int(sys.argv[1]), sys.argv[2]

@dsl.container_component
def step(a: dsl.InputPath(str) if False else str, number: int, result: dsl.OutputPath(str)):
    return dsl.ContainerSpec(
        image="r.example/p@sha256:0", command=["python", "-m", "entry"], args=[a, str(number), result]
    )

def work():
    @dsl.pipeline(name="chain")
    def chain():
        last = ""
        for number in range(nodes):
            last = step(a=last, number=number).outputs["result"]
    compiler.Compiler().compile(chain, file)

cpu, wall = time.process_time(), time.perf_counter()
work()
print("RESULT", json.dumps([time.process_time() - cpu, time.perf_counter() - wall]))
"""
IMPORT = """
import json, sys, time
cpu, wall = time.process_time(), time.perf_counter()
__import__(sys.argv[1])
spent = [time.process_time() - cpu, time.perf_counter() - wall]
print("RESULT", json.dumps([*spent, *[m for m in sys.argv[2].split(",") if m in sys.modules]]))
"""

Times = tuple[float, float]
"""CPU and wall time, in seconds."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--nodes", type=int, default=1000, help="nodes of the pipeline (default 1000)")
    parser.add_argument("--repeats", type=int, default=5, help="times each figure is taken (default 5)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    figures, size = measure(options.nodes, options.repeats)
    if options.json:
        sys.stdout.write(json.dumps({"seconds": figures, "bytes": size}, indent=2) + "\n")
        return
    sys.stdout.write(f"{'':<52} {'CPU s':>8} {'wall s':>8}\n")
    for name, times in figures.items():
        cpu, wall = (statistics.median(column) for column in zip(*times, strict=True))
        sys.stdout.write(f"{name:<52} {cpu:8.3f} {wall:8.3f}\n")
    sys.stdout.write(f"bytes of the pipeline's file: {size}\n")
    sys.stdout.write(f"goals: compile 1,000 nodes {GOALS['compile']} CPU-s, import {GOALS['import']} CPU-s\n")


def measure(nodes: int, repeats: int) -> tuple[dict[str, list[Times]], int]:
    """Every figure by what it is of, and the size of the pipeline's file."""
    python = os.environ.get("TIDEMILL_KFP_PYTHON", "")
    found: dict[str, list[Times]] = {}
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "chain.py"
        source.write_text(PIPELINE.format(nodes=nodes), encoding="utf-8")
        ir = compile_pipeline(load_pipeline(str(source))[0])
        for _ in range(repeats):
            for step, times in steps(ir).items():
                found.setdefault(step, []).append(times)
            if python:
                spent = asked(python, KFP, str(nodes), str(Path(name) / "kfp.yaml"))
                found.setdefault("kfp's own compiler, a chain of as many", []).append((spent[0], spent[1]))
        if importlib.util.find_spec(ENTRY):
            found["import of the entrypoint"] = [imported() for _ in range(repeats)]
        text = files.document(compile_spec(ir, target()))
    return found, len(text.encode())


def target() -> Target:
    """Somewhere."""
    return Target(image=f"r.example/p@sha256:{'0' * 64}", metadata="http://tidemill:8000", root="/data")


def steps(ir: PipelineIR) -> dict[str, Times]:
    """What compiling takes, in all and step by step."""
    made = compile_spec(ir, target())
    text = files.document(made)

    def judged() -> None:
        with suppress(DefinitionError):  # too large for KFP
            check.check(ir, target(), made, text)
        with suppress(DefinitionError):
            check.lint(ir, made)

    found = {
        "IR to KFP's documents": timed(lambda: compile_spec(ir, target())),
        "documents to YAML": timed(lambda: files.document(made)),
        "custom resources": timed(lambda: files.resources(made, target(), ir)),
        "checks and linter": timed(judged),
    }
    total = (sum(cpu for cpu, _ in found.values()), sum(wall for _, wall in found.values()))
    return {"compile, all of it": total, **{f"  {name}": times for name, times in found.items()}}


def timed(work: Callable[[], object]) -> Times:
    """CPU and wall time of one call."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def imported() -> Times:
    """The import in a fresh interpreter; it ends the benchmark when it brings a library along."""
    cpu, wall, *heavy = asked(sys.executable, IMPORT, ENTRY, ",".join(HEAVY))
    if heavy:
        sys.exit(f"the entrypoint imports {', '.join(map(str, heavy))}")
    return cpu, wall


def asked(python: str, program: str, *words: str) -> list[float]:
    """What a program in another interpreter found."""
    done = subprocess.run([python, "-c", program, *words], capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        sys.exit(done.stderr)
    found: list[float] = json.loads(lines[0].removeprefix("RESULT "))
    return found


if __name__ == "__main__":
    main()
