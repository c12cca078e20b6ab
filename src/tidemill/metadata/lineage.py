"""Lineage: which executions and artifacts led to an artifact or run, and what came of it.

`trace` walks the record breadth-first, with one query per level and kind of row, and returns a graph
that prints itself as JSON, Mermaid or DOT. It knows the store's protocol and no database.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from tidemill.errors import StoreError
from tidemill.metadata.model import Artifact, Event, EventType, Execution, ExecutionState
from tidemill.metadata.store import MetadataStore

Direction = Literal["upstream", "downstream", "both"]

OUTPUT_EVENTS = frozenset(
    {EventType.OUTPUT, EventType.DECLARED_OUTPUT, EventType.INTERNAL_OUTPUT, EventType.PENDING_OUTPUT}
)
INPUT_EVENTS = frozenset({EventType.INPUT, EventType.DECLARED_INPUT, EventType.INTERNAL_INPUT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """A graph: artifacts and executions in id order, and the events that connect them.

    Both ends of every event are in the graph. `truncated` says that there was more than `max_nodes`.
    """

    artifacts: tuple[Artifact, ...]
    executions: tuple[Execution, ...]
    events: tuple[Event, ...]
    truncated: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: enums by name, properties and custom properties as objects."""
        return {
            "artifacts": [
                {"id": a.id, "type": a.type, "name": a.name, "uri": a.uri, "state": a.state.name,
                 "properties": dict(a.properties), "custom_properties": dict(a.custom_properties),
                 "create_time": a.create_time}
                for a in self.artifacts
            ],
            "executions": [
                {"id": e.id, "type": e.type, "name": e.name, "state": e.state.name,
                 "properties": dict(e.properties), "custom_properties": dict(e.custom_properties),
                 "create_time": e.create_time, "update_time": e.update_time}
                for e in self.executions
            ],
            "events": [
                {"artifact": e.artifact_id, "execution": e.execution_id, "type": e.type.name,
                 "path": list(e.path), "time": e.time}
                for e in self.events
            ],
            "truncated": self.truncated,
        }  # fmt: skip

    def to_mermaid(self) -> str:
        """A Mermaid flowchart: artifacts rounded, executions square, inputs and outputs as arrows."""
        lines = ["flowchart LR"]
        lines += [f'  a{a.id}(["{_mermaid(_artifact_label(a))}"])' for a in self.artifacts]
        lines += [f'  e{e.id}["{_mermaid(_execution_label(e))}"]' for e in self.executions]
        for event in self.events:
            label = f"|{_mermaid(path)}| " if (path := _path_label(event)) else ""
            lines.append("  {} -->{label}{}".format(*_ends(event), label=label or " "))
        if self.truncated:
            lines.append('  more["... and more"]')
        return "\n".join(lines) + "\n"

    def to_dot(self) -> str:
        """A Graphviz digraph with the same shapes and arrows."""
        lines = ["digraph lineage {", "  rankdir=LR;"]
        lines += [f"  a{a.id} [shape=ellipse, label={_dot(_artifact_label(a))}];" for a in self.artifacts]
        lines += [f"  e{e.id} [shape=box, label={_dot(_execution_label(e))}];" for e in self.executions]
        for event in self.events:
            lines.append("  {} -> {} [label={}];".format(*_ends(event), _dot(_path_label(event))))
        if self.truncated:
            lines.append('  more [shape=plaintext, label="... and more"];')
        return "\n".join([*lines, "}"]) + "\n"


def trace(
    store: MetadataStore, *, artifact_id: int = 0, run_id: str = "", direction: Direction = "both",
    max_nodes: int = 10_000,
) -> Lineage:  # fmt: skip
    """The lineage of one artifact, or of everything that a run did.

    Upstream goes from an artifact to the execution that made it (not to those that took it from the
    cache) and on to that one's inputs; downstream to the executions that used it and their outputs. Both
    is the union of the two, not everything that is connected. What a run put out belongs to it, whichever
    way is gone. `max_nodes` bounds artifacts and executions
    together; the nearest are kept. StoreError when the artifact or run is unknown, or neither is named.
    """
    if direction not in ("upstream", "downstream", "both"):
        raise StoreError(f"unknown direction {direction!r}", hint="use upstream, downstream or both")
    graph = _Graph(store, max_nodes)
    if artifact_id and not run_id:
        graph.take_artifacts([artifact_id])
        if not graph.artifacts:
            raise StoreError(f"there is no artifact {artifact_id} in this store")
        starts, kind = [artifact_id], "artifact"
    elif run_id and not artifact_id:
        if store.get_run(run_id) is None:
            raise StoreError(f"there is no run {run_id!r} in this store")
        starts, kind = graph.take_executions(e.id for e in store.get_executions(run_id)), "execution"
    else:
        raise StoreError("name an artifact or a run to trace, one of them")
    if kind == "execution":
        graph.take_outputs(starts)
    if direction in ("upstream", "both"):
        graph.walk(starts, kind, upstream=True)
    if direction in ("downstream", "both"):
        graph.walk(starts, kind, upstream=False)
    return graph.lineage()


class _Graph:
    """What was found so far. Every `take_...` returns the ids that are in the graph afterwards."""

    def __init__(self, store: MetadataStore, max_nodes: int) -> None:
        self.store = store
        self.room = max_nodes
        self.truncated = False
        self.artifacts: dict[int, Artifact] = {}
        self.executions: dict[int, Execution] = {}
        self.events: dict[tuple[int, int, int], Event] = {}

    def walk(self, starts: list[int], kind: str, *, upstream: bool) -> None:
        """Level by level from `starts`; each node is expanded once."""
        expanded: set[tuple[str, int]] = set()
        level = starts
        while level:
            expanded |= {(kind, i) for i in level}
            if kind == "artifact":
                found = self._executions_of(level, upstream=upstream)
                kind = "execution"
            else:
                found = self._artifacts_of(level, upstream=upstream)
                kind = "artifact"
            level = sorted({i for i in found if (kind, i) not in expanded})

    def _executions_of(self, artifact_ids: list[int], *, upstream: bool) -> list[int]:
        wanted = OUTPUT_EVENTS if upstream else INPUT_EVENTS
        events = self.store.get_events(artifact_ids=artifact_ids, types=wanted)
        ids = self.take_executions({e.execution_id for e in events}, made_only=upstream)
        self._keep(events)
        return ids

    def _artifacts_of(self, execution_ids: list[int], *, upstream: bool) -> list[int]:
        wanted = INPUT_EVENTS if upstream else OUTPUT_EVENTS
        events = self.store.get_events(execution_ids=execution_ids, types=wanted)
        ids = self.take_artifacts({e.artifact_id for e in events})
        self._keep(events)
        return ids

    def take_outputs(self, execution_ids: list[int]) -> None:
        """Add what executions put out while there is room."""
        self._artifacts_of(execution_ids, upstream=False)

    def take_executions(self, ids: Iterable[int], *, made_only: bool = False) -> list[int]:
        """Add executions while there is room; with `made_only`, not those that reused a result."""
        wanted = sorted(set(ids))
        for execution in self.store.get_executions_by_id([i for i in wanted if i not in self.executions]):
            if made_only and execution.state is ExecutionState.CACHED:
                continue
            if self._has_room():
                self.executions[execution.id] = execution
        return [i for i in wanted if i in self.executions]

    def take_artifacts(self, ids: Iterable[int]) -> list[int]:
        """Add artifacts while there is room."""
        wanted = sorted(set(ids))
        for artifact in self.store.get_artifacts_by_id([i for i in wanted if i not in self.artifacts]):
            if self._has_room():
                self.artifacts[artifact.id] = artifact
        return [i for i in wanted if i in self.artifacts]

    def _has_room(self) -> bool:
        if len(self.artifacts) + len(self.executions) < self.room:
            return True
        self.truncated = True
        return False

    def _keep(self, events: Iterable[Event]) -> None:
        for event in events:
            if event.artifact_id in self.artifacts and event.execution_id in self.executions:
                self.events[event.artifact_id, event.execution_id, event.type] = event

    def lineage(self) -> Lineage:
        """The graph as a value, in an order that does not depend on the walk."""
        return Lineage(
            artifacts=tuple(self.artifacts[i] for i in sorted(self.artifacts)),
            executions=tuple(self.executions[i] for i in sorted(self.executions)),
            events=tuple(self.events[k] for k in sorted(self.events, key=lambda k: (k[1], k[2], k[0]))),
            truncated=self.truncated,
        )


def _ends(event: Event) -> tuple[str, str]:
    """Where the arrow of an event starts and ends."""
    artifact, execution = f"a{event.artifact_id}", f"e{event.execution_id}"
    return (execution, artifact) if event.type in OUTPUT_EVENTS else (artifact, execution)


def _artifact_label(artifact: Artifact) -> str:
    span = f" span {artifact.properties['span']}" if "span" in artifact.properties else ""
    return f"{artifact.type} {artifact.id}{span}"


def _execution_label(execution: Execution) -> str:
    return f"{execution.name or execution.type} {execution.state.name}"


def _path_label(event: Event) -> str:
    return ", ".join(step for step in event.path if isinstance(step, str))


def _mermaid(text: str) -> str:
    """Mermaid reads quotes, pipes and brackets in labels as syntax; it knows HTML entities."""
    return "".join(c if c.isalnum() or c in " _-./:," else f"#{ord(c)};" for c in text)


def _dot(text: str) -> str:
    """A quoted text for Graphviz, which reads UTF-8 and knows no escapes of characters by number."""
    return json.dumps(text, ensure_ascii=False)
