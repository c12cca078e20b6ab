"""The process that a task's executor will be forked from, begun while Airflow still makes the task ready.

A fresh interpreter takes longer to import what an executor needs than everything else before the user's code.
In the process of a task Airflow says which one it is about to run while the DAG file is read; from there to
`execute` it has work of its own for longer than those imports take.
"""

from __future__ import annotations

from collections.abc import Collection

from tidemill.ir.model import PipelineIR
from tidemill.runners.airflow import names
from tidemill.runtime.spawner import PRELOAD, Spawner

_begun: list[Spawner] = []


def begin(ir: PipelineIR, dag: str, elsewhere: Collection[str] = ()) -> None:
    """Where a task of the DAG is about to run whose executor is forked: begin what it is forked from.

    `elsewhere`: nodes whose executor runs in another interpreter.
    """
    from airflow.sdk import get_parsing_context

    here = get_parsing_context()
    if here.task_id is None or here.dag_id != dag or _begun:
        return
    node = next((node for node in ir.nodes if names.task_id(node.id) == here.task_id), None)
    if (
        node is None
        or node.id in elsewhere
        or node.kind != "component"
        or node.options.environment is not None
    ):
        return
    if node.options.isolation in ("", "process"):
        spawner = Spawner(PRELOAD)
        spawner.warm()
        _begun.append(spawner)


def taken() -> Spawner:
    """What was begun, or one that begins when it is needed; the caller closes it."""
    return _begun.pop() if _begun else Spawner(PRELOAD)
