"""What a DAG of ours costs Airflow: parsing one of 500 nodes, and what a task does before its node starts.

    TIDEMILL_AIRFLOW_PYTHON=... python bench/airflow_dags.py [--nodes N] [--repeats N] [--json]

The interpreter that the variable names has apache-airflow and this tidemill. Airflow's own import comes first
and is not counted. CPU times, medians with minimum and maximum, in milliseconds, all from one process of it.
A plain DAG of as many EmptyOperators in a row is measured in alternation, so that machines can be compared.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.runners.airflow.files import dag_files

PIPELINE = """
from tidemill import component, pipeline

@component
def nothing(step: int) -> None:
    "Do nothing."

@pipeline
def wide() -> None:
    "A chain."
    before = None
    for step in range({nodes}):
        node = nothing(step=step).with_id(f"nothing_{{step}}")
        if before is not None:
            before >> node
        before = node
"""
PROGRAM = """
import json, statistics, sys, time
from datetime import UTC, datetime
from pathlib import Path
import airflow.sdk
from airflow.providers.standard.operators.empty import EmptyOperator
import tidemill.runners.airflow
from tidemill.metadata.model import NodeState
from tidemill.runtime.execute import CancelToken
from tidemill.runtime.launch import Outcome

file, folder, repeats = sys.argv[1], sys.argv[2], int(sys.argv[3])
text = Path(file).read_text()
code = compile(text, file, "exec")
nodes = len(json.loads(next(Path(file).parent.glob("*.json")).read_text())["nodes"])

def cpu(work):
    before = time.process_time()
    work()
    return (time.process_time() - before) * 1000

def ours():
    scope = {"__file__": file, "__name__": "dag"}
    exec(code, scope)
    return scope["dag"]

def plain():
    with airflow.sdk.DAG("plain", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC)):
        before = None
        for i in range(nodes):
            made = EmptyOperator(task_id=f"n{i}")
            if before is not None:
                before >> made
            before = made

found = {"import of the operators, once": [cpu(lambda: __import__("tidemill.runners.airflow.dag"))]}
pairs = [(cpu(ours), cpu(plain)) for _ in range(repeats)]
found["parse: ours"] = [a for a, _ in pairs]
found["parse: a plain DAG of as many tasks"] = [b for _, b in pairs]

from tidemill.runners.base import task
settings = ours().get_task("nothing_1").settings
store = task.open_store(settings.metadata)
run = task.EngineRun(record_id="wide-1", owner="airflow/wide/1", date="")
task.sure_of_run(store, settings, run)
task.launch = lambda call, store, **_: Outcome(state=NodeState.COMPLETE, node_id=call.node_id)
start = lambda: task.launch_node(settings, run, "nothing_0", store=store, attempt=1, cancel=CancelToken())
found["a task: from execute() to the launcher and back"] = [cpu(start) for _ in range(repeats)]
def opened():
    with task.opened(settings.metadata):
        pass
found["a task: opening the store"] = [cpu(opened) for _ in range(repeats)]
print("RESULT", json.dumps(found))
"""
GOAL = 150.0
"""Milliseconds for the 500 nodes."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--nodes", type=int, default=500, help="nodes of the pipeline (default 500)")
    parser.add_argument("--repeats", type=int, default=9, help="times each figure is taken (default 9)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    python = os.environ.get("TIDEMILL_AIRFLOW_PYTHON", "")
    if not python:
        sys.exit("TIDEMILL_AIRFLOW_PYTHON names no interpreter with Airflow")
    figures = measure(python, options.nodes, options.repeats)
    if options.json:
        sys.stdout.write(json.dumps(figures, indent=2) + "\n")
        return
    for name, times in figures.items():
        middle = sorted(times)[len(times) // 2]
        sys.stdout.write(f"{name:<52} {middle:8.1f} {min(times):8.1f} {max(times):8.1f}\n")
    sys.stdout.write(f"goal for 500 nodes: at most {GOAL:.0f} ms for a parse\n")


def measure(python: str, nodes: int, repeats: int) -> dict[str, list[float]]:
    """Every figure, by what it is of."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "code" / "wide.py"
        source.parent.mkdir()
        source.write_text(PIPELINE.format(nodes=nodes), encoding="utf-8")
        ir = compile_pipeline(load_pipeline(str(source))[0])
        for file, text in dag_files(ir, code_root="../code", root=str(folder / "root")).items():
            (folder / "dags" / file).parent.mkdir(exist_ok=True)
            (folder / "dags" / file).write_text(text, encoding="utf-8")
        (folder / "root").mkdir()
        done = subprocess.run(
            [python, "-c", PROGRAM, str(folder / "dags" / "wide_dag.py"), name, str(repeats)],
            env={**os.environ, "AIRFLOW_HOME": str(folder / "home"), "TIDEMILL_METADATA": ""},
            capture_output=True, text=True, check=False, cwd=folder,
        )  # fmt: skip
        lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
        if not lines:
            sys.exit(done.stderr)
        found: dict[str, list[float]] = json.loads(lines[0].removeprefix("RESULT "))
        return found


if __name__ == "__main__":
    main()
