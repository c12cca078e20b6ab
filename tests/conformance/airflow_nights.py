"""The recommender's nights: by its own demo, and by Airflow. What must be the same is read from the record.

The demo runs in Airflow's interpreter, for models are compared byte by byte, and libraries of another version
may fit another one.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.ir.model import PipelineIR
from tidemill.metadata.sql import open_store
from tidemill.runners.airflow.files import dag_files

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLE = REPOSITORY / "examples" / "recommender"
FIRST, COUNT, BAD = date(2026, 3, 2), 5, 4
"""The demo's first day, how many there are, and the number of the bad one."""


def simulate(folder: Path) -> None:
    """Write the days' files."""
    simulator = _module(EXAMPLE / "simulate.py")
    for index in range(COUNT):
        simulator.simulate_day(FIRST + timedelta(days=index), folder, bad=index + 1 == BAD)


def by_the_demo(python: str, root: Path) -> dict[str, Any]:
    """Play the demo in an empty folder; what its record says then."""
    done = subprocess.run(
        [python, str(EXAMPLE / "demo.py"), "--json", "--root", str(root)], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["broken"] == []
    return nights(f"sqlite:///{root}/metadata.db")


def nights(metadata: str) -> dict[str, Any]:
    """By day: how the run ended, what became of each node, digest of the model, blessing, pushed version."""
    found: dict[str, Any] = {}
    with closing(open_store(metadata)) as store:
        for run in store.get_runs(limit=100):
            made = {a.type: a for a in store.get_artifacts(run_id=run.id, limit=1000)}
            states = {r.node_id: r.state.value for r in store.get_nodes(run.id)}
            model, blessing, pushed = (made.get(n) for n in ("Model", "ModelBlessing", "PushedModel"))
            assert run.date not in found, "one run of each day"
            found[run.date] = {
                "state": run.state.value,
                "nodes": states,
                "model": model.custom_properties["digest"] if model else "",
                "blessed": blessing.custom_properties["blessed"] if blessing else None,
                "pushed": pushed.custom_properties.get("pushed_version") if pushed else None,
            }
    return found


def by_airflow(site: Any, folder: Path, *, backfill: bool) -> dict[str, Any]:
    """Have Airflow run the pipeline for each day, by its schedule or by a backfill; what the record says.

    The files are those that `tidemill compile` writes, but that the DAG has the first and the last day among
    its options, or its schedule would go on to the present.
    """
    metadata, last = f"sqlite:///{folder}/metadata.db", FIRST + timedelta(days=COUNT - 1)
    simulate(folder / "data")
    ir = replace(_compiled(folder), name="nights_by_backfill" if backfill else "nights_by_schedule")
    files = dag_files(
        ir, code_root=str(EXAMPLE), metadata=metadata, root=str(folder / "root"), workdir=str(REPOSITORY)
    )
    options = (
        f"    start_date=datetime({FIRST:%Y, %-m, %-d}, tzinfo=UTC), "
        f"end_date=datetime({last:%Y, %-m, %-d}, tzinfo=UTC),\n"
        f"    catchup={not backfill}, max_active_runs=1,\n)"
    )
    imports = "from datetime import UTC, datetime\nfrom pathlib"
    text = files[f"{ir.name}_dag.py"].replace("from pathlib", imports)
    files[f"{ir.name}_dag.py"] = text.rstrip().removesuffix(")") + options
    site.write(files)
    site.known(ir.name)
    if backfill:
        _backfill(site, ir.name, last)
    kind = "backfill" if backfill else "scheduled"

    def ended() -> bool:
        runs = [run for run in site.runs(ir.name) if run["run_type"] == kind]
        return len(runs) >= COUNT and all(run["state"] in ("success", "failed") for run in runs)

    site.wait(ended, 1500, f"{COUNT} nights of {ir.name}")
    return nights(metadata)


def _backfill(site: Any, dag_id: str, last: date) -> None:
    """Ask for all nights. On SQLite the command asks for a write lock in a transaction that has read before,
    which fails at once while anybody else writes, however long it may wait: it leaves nothing, and is
    repeated, as docs/airflow.md says.
    """
    command = (
        "backfill", "create", "--dag-id", dag_id, "--from-date", f"{FIRST}", "--to-date", f"{last}",
        "--max-active-runs", "1",
    )  # fmt: skip
    for left in reversed(range(10)):
        try:
            site.airflow(*command)
            return
        except AssertionError as error:
            if not left or "database is locked" not in str(error):
                raise


def _compiled(folder: Path) -> PipelineIR:
    """The pipeline, whose data and serving folder are in `folder` unless a run says otherwise."""
    ir = compile_pipeline(load_pipeline(str(EXAMPLE / "pipeline.py"))[0])
    places = {name: str(folder / name) for name in ("data", "serving")}
    parameters = [replace(p, default=places.get(p.name, p.default)) for p in ir.parameters]
    return replace(ir, parameters=tuple(parameters))


def _module(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
