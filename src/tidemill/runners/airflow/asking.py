"""What a task asks Airflow about runs: whether it drives one, and what was cleared in one that ended.

The states of a run's tasks say which nodes Airflow is about to do again: what was cleared has none yet, what
was not still has its last one. Questions go through the task's own context, so this needs no Airflow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tidemill.ir.model import PipelineIR
from tidemill.metadata.model import Run
from tidemill.runners.airflow import names
from tidemill.runners.base.again import Started
from tidemill.runners.base.task import Failed

_DONE = ("success", "skipped", "removed")
_ENDED = (*_DONE, "failed", "upstream_failed")


def driven_by(context: Mapping[str, Any]) -> Callable[[Run], bool]:
    """Whether Airflow still drives a run of the record; of one that it does not know, that is not known."""

    def ask(run: Run) -> bool:
        engine, _, rest = run.owner.partition("/")
        dag, _, run_id = rest.partition("/")
        if engine != "airflow":
            return True
        count = context["ti"].get_dr_count(dag_id=dag, run_ids=[run_id], states=["queued", "running"])
        return bool(count)

    return ask


def still_runs(context: Mapping[str, Any]) -> bool:
    """Whether the task is running to Airflow, and not marked, cleared, removed or given up by it."""
    ti = context["ti"]
    asked = ti.get_task_states(dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id])
    index = getattr(ti, "map_index", None)
    name = ti.task_id if index is None or index < 0 else f"{ti.task_id}_{index}"
    return str(asked.get(ti.run_id, {}).get(name) or "") == "running"


def turn_of(context: Mapping[str, Any]) -> int:
    """How often tasks of the run were cleared so far."""
    return int(getattr(context["dag_run"], "clear_number", 0) or 0)


def cleared(context: Mapping[str, Any], ir: PipelineIR) -> Started:
    """What is done again in the run of a task. See `started_of`."""
    dag_run = context["dag_run"]
    asked = context["ti"].get_task_states(dag_id=dag_run.dag_id, run_ids=[dag_run.run_id])
    return started_of(asked.get(dag_run.run_id, {}), ir)


def started_of(states: Mapping[str, str | None], ir: PipelineIR) -> Started:
    """What is done again, by the states of all tasks of a run: of a mapped task `TASK_INDEX` has one each.

    Failed when the last task is not among it: then nothing would ever end the new run.
    """
    if str(states.get(names.RUN_END) or "") in _ENDED:
        raise Failed(
            "the run of this task ended, and the task was cleared without those after it: clear it again, "
            "together with its downstream tasks"
        )
    nodes, kept = [], []
    for node in ir.nodes:
        name = names.task_id(node.id)
        mine = [str(states[name] or "")] if name in states else []
        if node.loops:
            mapped = (key for key in states if key.startswith(f"{name}_") and key[len(name) + 1 :].isdigit())
            mine += [str(states[key] or "") for key in mapped]
        again = [state for state in mine if state not in _DONE]
        if again:
            nodes.append(node.id)
        if again and len(again) < len(mine):
            kept.append(node.id)
    return Started(nodes=nodes, kept=kept)
