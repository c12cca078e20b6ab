"""What a pipeline costs Airflow beyond Airflow: parsing a DAG of 500 nodes, and starting a node in a task.

    TIDEMILL_AIRFLOW_PYTHON=... python bench/airflow.py [--nodes N] [--repeats N] [--tasks N] [--real-time]
        [--json]

The interpreter that the variable names has apache-airflow and this tidemill. A plain DAG of as many
EmptyOperators in a row is parsed in alternation with ours, after Airflow's own import: CPU times of one
process. Then a whole Airflow is started, whose tasks are by turns a node of ours and a bare PythonOperator:
wall times from the call of `execute` to the first line of the user's code, each in a process that Airflow
made for it, which says little on a machine that does other things. With --real-time, which takes root,
Airflow's processes come before all others there, as on a machine of their own. Medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from goals import Goal
from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.runners.airflow.files import dag_files
from tidemill.runtime.processes import descendants

SITE = Path(__file__).parents[1] / "tests" / "conformance"
WIDE = """
from tidemill import component, pipeline

@component
def nothing(step: int) -> None:
    "Do nothing."

@pipeline
def wide() -> None:
    "A chain."
    before = None
    for step in range({count}):
        node = nothing(step=step).with_id(f"nothing_{{step}}")
        if before is not None:
            before >> node
        before = node
"""
PARSE = """
import json, sys, time
from datetime import UTC, datetime
from pathlib import Path
import airflow.sdk
from airflow.providers.standard.operators.empty import EmptyOperator
import tidemill.runners.airflow.dag

file, nodes, repeats = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
code = compile(Path(file).read_text(), file, "exec")

def cpu(work):
    before = time.process_time()
    work()
    return (time.process_time() - before) * 1000

def ours():
    exec(code, {"__file__": file, "__name__": "dag"})

def plain():
    with airflow.sdk.DAG("plain", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC)):
        before = None
        for i in range(nodes):
            made = EmptyOperator(task_id=f"n{i}")
            if before is not None:
                before >> made
            before = made

pairs = [(cpu(ours), cpu(plain)) for _ in range(repeats)]
print("RESULT", json.dumps({"ours": [a for a, _ in pairs], "plain": [b for _, b in pairs]}))
"""
STARTS = """
from tidemill import component, pipeline

@component
def begin(step: int, place: str) -> None:
    "Note when it begins."
    import pathlib, time
    now = time.monotonic()
    pathlib.Path(place, f"ours_{{step}}.body").write_text(str(now))

@pipeline
def starts(place: str = {place!r}) -> None:
    "Nodes by turns with other tasks."
    for step in range({count}):
        begin(step=step, place=place).with_id(f"ours_{{step}}")
"""
STARTS_DAG = """
import time
from pathlib import Path
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG
from tidemill.runners.airflow import load_dag

PLACE = Path({place!r})
dag: DAG = load_dag(Path(__file__).parent / "starts.json", code_root={code!r}, root={root!r})

def note(context):
    (PLACE / (context["ti"].task_id + ".execute")).write_text(str(time.monotonic()))

def begin(name):
    now = time.monotonic()
    (PLACE / (name + ".body")).write_text(str(now))

before = None
for step in range({count}):
    name = "plain_" + str(step)
    plain = PythonOperator(task_id=name, python_callable=begin, op_args=[name], dag=dag)
    ours = dag.get_task("ours_" + str(step))
    if before is not None:
        before >> ours
    ours >> plain
    before = plain
for task in dag.tasks:
    task.on_execute_callback = [note]
"""


def main() -> None:
    """Measure and print; the exit code is 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--nodes", type=int, default=500, help="nodes of the DAG that is parsed (default 500)"
    )
    parser.add_argument("--repeats", type=int, default=15, help="times it is parsed (default 15)")
    parser.add_argument("--tasks", type=int, default=9, help="nodes that are started; 0: none (default 9)")
    parser.add_argument("--real-time", action="store_true", help="start them before whatever else runs here")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    python = os.environ.get("TIDEMILL_AIRFLOW_PYTHON", "")
    if not python:
        sys.exit("TIDEMILL_AIRFLOW_PYTHON names no interpreter with Airflow")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        parsed = parse(python, Path(name), options.nodes, options.repeats)
        started = (
            start(python, Path(name), options.tasks, real_time=options.real_time) if options.tasks else {}
        )
    goals = [
        goal("W1", f"parse of {options.nodes} nodes in a row; plain: as many EmptyOperators", parsed, 150.0),
        goal("W2", "from execute() to user code in a task; plain: PythonOperator", started, 60.0),
    ]
    if options.json:
        sys.stdout.write(json.dumps([asdict(found) for found in goals], indent=2) + "\n")
    else:
        sys.stdout.write("".join(f"{found}\n" for found in goals))
    sys.exit(any(found.met is False for found in goals))


def goal(number: str, what: str, times: Mapping[str, Sequence[float]], bound: float) -> Goal:
    """The median of ours beside its bound, with the figures behind it."""
    if not times:
        return Goal(number=number, what=what, measured=None, bound=bound, unit="ms", note="not asked for")
    told = [
        f"{name} {statistics.median(found):.1f} ({min(found):.1f} to {max(found):.1f}) ms"
        for name, found in times.items()
    ]
    return Goal(
        number=number, what=what, measured=statistics.median(times["ours"]), bound=bound, unit="ms",
        note=", ".join(told),
    )  # fmt: skip


def parse(python: str, folder: Path, nodes: int, repeats: int) -> dict[str, list[float]]:
    """CPU milliseconds of each parse, ours and plain in alternation."""
    files = written(folder / "wide", WIDE.format(count=nodes), root=folder / "wide-root")
    done = subprocess.run(
        [python, "-c", PARSE, str(files / "wide_dag.py"), str(nodes), str(repeats)],
        env={**os.environ, "AIRFLOW_HOME": str(folder / "parse-home"), "TIDEMILL_METADATA": ""},
        capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        sys.exit(done.stderr)
    found: dict[str, list[float]] = json.loads(lines[0].removeprefix("RESULT "))
    return found


def start(python: str, folder: Path, count: int, *, real_time: bool = False) -> dict[str, list[float]]:
    """Milliseconds from `execute` to the user's code, of nodes and of PythonOperators by turns."""
    sys.path.insert(0, str(SITE))
    from airflow_site import Site  # type: ignore[import-not-found]  # it is the tests'

    place = folder / "starts" / "times"
    files = written(folder / "starts", STARTS.format(count=count, place=str(place)), root=folder / "root")
    place.mkdir()
    dag = STARTS_DAG.format(
        place=str(place), code=str(folder / "starts"), root=str(folder / "root"), count=count
    )
    with Site(python, folder / "home") as site:
        site.write({"starts.json": (files / "starts.json").read_text(), "starts_dag.py": dag})
        site.known("starts")
        for process in [p.pid for p in site.processes.values()] if real_time else ():
            for each in (process, *descendants(process)):  # workers and servers are there by now
                os.sched_setscheduler(each, os.SCHED_RR, os.sched_param(1))
        ended = site.run("starts", {})
        if ended["state"] != "success":
            sys.exit(site.story("starts"))
    found: dict[str, list[float]] = {"ours": [], "plain": []}
    for kind, times in found.items():
        for step in range(count):
            began, body = (float((place / f"{kind}_{step}.{s}").read_text()) for s in ("execute", "body"))
            times.append((body - began) * 1000)
    return found


def written(folder: Path, source: str, *, root: Path) -> Path:
    """A pipeline's module, and beside it the DAG file and the IR; the folder of those two."""
    dags = folder / "dags"
    dags.mkdir(parents=True)
    file = folder / f"{folder.name}.py"
    file.write_text(source, encoding="utf-8")
    for name, text in dag_files(
        compile_pipeline(load_pipeline(str(file))[0]), code_root="..", root=str(root)
    ).items():
        (dags / name).write_text(text, encoding="utf-8")
    return dags


if __name__ == "__main__":
    main()
