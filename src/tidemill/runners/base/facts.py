"""What a run has to say of itself when somebody is told of it: its state, and what failed, as plain JSON."""

from __future__ import annotations

from typing import Any

from tidemill.ir import codec
from tidemill.metadata.model import FAILURE, NodeState, RunState
from tidemill.metadata.store import MetadataStore
from tidemill.runtime.launch import LOG
from tidemill.runtime.loops import place

MOST_FAILURES = 20
"""Failures that are told one by one; `failed` counts all."""


def facts_of(store: MetadataStore, run_id: str) -> dict[str, Any]:
    """Run, pipeline, version, date, state, counts and failures of a run, and a `message` of one line.

    Of each failure: node (its place), class, message, attempt, execution, log. A run that is not on record
    has the state UNKNOWN: the engine failed before anything of it began.
    """
    run = store.get_run(run_id)
    if run is None:
        return {
            "run": run_id, "state": "UNKNOWN", "pipeline": "", "version": "", "date": "", "failed": 0,
            "failures": [], "message": f"run {run_id} is not on record: no task of it got as far",
        }  # fmt: skip
    ir = codec.loads(store.get_pipeline_version(run.version))
    failed = [r for r in store.get_nodes(run.id) if r.state is NodeState.FAILED]
    executions = {e.id: e for e in store.get_executions_by_id([r.execution_id for r in failed])}
    failures = []
    for record in failed[:MOST_FAILURES]:
        known = executions[record.execution_id].custom_properties
        failures.append(
            {
                "node": place(ir, record.node_id, record.iteration),
                "class": str(known.get(FAILURE, "")),
                "message": record.message,
                "attempt": record.attempt,
                "execution": record.execution_id,
                "log": str(known.get(LOG, "")),
            }
        )
    return {
        "run": run.id, "state": run.state.value, "pipeline": run.pipeline, "version": run.version,
        "date": run.date, "failed": len(failed), "failures": failures,
        "message": _message(run.pipeline, run.id, run.state, run.date, failures, len(failed)),
    }  # fmt: skip


def _message(
    pipeline: str, run_id: str, state: RunState, date: str, failures: list[dict[str, Any]], count: int
) -> str:
    text = f"{pipeline}{f' of {date}' if date else ''} is {state.value} (run {run_id})"
    if failures:
        first = failures[0]
        text += f": {first['node']} failed [{first['class']}] {first['message']}".rstrip()
        text += f", and {count - 1} more" if count > 1 else ""
    return text
