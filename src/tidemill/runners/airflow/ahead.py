"""What a task of Airflow's needs soon, begun while its DAG file is read.

A fresh interpreter takes longer to import what an executor needs than all else before the user's code takes.
In the process of a task Airflow says which one it is about to run while the DAG file is read. The rest of
that, and Airflow's own work until `execute`, takes longer than those imports, so nothing heavy may be loaded
before `begin` was called: neither by this module nor by those that call it.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import TYPE_CHECKING

from tidemill.runners.airflow import names
from tidemill.runtime.spawner import PRELOAD, Spawner

if TYPE_CHECKING:
    from tidemill.ir.model import PipelineIR

_begun: list[Spawner] = []


def begin(dag: str) -> None:
    """Where a task of the DAG is about to run: begin the process that its executor is forked from.

    Whether it has one is not known yet; see `settle`.
    """
    task = _task_of(dag)
    if task not in ("", names.RUN_END) and not _begun:
        spawner = Spawner(PRELOAD)
        spawner.warm()
        _begun.append(spawner)


def settle(ir: PipelineIR, metadata: str, elsewhere: Collection[str] = ()) -> None:
    """Where a task of the pipeline is about to run: load what opens the metadata store, and end what was
    begun if the task's executor is not forked.

    `elsewhere`: nodes whose executor runs in another interpreter.
    """
    task = _task_of(names.dag_id(ir.name))
    if not task:
        return
    node = next((node for node in ir.nodes if names.task_id(node.id) == task), None)
    if (
        node is None
        or node.id in elsewhere
        or node.kind != "component"
        or node.options.environment is not None
        or node.options.isolation not in ("", "process")
    ):
        while _begun:
            _begun.pop().close()
    from tidemill.metadata.open import load

    load(metadata)


def taken() -> Spawner:
    """What was begun, or one that begins when it is needed; the caller closes it."""
    return _begun.pop() if _begun else Spawner(PRELOAD)


def _task_of(dag: str) -> str:
    """The task of the DAG that this process is about to run, if it is one's."""
    if "airflow" not in sys.modules:
        return ""
    from airflow.sdk import get_parsing_context

    here = get_parsing_context()
    return here.task_id or "" if here.dag_id == dag else ""
