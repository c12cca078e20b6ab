"""The launcher's questions: what may be reused, which model is blessed, which spans are in the window.

They are asked for every node of every run, so none may get slower as history grows: each starts from the
newest rows of one node (through its MLMD context, or through a property's index) and stops when it has
enough. Every function works inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tidemill.metadata.model import (
    BLESSINGS,
    REPRODUCED,
    Artifact,
    ArtifactState,
    EventType,
    NodeState,
    PropertyValue,
    RunState,
    TypeKind,
)
from tidemill.metadata.sql import names
from tidemill.metadata.sql.database import Transaction
from tidemill.metadata.sql.reading import artifacts_by_id

_COLUMN_OF = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}
_SUCCEEDED = tuple(state.value for state in NodeState if state.succeeded)

# CROSS JOIN keeps the order of the tables as written, so that each query starts from the newest rows of
# one index, follows ids from there, and LIMIT can stop it early.
_LAST_KEY = f"""
    SELECT n.cache_key, n.execution_id
    FROM Association c CROSS JOIN tidemill_node n
    WHERE c.context_id = ? AND n.execution_id = c.execution_id AND n.state = '{NodeState.COMPLETE.value}'
    ORDER BY c.execution_id DESC LIMIT 1
"""

_OUTPUT = f"""
    CROSS JOIN Event o CROSS JOIN EventPath p CROSS JOIN Artifact a
    WHERE o.execution_id = n.execution_id AND o.type = {EventType.OUTPUT.value}
    AND p.event_id = o.id AND p.is_index_step = FALSE AND p.step_key = ?
    AND a.id = o.artifact_id AND a.state = {ArtifactState.LIVE.value}
"""
"""What node `n` put out, or put out again from the cache, as an output."""

_BLESSED = f"""
    SELECT 1 FROM Event i CROSS JOIN tidemill_node j CROSS JOIN tidemill_run k
    CROSS JOIN Event b CROSS JOIN Artifact v CROSS JOIN Type t CROSS JOIN ArtifactProperty q
    WHERE i.artifact_id = a.id AND i.type = {EventType.INPUT.value}
    AND j.execution_id = i.execution_id AND k.id = j.run_id AND k.pipeline NOT LIKE '%{REPRODUCED}'
    AND b.execution_id = i.execution_id AND b.type = {EventType.OUTPUT.value}
    AND v.id = b.artifact_id AND v.state = {ArtifactState.LIVE.value}
    AND t.id = v.type_id AND t.name = 'ModelBlessing' AND t.type_kind = {TypeKind.ARTIFACT.value}
    AND q.artifact_id = v.id AND q.name = 'blessed' AND q.is_custom_property = TRUE AND q.int_value = 1
"""
"""Whether artifact `a` was judged by an execution (of run `k`) that put out a blessing.

A reproduction judges the original's model again, but only to compare: its word does not count."""

_LAST_WORD = f"""
    SELECT w.int_value FROM Event e CROSS JOIN tidemill_node f CROSS JOIN tidemill_run g
    CROSS JOIN Event h CROSS JOIN ArtifactProperty w
    WHERE e.artifact_id = a.id AND e.type = {EventType.INPUT.value}
    AND f.execution_id = e.execution_id AND g.id = f.run_id AND g.pipeline LIKE '%{BLESSINGS}'
    AND h.execution_id = e.execution_id AND h.type = {EventType.OUTPUT.value}
    AND w.artifact_id = h.artifact_id AND w.name = 'blessed' AND w.is_custom_property = TRUE
    ORDER BY e.execution_id DESC LIMIT 1
"""
"""The newest word of a person on artifact `a`: 1 or 0; no row where nobody said anything."""

_CHAMPION = f"COALESCE(({_LAST_WORD}), 1) = 1 AND EXISTS ({_BLESSED}"
"""To be closed with `)`, after conditions on the judges."""


def find_cached(tx: Transaction, cache_key: str, limit: int) -> list[int]:
    """See MetadataStore."""
    if not cache_key:
        return []
    rows = tx.rows(
        "SELECT execution_id FROM tidemill_node WHERE cache_key = ? AND state = ? "
        "ORDER BY execution_id DESC LIMIT ?",
        (cache_key, NodeState.COMPLETE.value, max(limit, 0)),
    )
    return [execution_id for (execution_id,) in rows]


def last_cache_key(tx: Transaction, pipeline: str, node_id: str) -> tuple[str, int] | None:
    """See MetadataStore."""
    context = names.find_context(tx, names.NODE, names.node_name(pipeline, node_id))
    row = tx.row(_LAST_KEY, (context,))
    return (row[0], row[1]) if row else None


def latest_blessed(tx: Transaction, pipeline: str, node_id: str, output: str, before: str) -> Artifact | None:
    """See MetadataStore."""
    if before:
        sql = (
            f"SELECT a.id FROM tidemill_run r CROSS JOIN tidemill_node n {_OUTPUT} "
            "AND r.pipeline = ? AND r.date <> '' AND r.date < ? AND n.run_id = r.id AND n.node_id = ? "
            f"AND {_CHAMPION} AND k.date <> '' AND k.date < ?) "
            "ORDER BY r.date DESC, n.execution_id DESC LIMIT 1"
        )
        row = tx.row(sql, (output, pipeline, before, node_id, before))
    else:
        context = names.find_context(tx, names.NODE, names.node_name(pipeline, node_id))
        sql = (
            f"SELECT a.id FROM Association c CROSS JOIN tidemill_node n {_OUTPUT} "
            f"AND c.context_id = ? AND n.execution_id = c.execution_id AND {_CHAMPION}) "
            "ORDER BY c.execution_id DESC LIMIT 1"
        )
        row = tx.row(sql, (output, context))
    return artifacts_by_id(tx, [row[0]])[0] if row else None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What find_outputs looks for; see MetadataStore."""

    but: str = ""
    before: str = ""
    complete: bool = False
    properties: Mapping[str, PropertyValue] = field(default_factory=dict)
    spans: tuple[int, ...] = ()
    limit: int = 0


def find_outputs(tx: Transaction, pipeline: str, node_id: str, output: str, wanted: Wanted) -> list[Artifact]:
    """See MetadataStore."""
    conditions, values = "", list[object]()
    for condition, value in (
        ("r.id <> ?", wanted.but),
        ("r.date <> '' AND r.date < ?", wanted.before),
        ("r.state = ?", RunState.COMPLETE.value if wanted.complete else ""),
    ):
        if value:
            conditions += f" AND {condition}"
            values.append(value)
    for name, equal in wanted.properties.items():
        column = _COLUMN_OF[type(equal)]
        text = tx.dialect.exact("?") if column == "string_value" else "?"
        conditions += (
            " AND EXISTS (SELECT 1 FROM ArtifactProperty q WHERE q.artifact_id = a.id AND q.name = ?"
            f" AND q.{column} = {text})"
        )
        values += [name, equal]
    if wanted.spans:
        conditions += (
            " AND EXISTS (SELECT 1 FROM ArtifactProperty q WHERE q.artifact_id = a.id AND q.name = 'span'"
            " AND q.is_custom_property = FALSE AND q.int_value BETWEEN ? AND ?)"
        )
        values += wanted.spans
    newest = "r.date DESC, n.execution_id DESC" if wanted.before else "r.context_id DESC, n.execution_id DESC"
    rows = tx.each(
        f"SELECT a.id FROM tidemill_run r CROSS JOIN tidemill_node n {_OUTPUT} AND r.pipeline = ? "
        f"AND n.run_id = r.id AND n.node_id = ?{conditions} ORDER BY {newest}",
        (output, pipeline, node_id, *values),
    )
    chosen: dict[int, None] = {}
    for (artifact_id,) in rows:
        chosen[artifact_id] = None
        if len(chosen) == wanted.limit:
            break
    by_id = {artifact.id: artifact for artifact in artifacts_by_id(tx, chosen)}
    return [by_id[artifact_id] for artifact_id in chosen]


def get_window(
    tx: Transaction, pipeline: str, node_id: str, output: str, *, spans: int, until: int, passed: str
) -> list[Artifact]:
    """See MetadataStore."""
    context = names.find_context(tx, names.NODE, names.node_name(pipeline, node_id))
    gate, values = "", [output, node_id, pipeline]
    if passed:
        states = ", ".join(f"'{s}'" for s in _SUCCEEDED)
        gate = (
            " AND EXISTS (SELECT 1 FROM tidemill_node g"
            f" WHERE g.run_id = r.id AND g.node_id = ? AND g.state IN ({states}))"
        )
        values.append(passed)
    # The execution that put the artifact out last: out of the cache counts as much as newly made.
    newest = (
        "SELECT MAX(n.execution_id) FROM Event o CROSS JOIN EventPath p CROSS JOIN tidemill_node n "
        f"CROSS JOIN tidemill_run r WHERE o.artifact_id = a.id AND o.type = {EventType.OUTPUT.value} "
        "AND p.event_id = o.id AND p.is_index_step = FALSE AND p.step_key = ? "
        f"AND n.execution_id = o.execution_id AND n.node_id = ? AND r.id = n.run_id AND r.pipeline = ?{gate}"
    )
    rows = tx.each(
        f"SELECT s.int_value, a.id, ({newest}) AS newest "
        "FROM ArtifactProperty s CROSS JOIN Attribution x CROSS JOIN Artifact a "
        "WHERE s.name = 'span' AND s.is_custom_property = FALSE AND s.int_value < ? "
        "AND x.context_id = ? AND x.artifact_id = s.artifact_id "
        f"AND a.id = x.artifact_id AND a.state = {ArtifactState.LIVE.value} "
        "ORDER BY s.int_value DESC, newest DESC",
        [*values, until, context],
    )
    chosen: dict[int, int] = {}
    for span, artifact_id, execution_id in rows:
        if span not in chosen and len(chosen) >= spans:
            break
        if execution_id is not None:
            chosen.setdefault(span, artifact_id)
    by_id = {a.id: a for a in artifacts_by_id(tx, chosen.values())}
    return [by_id[chosen[span]] for span in sorted(chosen)]
