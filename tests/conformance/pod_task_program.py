"""One try of a task whose node has a pod, in a process that can be lost: FILE TRY on the command line.

The DAG file is read, and the operator of the only node executed, with as much of a context as Airflow gives.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any


def main(file: str, number: int) -> None:
    scope: dict[str, Any] = {"__file__": file, "__name__": Path(file).stem}
    exec(compile(Path(file).read_text(), file, "exec"), scope)
    dag = scope["dag"]
    run = {"dag_id": dag.dag_id, "run_id": "scheduled__1", "run_type": "scheduled", "clear_number": 0}
    ti = SimpleNamespace(
        dag_id=dag.dag_id, task_id="hold", map_index=-1, try_number=number, xcom_push=lambda **_: None
    )
    context = {
        "ti": ti,
        "run_id": "scheduled__1",
        "dag": dag,
        "dag_run": SimpleNamespace(**run),
        "params": {},
    }
    dag.get_task("hold").execute(context)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
