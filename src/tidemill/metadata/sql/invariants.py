"""What must hold of the record at any moment, whatever died and when: the questions of `doctor`.

Each invariant is a query for the rows that break it. They are about tidemill's own runs; what other
MLMD clients wrote beside them is checked for what no client can read: dangling references, nodes without
a type, properties without a value.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tidemill.metadata.finding import Finding
from tidemill.metadata.model import ArtifactState, EventType, ExecutionState, NodeState, RunState, TypeKind
from tidemill.metadata.sql.database import Transaction
from tidemill.types.json import digest

_EXECUTION_OF = {
    NodeState.RUNNING: ExecutionState.RUNNING,
    NodeState.COMPLETE: ExecutionState.COMPLETE,
    NodeState.CACHED: ExecutionState.CACHED,
    NodeState.SKIPPED: ExecutionState.CANCELED,
    NodeState.FAILED: ExecutionState.FAILED,
    NodeState.CANCELED: ExecutionState.CANCELED,
}
"""State of a node -> state of the execution of its newest attempt."""


@dataclass(frozen=True, slots=True)
class _Invariant:
    name: str
    says: str
    """What a row of the query means; `{0}`, `{1}` are its columns."""
    sql: str


def _dangling(table: str, column: str, owner: str) -> _Invariant:
    return _Invariant(
        "dangling-reference",
        f"{table} refers to {owner} {{0}}, which does not exist",
        f"SELECT DISTINCT x.{column} FROM {table} x LEFT JOIN {owner} o ON o.id = x.{column} "
        "WHERE o.id IS NULL",
    )


def _typed(kind: TypeKind) -> _Invariant:
    table = kind.name.capitalize()
    return _Invariant(
        "a-node-has-a-type",
        f"{table} {{0}} has the type {{1}}, and no {kind.name.lower()} type has that id",
        f"SELECT x.id, x.type_id FROM {table} x LEFT JOIN Type t ON t.id = x.type_id "
        f"AND t.type_kind = {kind.value} WHERE t.id IS NULL",
    )


def _valued(table: str) -> _Invariant:
    """Rows that MLMD cannot read, with all that stands beside them in a list."""
    values = ("int_value", "double_value", "string_value", "byte_value", "proto_value", "bool_value")
    count = " + ".join(f"CASE WHEN {column} IS NULL THEN 0 ELSE 1 END" for column in values)
    owner = table.removesuffix("Property").lower()
    return _Invariant(
        "a-property-has-one-value",
        f"property {{1}} of {owner} {{0}} has {{2}} values instead of one",
        f"SELECT {owner}_id, name, {count} FROM {table} WHERE {count} <> 1",
    )


_INVARIANTS = (
    _Invariant(
        "node-and-execution-agree",
        "node {1} of run {0} is {2}, but execution {3} has state {4}",
        "SELECT n.run_id, n.node_id, n.state, n.execution_id, e.last_known_state FROM tidemill_node n "
        "LEFT JOIN Execution e ON e.id = n.execution_id WHERE e.id IS NULL OR NOT ("
        + " OR ".join(
            f"(n.state = '{n}' AND e.last_known_state = {e.value})" for n, e in _EXECUTION_OF.items()
        )
        + ")",
    ),
    _Invariant(
        "nothing-runs-unowned",
        "execution {0} ({1}) is RUNNING, but no node is running it",
        "SELECT e.id, e.name FROM Execution e JOIN Association a ON a.execution_id = e.id "
        "JOIN tidemill_run r ON r.context_id = a.context_id "
        f"LEFT JOIN tidemill_node n ON n.execution_id = e.id AND n.state = '{NodeState.RUNNING}' "
        f"WHERE e.last_known_state = {ExecutionState.RUNNING.value} AND n.run_id IS NULL",
    ),
    _Invariant(
        "an-ended-run-runs-nothing",
        "run {0} is {2}, but its node {1} is RUNNING",
        "SELECT r.id, n.node_id, r.state FROM tidemill_run r JOIN tidemill_node n ON n.run_id = r.id "
        f"WHERE r.state <> '{RunState.RUNNING}' AND n.state = '{NodeState.RUNNING}'",
    ),
    _Invariant(
        "a-complete-run-failed-nowhere",
        "run {0} is COMPLETE, but its node {1} is {2}",
        "SELECT r.id, n.node_id, n.state FROM tidemill_run r JOIN tidemill_node n ON n.run_id = r.id "
        f"WHERE r.state = '{RunState.COMPLETE}' "
        f"AND n.state IN ('{NodeState.FAILED}', '{NodeState.CANCELED}', '{NodeState.RUNNING}')",
    ),
    _Invariant(
        "one-maker",
        "LIVE artifact {0} came out of {1} complete executions instead of one",
        "SELECT a.id, COUNT(e.id) FROM Artifact a JOIN Attribution t ON t.artifact_id = a.id "
        "JOIN tidemill_run r ON r.context_id = t.context_id "
        f"LEFT JOIN Event v ON v.artifact_id = a.id AND v.type = {EventType.OUTPUT.value} "
        "LEFT JOIN Execution e ON e.id = v.execution_id "
        f"AND e.last_known_state = {ExecutionState.COMPLETE.value} "
        f"WHERE a.state = {ArtifactState.LIVE.value} "
        "GROUP BY a.id, r.id HAVING COUNT(e.id) <> 1",
    ),
    _Invariant(
        "a-result-is-in-its-run",
        "artifact {1}, which execution {2} put out, is not in the context of its run {0}",
        "SELECT n.run_id, v.artifact_id, v.execution_id FROM tidemill_node n "
        "JOIN tidemill_run r ON r.id = n.run_id JOIN Event v ON v.execution_id = n.execution_id "
        "LEFT JOIN Attribution t ON t.artifact_id = v.artifact_id AND t.context_id = r.context_id "
        f"WHERE n.state IN ('{NodeState.COMPLETE}', '{NodeState.CACHED}') "
        f"AND v.type = {EventType.OUTPUT.value} AND t.id IS NULL",
    ),
    _Invariant(
        "an-event-has-a-path",
        "nothing says what execution {0} calls artifact {1}, which it used or put out",
        "SELECT v.execution_id, v.artifact_id FROM Event v JOIN tidemill_node n "
        "ON n.execution_id = v.execution_id LEFT JOIN EventPath p ON p.event_id = v.id "
        "WHERE p.event_id IS NULL",
    ),
    _Invariant(
        "a-failure-makes-nothing-live",
        "artifact {0} is LIVE, but execution {1} that made it did not succeed",
        "SELECT a.id, e.id FROM Artifact a "
        f"JOIN Event v ON v.artifact_id = a.id AND v.type = {EventType.OUTPUT.value} "
        "JOIN Execution e ON e.id = v.execution_id JOIN tidemill_node n ON n.execution_id = e.id "
        f"WHERE a.state = {ArtifactState.LIVE.value} AND n.state NOT IN "
        f"('{NodeState.COMPLETE}', '{NodeState.CACHED}')",
    ),
    _Invariant(
        "attempts-and-fences-grow-together",
        "node {1} of run {0} has attempt {2} and fence {3}",
        "SELECT run_id, node_id, attempt, fence FROM tidemill_node WHERE attempt < 1 OR fence < 1 "
        "OR fence > attempt",
    ),
    _Invariant(
        "a-success-is-its-nodes",
        "execution {0} ({1}) succeeded, but is not the one by which its node ended",
        "SELECT e.id, e.name FROM Execution e JOIN Association a ON a.execution_id = e.id "
        "JOIN tidemill_run r ON r.context_id = a.context_id "
        "LEFT JOIN tidemill_node n ON n.execution_id = e.id WHERE e.last_known_state IN "
        f"({ExecutionState.COMPLETE.value}, {ExecutionState.CACHED.value}) AND n.run_id IS NULL",
    ),
    _Invariant(
        "an-input-was-made-before",
        "execution {0} used artifact {1}, which execution {2} had not put out yet",
        "SELECT v.execution_id, v.artifact_id, o.execution_id FROM Event v "
        "JOIN tidemill_node n ON n.execution_id = v.execution_id "
        "JOIN Event o ON o.artifact_id = v.artifact_id "
        "JOIN tidemill_node m ON m.execution_id = o.execution_id "
        f"WHERE v.type = {EventType.INPUT.value} AND o.type = {EventType.OUTPUT.value} "
        f"AND m.state = '{NodeState.COMPLETE}' AND o.id > v.id",
    ),
    _Invariant(
        "an-input-was-live",
        "execution {0} used artifact {1}, which has never been LIVE",
        "SELECT v.execution_id, v.artifact_id FROM Event v "
        "JOIN tidemill_node n ON n.execution_id = v.execution_id JOIN Artifact a ON a.id = v.artifact_id "
        f"WHERE v.type = {EventType.INPUT.value} "
        f"AND a.state IN ({ArtifactState.PENDING.value}, {ArtifactState.ABANDONED.value})",
    ),
    _Invariant(
        "a-hit-has-an-equal-key",
        "node {1} of run {0} reused artifact {2}, which execution {3} made under another cache key",
        "SELECT n.run_id, n.node_id, v.artifact_id, m.execution_id FROM tidemill_node n "
        "JOIN Event v ON v.execution_id = n.execution_id JOIN Event o ON o.artifact_id = v.artifact_id "
        "JOIN tidemill_node m ON m.execution_id = o.execution_id "
        f"WHERE n.state = '{NodeState.CACHED}' AND m.state = '{NodeState.COMPLETE}' "
        f"AND v.type = {EventType.OUTPUT.value} AND o.type = {EventType.OUTPUT.value} "
        "AND m.cache_key <> n.cache_key",
    ),
    _Invariant(
        "a-run-has-a-version",
        "run {0} has the version {1}, of which no IR is kept",
        "SELECT r.id, r.version FROM tidemill_run r LEFT JOIN tidemill_pipeline_version v "
        "ON v.version = r.version WHERE v.version IS NULL",
    ),
    _Invariant(
        "a-node-has-a-run",
        "node {1} belongs to run {0}, which does not exist",
        "SELECT n.run_id, n.node_id FROM tidemill_node n LEFT JOIN tidemill_run r ON r.id = n.run_id "
        "WHERE r.id IS NULL",
    ),
    _Invariant(
        "a-queued-run-did-nothing",
        "run {0} is QUEUED, but somebody drives it or it has the node {1}",
        "SELECT r.id, n.node_id FROM tidemill_run r LEFT JOIN tidemill_node n ON n.run_id = r.id "
        f"WHERE r.state = '{RunState.QUEUED}' AND (r.owner <> '' OR r.start_time <> 0 "
        "OR n.node_id IS NOT NULL)",
    ),
    _Invariant(
        "a-base-run-exists",
        "run {0} has the base run {1}, which does not exist",
        "SELECT r.id, r.base_run FROM tidemill_run r LEFT JOIN tidemill_run b ON b.id = r.base_run "
        "WHERE r.base_run <> '' AND b.id IS NULL",
    ),
    # What was held when a pool shrank may be more than it has; what it gave since then may not.
    _Invariant(
        "a-pool-gives-no-more-than-it-has",
        "pool {0} has {1} slots, but gave {2}",
        "SELECT p.name, p.slots, SUM(n.slots) FROM tidemill_pool p JOIN tidemill_node n "
        f"ON n.pool = p.name AND n.state = '{NodeState.RUNNING}' AND n.start_time > p.change_time "
        "GROUP BY p.name, p.slots HAVING SUM(n.slots) > p.slots",
    ),
    _Invariant(
        "slots-have-a-pool",
        "node {1} of run {0} holds slots of the pool {2}, which does not exist",
        "SELECT n.run_id, n.node_id, n.pool FROM tidemill_node n LEFT JOIN tidemill_pool p "
        f"ON p.name = n.pool WHERE n.pool <> '' AND n.slots > 0 AND n.state = '{NodeState.RUNNING}' "
        "AND p.name IS NULL",
    ),
    _dangling("Event", "artifact_id", "Artifact"),
    _dangling("Event", "execution_id", "Execution"),
    _dangling("Association", "execution_id", "Execution"),
    _dangling("Association", "context_id", "Context"),
    _dangling("Attribution", "artifact_id", "Artifact"),
    _dangling("Attribution", "context_id", "Context"),
    _dangling("ArtifactProperty", "artifact_id", "Artifact"),
    _dangling("ExecutionProperty", "execution_id", "Execution"),
    _dangling("ContextProperty", "context_id", "Context"),
    _dangling("EventPath", "event_id", "Event"),
    _dangling("ParentContext", "context_id", "Context"),
    _dangling("ParentContext", "parent_context_id", "Context"),
    _dangling("TypeProperty", "type_id", "Type"),
    _dangling("ParentType", "type_id", "Type"),
    _dangling("ParentType", "parent_type_id", "Type"),
    _typed(TypeKind.ARTIFACT),
    _typed(TypeKind.EXECUTION),
    _typed(TypeKind.CONTEXT),
    _valued("ArtifactProperty"),
    _valued("ExecutionProperty"),
    _valued("ContextProperty"),
)
_CHECKED_HERE = (
    "execution-name",
    "fence-counts-executions",
    "ir-matches-version",
    "approvals-and-decisions-agree",
)
NAMES = tuple(dict.fromkeys([*(i.name for i in _INVARIANTS), *_CHECKED_HERE]))
"""Every invariant by name."""


def findings(tx: Transaction) -> Iterator[Finding]:
    """Everything in the record that breaks an invariant."""
    for invariant in _INVARIANTS:
        for row in tx.rows(invariant.sql):
            yield Finding(invariant=invariant.name, what=invariant.says.format(*row))
    yield from _wrong_names(tx)
    yield from _wrong_fences(tx)
    yield from _wrong_versions(tx)
    yield from _wrong_decisions(tx)


def _wrong_names(tx: Transaction) -> Iterator[Finding]:
    """The name of an execution says run, node, iteration and attempt; it must be those of its node."""
    rows = tx.rows(
        "SELECT n.run_id, n.node_id, n.iteration, n.attempt, e.name FROM tidemill_node n "
        "JOIN Execution e ON e.id = n.execution_id"
    )
    for run_id, node_id, iteration, attempt, name in rows:
        expected = f"{run_id}/{node_id}/{iteration}/{attempt}"
        if name != expected:
            what = f"the execution of {expected} is named {name!r}"
            yield Finding(invariant="execution-name", what=what)


def _wrong_fences(tx: Transaction) -> Iterator[Finding]:
    """Each grant of a node raises its fence by one and records one execution."""
    attempts: Counter[str] = Counter()
    for run_id, name in tx.rows(
        "SELECT r.id, e.name FROM tidemill_run r JOIN Association a ON a.context_id = r.context_id "
        "JOIN Execution e ON e.id = a.execution_id"
    ):
        node, _, _ = str(name).rpartition("/")
        attempts[node if node.startswith(f"{run_id}/") else ""] += 1
    for run_id, node_id, iteration, fence in tx.rows(
        "SELECT n.run_id, n.node_id, n.iteration, n.fence FROM tidemill_node n "
        "JOIN tidemill_run r ON r.id = n.run_id"
    ):
        found = attempts[f"{run_id}/{node_id}/{iteration}"]
        if found != fence:
            what = f"node {node_id} of run {run_id} has fence {fence}, but {found} executions"
            yield Finding(invariant="fence-counts-executions", what=what)


def _wrong_versions(tx: Transaction) -> Iterator[Finding]:
    """A version is the content hash of its IR."""
    for version, ir in tx.rows("SELECT version, ir FROM tidemill_pipeline_version"):
        try:
            found = digest(json.loads(ir))
        except ValueError:
            found = "not JSON"
        if found != version:
            what = f"the IR kept as version {version[:12]} has the hash {found[:12]}"
            yield Finding(invariant="ir-matches-version", what=what)


def _wrong_decisions(tx: Transaction) -> Iterator[Finding]:
    """A decision is about an approval node, and such a node only passes when it was granted."""
    rows = tx.rows(
        "SELECT d.run_id, d.node_id, d.iteration, d.granted, r.version, n.state FROM tidemill_decision d "
        "LEFT JOIN tidemill_run r ON r.id = d.run_id LEFT JOIN tidemill_node n "
        "ON n.run_id = d.run_id AND n.node_id = d.node_id AND n.iteration = d.iteration"
    )
    kinds: dict[str, dict[str, str]] = {}
    for run_id, node_id, iteration, granted, version, state in rows:
        if version is not None and version not in kinds:
            kinds[version] = _kinds(tx, version)
        what = ""
        if kinds.get(version, {}).get(node_id) != "approval":
            what = "which waits for no approval"
        elif state == NodeState.COMPLETE.value and not granted:
            what = "which was rejected and is COMPLETE"
        elif state == NodeState.FAILED.value and granted:
            what = "which was approved and is FAILED"
        if what:
            said = f"there is a decision about node {node_id} ({iteration}) of run {run_id}, {what}"
            yield Finding(invariant="approvals-and-decisions-agree", what=said)


def _kinds(tx: Transaction, version: str) -> dict[str, str]:
    """Node -> its kind, as the IR of a version says."""
    row = tx.row("SELECT ir FROM tidemill_pipeline_version WHERE version = ?", (version,))
    try:
        nodes = json.loads(row[0])["nodes"] if row else []
        return {node["id"]: node.get("kind", "component") for node in nodes}
    except (ValueError, KeyError, TypeError):
        return {}  # another invariant's affair
