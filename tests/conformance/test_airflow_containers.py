"""A node in a container of its own, on Airflow's worker: a real engine, a real task of Airflow's. On demand.

TIDEMILL_AIRFLOW_PYTHON names an interpreter with Airflow, and TIDEMILL_CONTAINERS is set; container_site.py
makes the image and sets podman up.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.ir import codec
from tidemill.metadata.open import open_store

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from container_site import PYTHON as INSIDE  # noqa: E402 - beside this file
from container_site import Site, container_site, missing  # noqa: E402

PYTHON = os.environ.get("TIDEMILL_AIRFLOW_PYTHON", "")
WHY = missing() or ("" if PYTHON else "TIDEMILL_AIRFLOW_PYTHON names no interpreter with Airflow")

pytestmark = [pytest.mark.skipif(bool(WHY), reason=WHY), pytest.mark.timeout(900)]

PIPELINE = """
from tidemill import Container, component, pipeline

@component
def inside(number: int) -> dict:
    "Where it runs."
    import os, platform
    where = {"pid": os.getppid(), "host": os.uname().nodename}
    return {"number": number, "python": platform.python_version(), **where}

@component
def hangs() -> int:
    "Until its time is up."
    import threading
    threading.Event().wait(600)
    return 1

@component
def after(found: dict) -> int:
    "In Airflow's own environment."
    import airflow
    return found["number"]

@pipeline
def contained(number: int = 1, hang: bool = False) -> None:
    "One in a container, one after it, one that is ended."
    from tidemill import When
    after(found=inside(number=number).with_options(environment=Container(image="IMAGE")).outputs.result)
    with When(hang):
        hangs().with_options(environment=Container(image="IMAGE"), timeout=3.0)
"""
FILE = """from airflow.sdk import DAG
from tidemill.runners.airflow import load_dag
dag: DAG = load_dag({ir!r}, code_root={code_root!r}, metadata={metadata!r}, root={root!r})
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with container_site(tmp_path_factory.mktemp("site")) as made:
        made.podman("pull", "--quiet", "--tls-verify=false", made.base)
        yield made


def test_a_node_runs_in_its_container_and_nothing_of_it_stays(site: Site, tmp_path: Path) -> None:
    (tmp_path / "contained.py").write_text(PIPELINE.replace("IMAGE", site.base), encoding="utf-8")
    ir = compile_pipeline(load_pipeline(str(tmp_path / "contained.py"))[0])
    (tmp_path / "contained.json").write_text(codec.dumps(ir), encoding="utf-8")
    metadata, home = f"sqlite:///{tmp_path}/metadata.db", tmp_path / "airflow"
    text = FILE.format(
        ir=str(tmp_path / "contained.json"), code_root=str(tmp_path), metadata=metadata,
        root=str(tmp_path / "root"),
    )  # fmt: skip
    settings = {
        **site.environ, "TIDEMILL_CONTAINER_ENGINE": "podman", "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": f"{home}/dags", "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR", "PYTHONWARNINGS": "ignore",
    }  # fmt: skip
    orders = [{"name": "contained", "file": text, "conf": conf} for conf in ({}, {}, {"hang": True})]
    done = subprocess.run(
        [PYTHON, str(HERE / "airflow_program.py")], input="\n".join(map(json.dumps, orders)), text=True,
        stdout=subprocess.PIPE, env={**os.environ, **settings}, check=True, timeout=600,
    )  # fmt: skip
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"')]
    assert answers == [{"state": "success"}, {"state": "success"}, {"state": "failed"}]
    with closing(open_store(metadata)) as store:
        runs = [*reversed(store.get_runs(limit=9))]
        states = [{n.node_id: n.state.value for n in store.get_nodes(run.id)} for run in runs]
        ids = {n.node_id: n.execution_id for n in store.get_nodes(runs[0].id)}
        (execution,) = store.get_executions_by_id([ids["inside"]])
        value: dict[str, Any] = json.loads(
            Path(store.get_outputs([ids["inside"]])[ids["inside"]]["result"][0].uri, "value.json").read_text()
        )
        (hung,) = [n for n in store.get_nodes(runs[2].id) if n.node_id == "hangs"]
    assert states == [
        {"inside": "COMPLETE", "after": "COMPLETE", "hangs": "SKIPPED"},
        {"inside": "CACHED", "after": "CACHED", "hangs": "SKIPPED"},
        {"inside": "CACHED", "after": "CACHED", "hangs": "FAILED"},
    ]
    assert (value["python"], value["pid"]) == (INSIDE, 1), "the child of a container's first process"
    assert value["host"] != os.uname().nodename
    assert str(execution.custom_properties["tidemill.image"]).startswith(f"{site.base}@")
    assert "3" in hung.message, hung.message
    pause, end = threading.Event(), time.monotonic() + 60
    while left := site.podman("ps", "--all", "--no-trunc").splitlines()[1:]:
        assert time.monotonic() < end, f"the container of the node that was ended is still there: {left}"
        pause.wait(0.5)
