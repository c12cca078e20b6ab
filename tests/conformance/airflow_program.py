"""Runs pipelines with `dag.test()` in an interpreter that has Airflow: one order per line in, one state out.

AIRFLOW_HOME is an empty folder of the caller's. Only what the order says is known here: the test that asks
has no Airflow, and this program no test.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.configuration import conf
from airflow.sdk.execution_time import supervisor
from airflow.utils.db import initdb

FILE = """from airflow.sdk import DAG
from tidemill.runners.airflow import load_dag
dag = load_dag({ir!r}, code_root={code_root!r}, metadata={metadata!r}, root={root!r}, workdir={workdir!r})
"""


def main() -> None:
    logging.disable(logging.WARNING)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever Airflow prints or logs, it is no answer
    # Before 3.3 Airflow makes the application of its API server anew for each task, for seconds of CPU time.
    supervisor.in_process_api_server = functools.cache(supervisor.in_process_api_server)
    initdb()
    dags = Path(conf.get("core", "dags_folder"))
    dags.mkdir(parents=True, exist_ok=True)
    moment = datetime(2024, 3, 1, tzinfo=UTC)
    for line in sys.stdin:
        order = json.loads(line)
        moment += timedelta(minutes=1)  # a run of each minute
        try:
            answer = {"state": run(order, dags, moment)}
        except Exception as error:
            logging.getLogger().critical("%s", error, exc_info=True)
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def run(order: dict[str, Any], dags: Path, moment: datetime) -> str:
    for other in dags.glob("*.py"):
        other.unlink()
    path = dags / f"dag_{order['name']}.py"
    given = {k: order[k] for k in ("ir", "code_root", "metadata", "root", "workdir") if k in order}
    path.write_text(order.get("file") or FILE.format(**given))
    scope: dict[str, Any] = {"__file__": str(path), "__name__": path.stem}
    exec(compile(path.read_text(), path, "exec"), scope)
    dag_run = scope["dag"].test(logical_date=moment, run_conf=order["conf"])
    return str(dag_run.state)


if __name__ == "__main__":
    main()
