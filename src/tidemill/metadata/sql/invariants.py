"""What must hold of the record at any moment, whatever died and when: the questions of `doctor`.

Each invariant is a query for the rows that break it. They are about tidemill's own runs; what other
MLMD clients wrote beside them is checked for dangling references only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from tidemill.metadata.finding import Finding
from tidemill.metadata.model import ArtifactState, EventType, ExecutionState, NodeState, RunState
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
)
NAMES = tuple(dict.fromkeys([*(i.name for i in _INVARIANTS), "execution-name", "ir-matches-version"]))
"""Every invariant by name."""


def findings(tx: Transaction) -> Iterator[Finding]:
    """Everything in the record that breaks an invariant."""
    for invariant in _INVARIANTS:
        for row in tx.rows(invariant.sql):
            yield Finding(invariant=invariant.name, what=invariant.says.format(*row))
    yield from _wrong_names(tx)
    yield from _wrong_versions(tx)


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
