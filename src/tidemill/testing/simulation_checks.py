"""What must hold of the record when a simulated run is over, whatever happened meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidemill.ir import model as ir
from tidemill.metadata.model import EventType, NodeState, RunState
from tidemill.metadata.sql import SqlStore


def check(store: SqlStore, pipeline: ir.PipelineIR, times: Mapping[str, int]) -> None:
    """The record is sound, each place ended once, and nothing that ended ran again."""
    findings = store.findings()
    assert findings == [], [finding.what for finding in findings]
    (run,) = store.get_runs()
    assert run.state is not RunState.RUNNING
    ended: dict[str, str] = {}
    for execution in store.get_executions(run.id):
        place = execution.name.rsplit("/", 1)[0]
        assert place not in ended, f"{execution.name} ran after {ended[place]} had succeeded"
        if execution.state.name in ("COMPLETE", "CACHED"):
            ended[place] = execution.name
    performed = {int(Path(folder).name): count for folder, count in times.items()}
    nodes = {n.id: n for n in pipeline.nodes}
    for record in store.get_nodes(run.id):
        assert record.state is not NodeState.RUNNING
        if record.state is NodeState.COMPLETE and nodes[record.node_id].kind == "component":
            assert performed.get(record.execution_id) == 1, f"{record.node_id}: not performed once"


def lineage(store: SqlStore, run_id: str) -> dict[str, Any]:
    """How each place ended, and what went in and came out, whatever attempts it took."""
    records = store.get_nodes(run_id)
    place_of = {r.execution_id: f"{r.node_id}/{r.iteration}" for r in records}
    events = store.get_events(execution_ids=list(place_of))
    made = {e.artifact_id: place_of[e.execution_id] for e in events if e.type is EventType.OUTPUT}
    values = {a.id: a.custom_properties.get("digest") for a in store.get_artifacts_by_id(list(made))}
    found: dict[str, Any] = {place_of[r.execution_id]: [r.state.value] for r in records}
    for e in events:
        found[place_of[e.execution_id]].append(
            f"{e.type.name} {e.path} {made[e.artifact_id]} {values[e.artifact_id]}"
        )
    run = store.get_run(run_id)
    assert run is not None
    return {"state": run.state.value, **{place: sorted(told) for place, told in sorted(found.items())}}
