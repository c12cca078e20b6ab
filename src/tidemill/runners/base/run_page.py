"""A run as one HTML page, for engines whose own pages know nothing of artifacts, read from the record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tidemill.ir import codec
from tidemill.metadata.lineage import INPUT_EVENTS, OUTPUT_EVENTS, Lineage
from tidemill.metadata.model import FAILURE, Artifact, Event, Execution, NodeRecord, Run
from tidemill.metadata.store import MetadataStore
from tidemill.pages.document import document
from tidemill.pages.text import escaped
from tidemill.runtime.arriving import ARRIVALS
from tidemill.runtime.launch import LOG, REASON
from tidemill.runtime.loops import by_place

_BADGES = {"COMPLETE": "good", "CACHED": "note", "SKIPPED": "note", "FAILED": "bad", "CANCELED": "warn"}
_LONG = 300


def lineage_of_run(store: MetadataStore, run: Run) -> Lineage:
    """What the run did, and what went in and came out of it. What led to its inputs is not in it: others
    may have made them who do not show it to everybody."""
    executions = store.get_executions(run.id)
    ids = [execution.id for execution in executions]
    events = store.get_events(execution_ids=ids, types=INPUT_EVENTS | OUTPUT_EVENTS) if ids else []
    artifacts = store.get_artifacts_by_id(sorted({event.artifact_id for event in events}))
    return Lineage(artifacts=tuple(artifacts), executions=tuple(executions), events=tuple(events))


def run_page(store: MetadataStore, run: Run, node: str = "", iteration: int = 0) -> str:
    """The page of a run; of one of its nodes, if it is named, with every attempt at it."""
    ir = codec.loads(store.get_pipeline_version(run.version))
    graph = lineage_of_run(store, run)
    records = by_place(ir, store.get_nodes(run.id))
    artifacts = {artifact.id: artifact for artifact in graph.artifacts}
    events: dict[int, list[Event]] = {}
    for event in graph.events:
        events.setdefault(event.execution_id, []).append(event)
    parts = []
    for name, record in records.items():
        if node and (record.node_id, record.iteration) == (node, iteration):
            attempts = [e for e in graph.executions if e.name.startswith(f"{run.id}/{node}/{iteration}/")]
            parts.append(f"<h2>{escaped(name)}</h2>" + _attempts(attempts, events, artifacts))
    if node and not parts:
        parts.append(f"<h2>{escaped(node)}</h2><p>It was not started in this run.</p>")
    executions = {execution.id: execution for execution in graph.executions}
    parts.append("<h2>Nodes</h2>" + _nodes(records, executions, events, artifacts))
    not_started = [n.id for n in ir.nodes if n.id not in {r.node_id for r in records.values()}]
    if not_started:
        parts.append(f"<p>Not started: {', '.join(escaped(name) for name in not_started)}</p>")
    parts.append(_arrived(run.settings.get(ARRIVALS) or ()))
    drawn = "\n".join(escaped(line, 1000) for line in graph.to_mermaid().splitlines())
    parts.append(
        "<h2>Lineage</h2><p>What the run took and made, in Mermaid's language.</p>"
        f'<div class="scroll"><pre>{drawn}</pre></div>'
    )
    return document(f"{run.pipeline}: {run.id}", "".join(parts), facts=_facts(run))


def _facts(run: Run) -> list[tuple[str, str]]:
    found = [("state", run.state.value), ("version", run.version[:12])]
    found += [("date", run.date)] if run.date else []
    found += [("started", _moment(run.start_time)), ("ended", _moment(run.end_time) or "-")]
    found += [("base run", run.base_run)] if run.base_run else []
    return [*found, ("run", run.id)]


def _nodes(
    records: Mapping[str, NodeRecord], executions: Mapping[int, Execution],
    events: Mapping[int, Sequence[Event]], artifacts: Mapping[int, Artifact],
) -> str:  # fmt: skip
    rows = []
    for name, record in records.items():
        execution = executions.get(record.execution_id)
        note = record.message or (str(execution.custom_properties.get(REASON, "")) if execution else "")
        rows.append(
            [
                f"<b>{escaped(name)}</b>", _badge(record.state.value), str(record.attempt),
                _took(record.start_time, record.end_time), escaped(note, _LONG),
                _listed(events.get(record.execution_id, ()), artifacts, inputs=True),
                _listed(events.get(record.execution_id, ()), artifacts, inputs=False),
            ]
        )  # fmt: skip
    return _table(["node", "state", "attempt", "took", "why", "in", "out"], rows)


def _attempts(
    attempts: Sequence[Execution], events: Mapping[int, Sequence[Event]], artifacts: Mapping[int, Artifact]
) -> str:
    rows = [
        [
            str(execution.id), _badge(execution.state.name), _moment(execution.create_time),
            escaped(str(execution.custom_properties.get(FAILURE, ""))),
            escaped(str(execution.custom_properties.get(LOG, "")), _LONG),
        ]
        for execution in attempts
    ]  # fmt: skip
    text = _table(["execution", "state", "began", "failure", "log"], rows, words=False)
    used = [event for execution in attempts for event in events.get(execution.id, ())]
    rows = [
        [
            "in" if event.type in INPUT_EVENTS else "out", escaped(_key(event)), str(artifact.id),
            escaped(artifact.type), escaped(artifact.uri, _LONG),
            escaped(str(artifact.custom_properties.get("digest", ""))[:16]),
        ]
        for event in used
        if (artifact := artifacts.get(event.artifact_id)) is not None
    ]  # fmt: skip
    return text + _table(["", "name", "artifact", "type", "URI", "digest"], rows, words=False)


def _arrived(arrivals: Iterable[Mapping[str, Any]]) -> str:
    rows = [
        [escaped(str(a.get("time", ""))), escaped(str(a.get("name", ""))), escaped(str(a.get("date", "")))]
        for a in arrivals
    ]
    return "<h2>Started by</h2>" + _table(["when", "what", "date"], rows) if rows else ""


def _listed(events: Iterable[Event], artifacts: Mapping[int, Artifact], *, inputs: bool) -> str:
    wanted = INPUT_EVENTS if inputs else OUTPUT_EVENTS
    shown = [
        f"{escaped(_key(event))}: {escaped(artifact.type)} {artifact.id}"
        for event in events
        if event.type in wanted and (artifact := artifacts.get(event.artifact_id)) is not None
    ]
    return "<br>".join(shown)


def _key(event: Event) -> str:
    return str(event.path[0]) if event.path else ""


def _badge(state: str) -> str:
    return f'<span class="badge {_BADGES.get(state, "")}">{escaped(state)}</span>'


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, words: bool = True) -> str:
    """A table; cells are HTML, whose lines are broken if they hold words. Nothing where there are no rows."""
    if not rows:
        return ""
    head = "".join(f"<th>{escaped(name)}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    start = '<table class="words">' if words else "<table>"
    table = f"{start}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll">{table}</div>'


def _moment(milliseconds: int) -> str:
    if not milliseconds:
        return ""
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _took(start: int, end: int) -> str:
    return f"{(end - start) / 1000:.1f} s" if start and end else ""
