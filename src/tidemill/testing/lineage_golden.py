"""What the record says, without what differs from one run to the next: ids, times, places, order.

Two views give the same: our store's, and that of ML Metadata's own client. Each is first a `Record`, plain
lists as an MLMD client reads them; `graph_of` makes them comparable.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tidemill.metadata.model import ArtifactState, Event, EventType, Execution, ExecutionState
from tidemill.metadata.sql import SqlStore

Record = Mapping[str, list[dict[str, Any]]]
"""`executions`, `artifacts`, `events` and `contexts`, as JSON; enums as numbers."""

_ALL = 1_000_000
_REASONS = {
    "error": "error", "skip_reason": "skip_reason", "tidemill.cache": "reason", "tidemill.failure": "failure",
    "tidemill.items": "items",
}  # fmt: skip
"""Custom properties of an execution that say why -> their names in a golden."""
_MOMENTS = {"decided_at"}
"""Custom properties that are times."""


def record_of(store: SqlStore) -> Record:
    """Everything in our store, read through its own interface."""
    executions: list[Execution] = []
    artifacts: dict[int, dict[str, Any]] = {}
    contexts: dict[int, dict[str, Any]] = {}
    for run in reversed(store.get_runs(limit=_ALL)):
        executions += store.get_executions(run.id)
        for artifact in store.get_artifacts(run_id=run.id, limit=_ALL):
            seen = artifacts.setdefault(artifact.id, {**_plain(artifact), "runs": []})
            seen["runs"].append(run.id)
    found = []
    for execution in executions:
        around = store.get_contexts_by_execution(execution.id)
        contexts |= {c.id: {"id": c.id, "type": c.type, "name": c.name} for c in around}
        found.append({**_plain(execution), "contexts": [c.id for c in around]})
    events = store.get_events(execution_ids=[e.id for e in executions])
    return {
        "executions": found,
        "artifacts": list(artifacts.values()),
        "events": [_event(event) for event in events],
        "contexts": list(contexts.values()),
    }


def _plain(found: Any) -> dict[str, Any]:
    return {
        "id": found.id, "type": found.type, "name": found.name, "state": int(found.state),
        "properties": dict(found.properties), "custom_properties": dict(found.custom_properties),
    }  # fmt: skip


def _event(event: Event) -> dict[str, Any]:
    return {
        "artifact": event.artifact_id, "execution": event.execution_id, "type": int(event.type),
        "path": list(event.path),
    }  # fmt: skip


def runs_of(store: SqlStore, places: Mapping[str, str]) -> list[dict[str, Any]]:
    """The runs in order, with the states of their nodes: what MLMD has no place for."""
    cleaner = _Cleaner([run.id for run in reversed(store.get_runs(limit=_ALL))], {}, places)
    found = []
    for run in reversed(store.get_runs(limit=_ALL)):
        nodes = {f"{r.node_id}/{r.iteration}": r.state.value for r in store.get_nodes(run.id)}
        given = {name: cleaner.value(value) for name, value in run.parameters.items()}
        found.append({
            "pipeline": run.pipeline, "state": run.state.value, "date": run.date, "parameters": given,
            "nodes": dict(sorted(nodes.items())),
        })  # fmt: skip
    return found


def graph_of(record: Record, run_ids: Sequence[str], places: Mapping[str, str]) -> dict[str, Any]:
    """Executions and artifacts under names that every runner gives them.

    `run_ids` are the runs in order of their creation. `places` are folders of this machine, and what to
    call them.
    """
    names = {e["id"]: e["name"] for e in record["executions"]}
    cleaner = _Cleaner(run_ids, names, places)
    artifacts = {a["id"]: cleaner.text(a["name"]) for a in record["artifacts"]}
    contexts = {c["id"]: f"{c['type']} {cleaner.text(c['name'])}" for c in record["contexts"]}
    events: dict[int, list[Any]] = {e["id"]: [] for e in record["executions"]}
    for event in record["events"]:
        kind = EventType(event["type"]).name
        events[event["execution"]].append([kind, event["path"], artifacts[event["artifact"]]])
    iterations = Counter(_node_of(e["name"]) for e in record["executions"] if _attempt_of(e["name"]) == 1)
    executions = {}
    for e in record["executions"]:
        looped = iterations[_node_of(e["name"])] > 1
        over_artifacts = "tidemill.items" in e["custom_properties"] and bool(events[e["id"]])
        why = _execution(e, cleaner, artifacts, looped=looped, over_artifacts=over_artifacts)
        executions[cleaner.text(e["name"])] = {
            **why,
            "contexts": sorted(contexts[c] for c in e["contexts"]),
            "events": sorted(events[e["id"]], key=str),
        }
    found = {artifacts[a["id"]]: _artifact(a, cleaner) for a in record["artifacts"]}
    return {"executions": dict(sorted(executions.items())), "artifacts": dict(sorted(found.items()))}


def _execution(
    e: Mapping[str, Any], cleaner: _Cleaner, artifacts: Mapping[int, str], *, looped: bool,
    over_artifacts: bool,
) -> dict[str, Any]:  # fmt: skip
    state = ExecutionState(e["state"]).name
    custom = e["custom_properties"]
    if state == "CANCELED" and "skip_reason" in custom:
        state = "SKIPPED"
    why = {_REASONS[name]: cleaner.value(value) for name, value in custom.items() if name in _REASONS}
    if looped and state != "CACHED":
        why.pop("reason", None)  # which iteration was the last before this one is a matter of luck
    if over_artifacts:
        why["items"] = cleaner.items(str(custom["tidemill.items"]), artifacts)
    left_out = {*_REASONS, *_MOMENTS}
    own = [name for name in custom if name not in left_out and not name.startswith("tidemill.")]
    given = {name: cleaner.value(custom[name]) for name in sorted(own)}
    return {"type": e["type"], "state": state, **dict(sorted(why.items())), "properties": given}


def _artifact(a: Mapping[str, Any], cleaner: _Cleaner) -> dict[str, Any]:
    custom = {name: cleaner.value(value) for name, value in sorted(a["custom_properties"].items())}
    return {
        "type": a["type"], "state": ArtifactState(a["state"]).name,
        "properties": dict(sorted(a["properties"].items())), "custom_properties": custom,
        "runs": sorted(cleaner.text(run) for run in a["runs"]),
    }  # fmt: skip


def _node_of(name: str) -> str:
    return name.rsplit("/", 2)[0]


def _attempt_of(name: str) -> int:
    return int(name.rsplit("/", 1)[1])


class _Cleaner:
    """Puts names that are the same everywhere for ids and folders."""

    def __init__(
        self, run_ids: Sequence[str], executions: Mapping[int, str], places: Mapping[str, str]
    ) -> None:
        self.names = {**places, **{run: f"run{i}" for i, run in enumerate(run_ids, 1)}}
        self.executions = executions

    def text(self, text: str) -> str:
        """A text, its first line only: further ones are places in files."""
        text = text.split("\n", 1)[0]
        text = re.sub(r"\bexecution (\d+)", lambda m: f"execution {self._execution(int(m[1]))}", text)
        for name, called in self.names.items():
            text = text.replace(name, called)
        return text

    def value(self, value: Any) -> Any:
        """A property's value."""
        return self.text(value) if isinstance(value, str) else value

    def items(self, text: str, artifacts: Mapping[int, str]) -> str:
        """The items of a loop over artifacts: their names instead of their ids."""
        return json.dumps([artifacts[item] for item in json.loads(text)])

    def _execution(self, number: int) -> str:
        return self.executions.get(number, str(number))
