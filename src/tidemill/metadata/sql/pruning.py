"""Removing whole runs from the record, for those who do not want to keep the lineage of what is gone.

A run goes with all of its rows or stays with all of them. It stays when anything that it made is still
referred to: by an execution outside of the runs that go, or from a context that is none of tidemill's (as
others group what they have in use), or by files that are still there. Users go before makers, a bounded
number in one transaction, and after each transaction the record is sound.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tidemill.errors import StoreError
from tidemill.metadata.model import ArtifactState, EventType, ExecutionState, Run, RunState, TypeKind
from tidemill.metadata.retention import RetentionPolicy, RowRetention
from tidemill.metadata.sql import names, runs
from tidemill.metadata.sql.database import Transaction
from tidemill.metadata.sql.retention import choose
from tidemill.metadata.sql.selecting import ids_in

BATCH = 20
"""Runs that go in one transaction."""
_STILL_THERE = (ArtifactState.LIVE, ArtifactState.MARKED_FOR_DELETION, ArtifactState.PENDING)
_OWN_CONTEXTS = (names.PIPELINE, names.RUN, names.NODE)


@dataclass(slots=True)
class _Part:
    """What belongs to one run."""

    run: Run
    context: int
    executions: set[int] = field(default_factory=set)
    made: set[int] = field(default_factory=set)
    """Artifacts that its own executions put out first, not out of the cache."""
    why: str = ""
    """Why it stays."""


def choose_rows(tx: Transaction, policy: RetentionPolicy) -> RowRetention:
    """Which of the runs that a policy lets go can be removed, in an order in which they can be."""
    chosen = choose(tx, policy)
    going = {a.id for a in chosen.artifacts}
    parts = _parts(tx, chosen.runs)
    users = _settle(tx, parts, going)
    left = {context for context, part in parts.items() if not part.why}
    ordered = [tuple(parts[context].run for context in batch) for batch in in_order(left, users)]
    kept = tuple((part.run, part.why) for part in parts.values() if part.why)
    return RowRetention(batches=tuple(ordered), kept=kept)


def in_order(contexts: Iterable[int], users: Mapping[int, set[int]]) -> list[list[int]]:
    """Batches of runs, by context, in which users go before makers."""
    left, ordered = set(contexts), list[list[int]]()
    while left:
        newest = sorted(left, reverse=True)
        ready = [c for c in newest if not (users.get(c, set()) - {c}) & left]
        if not ready:  # they use each other's: one transaction for all of them
            return [*ordered, newest]
        ordered += [ready[start : start + BATCH] for start in range(0, len(ready), BATCH)]
        left -= set(ready)
    return ordered


def remove_runs(tx: Transaction, run_ids: Sequence[str]) -> int:
    """Remove runs, in one transaction; how many. Those that are gone are left out, and so are those that
    something refers to by now. StoreError while any run is RUNNING."""
    names.lock_registry(tx)
    running = runs.get_runs(tx, pipeline="", state=RunState.RUNNING, limit=1)
    if running:
        raise StoreError(
            f"run {running[0].id} is RUNNING and may be using what would be removed",
            hint="wait for it, or resume it if its runner died",
        )
    found = [run for run in (runs.get_run(tx, i) for i in run_ids) if run is not None]
    parts = _parts(tx, found)
    _settle(tx, parts, set())
    going = [part for part in parts.values() if not part.why]
    _remove(tx, going)
    return len(going)


# --- what may go ------------------------------------------------------------------------------------


def _parts(tx: Transaction, found: Iterable[Run]) -> dict[int, _Part]:
    """What belongs to each run, by its context."""
    by_id = {run.id: run for run in found}
    rows = tx.rows_in("SELECT context_id, id FROM tidemill_run WHERE id IN ({ids})", by_id)
    parts = {context: _Part(by_id[run], context) for context, run in sorted(rows)}
    for context, execution, name in tx.rows_in(
        "SELECT s.context_id, e.id, e.name FROM Association s JOIN Execution e ON e.id = s.execution_id "
        "WHERE s.context_id IN ({ids})",
        parts,
    ):
        parts[context].executions.add(execution)
        if not str(name).startswith(f"{parts[context].run.id}/"):
            parts[context].why = f"execution {execution}, which is not its own, is in its context"
    return parts


def _settle(tx: Transaction, parts: dict[int, _Part], going: set[int]) -> dict[int, set[int]]:
    """Say of each run whether it must stay and why; which runs use what each made, by context.

    `going` are artifacts whose files are about to be deleted.
    """
    of = {execution: context for context, part in parts.items() for execution in part.executions}
    made = tx.rows_in(
        "SELECT v.execution_id, v.artifact_id FROM Event v JOIN Execution e ON e.id = v.execution_id "
        f"WHERE v.type = {EventType.OUTPUT.value} AND e.last_known_state <> {ExecutionState.CACHED.value} "
        "AND v.execution_id IN ({ids})",
        of,
    )
    maker = {artifact: of[execution] for execution, artifact in made}
    for artifact, context in maker.items():
        parts[context].made.add(artifact)
    for artifact, type, name in tx.rows_in(
        "SELECT a.artifact_id, t.name, c.name FROM Attribution a JOIN Context c ON c.id = a.context_id "
        "JOIN Type t ON t.id = c.type_id WHERE a.artifact_id IN ({ids})",
        maker,
    ):
        if type not in _OWN_CONTEXTS:
            part = parts[maker[artifact]]
            part.why = part.why or f"artifact {artifact} is in the {type} {name!r}"
    users: dict[int, set[int]] = defaultdict(set)
    for artifact, execution in tx.rows_in(
        "SELECT artifact_id, execution_id FROM Event WHERE artifact_id IN ({ids})", maker
    ):
        user = of.get(execution)
        if user is None:
            part = parts[maker[artifact]]
            part.why = part.why or f"execution {execution} of a run that stays uses artifact {artifact}"
        else:
            users[maker[artifact]].add(user)
    for artifact, uri, state in tx.rows_in("SELECT id, uri, state FROM Artifact WHERE id IN ({ids})", maker):
        part = parts[maker[artifact]]
        inside = str(uri).startswith(part.run.root.rstrip("/") + "/")
        if inside and artifact not in going and state in [s.value for s in _STILL_THERE]:
            part.why = part.why or f"the files of artifact {artifact} are still there"
    _keep_makers(parts, users)
    return users


def _keep_makers(parts: dict[int, _Part], users: dict[int, set[int]]) -> None:
    """Whoever made what a run that stays uses, stays too."""
    changed = True
    while changed:
        changed = False
        for context, part in parts.items():
            staying = next((u for u in sorted(users[context]) if parts[u].why), None)
            if not part.why and staying is not None:
                part.why = f"run {parts[staying].run.id}, which stays, uses what it made"
                changed = True


# --- removing ---------------------------------------------------------------------------------------


def _remove(tx: Transaction, parts: Sequence[_Part]) -> None:
    run_ids = [part.run.id for part in parts]
    own = {part.context for part in parts}
    executions = {e for part in parts for e in part.executions}
    made = {a for part in parts for a in part.made}
    around = ids_in(
        tx, "SELECT DISTINCT context_id FROM Association WHERE execution_id IN ({ids})", executions
    ) - own  # fmt: skip
    around |= ids_in(tx, "SELECT parent_context_id FROM ParentContext WHERE context_id IN ({ids})", own)
    linked = ids_in(
        tx,
        f"SELECT artifact_id FROM Event WHERE type = {EventType.OUTPUT.value} "
        "AND execution_id IN ({ids})",
        executions,
    ) - made  # fmt: skip
    delete_members(tx, executions, made, own)
    delete(tx, "tidemill_node", "run_id", run_ids)
    delete(tx, "tidemill_run", "id", run_ids)
    forget_links(tx, linked, around)
    remove_contexts(tx, own)
    remove_contexts(tx, empty(tx, around, names.NODE))
    remove_contexts(tx, empty(tx, around, names.PIPELINE))
    versions = {part.run.version for part in parts}
    used = {v for (v,) in tx.rows_in("SELECT version FROM tidemill_run WHERE version IN ({ids})", versions)}
    delete(tx, "tidemill_pipeline_version", "version", versions - used)


def delete_members(tx: Transaction, executions: set[int], made: set[int], contexts: set[int]) -> None:
    """Delete the rows of runs' executions, of the artifacts they made, and what links artifacts to the
    runs' own `contexts`."""
    events = ids_in(tx, "SELECT id FROM Event WHERE execution_id IN ({ids})", executions)
    for table, column, ids in (
        ("EventPath", "event_id", events), ("Event", "id", events),
        ("Association", "execution_id", executions), ("ExecutionProperty", "execution_id", executions),
        ("Execution", "id", executions),
        ("Attribution", "artifact_id", made), ("ArtifactProperty", "artifact_id", made),
        ("Artifact", "id", made), ("Attribution", "context_id", contexts),
    ):  # fmt: skip
        delete(tx, table, column, ids)


def delete(tx: Transaction, table: str, column: str, ids: Iterable[object]) -> None:
    """Delete the rows of a table that have one of the values in a column."""
    wanted = list(ids)
    for start in range(0, len(wanted), 500):
        part = wanted[start : start + 500]
        tx.execute(f"DELETE FROM {table} WHERE {column} IN ({', '.join('?' * len(part))})", part)


def forget_links(tx: Transaction, artifacts: set[int], contexts: set[int]) -> None:
    """Take artifacts, which the removed runs had from the cache, out of contexts that none of their
    remaining executions is in."""
    linked = tx.rows_in(
        "SELECT context_id, artifact_id FROM Attribution WHERE artifact_id IN ({ids})", artifacts
    )
    kept = set(
        tx.rows_in(
            "SELECT s.context_id, v.artifact_id FROM Event v "
            "JOIN Association s ON s.execution_id = v.execution_id WHERE v.artifact_id IN ({ids})",
            artifacts,
        )
    )
    for context, artifact in linked:
        if context in contexts and (context, artifact) not in kept:
            tx.execute(
                "DELETE FROM Attribution WHERE context_id = ? AND artifact_id = ?", (context, artifact)
            )


def empty(tx: Transaction, contexts: set[int], type: str) -> set[int]:
    """Those of the contexts, of a type without a version, that have neither members nor children."""
    ours = ids_in(
        tx,
        "SELECT c.id FROM Context c JOIN Type t ON t.id = c.type_id "
        f"WHERE t.type_kind = {TypeKind.CONTEXT.value} AND t.version IS NULL AND t.name = '{type}' "
        "AND c.id IN ({ids})",
        contexts,
    )
    for table, column in (
        ("Association", "context_id"), ("Attribution", "context_id"), ("ParentContext", "parent_context_id")
    ):  # fmt: skip
        ours -= ids_in(tx, f"SELECT DISTINCT {column} FROM {table} WHERE {column} IN ({{ids}})", ours)
    return ours


def remove_contexts(tx: Transaction, contexts: set[int]) -> None:
    """Remove contexts that nothing is in, with their places in the tree of contexts."""
    for table, column in (
        ("ParentContext", "context_id"), ("ParentContext", "parent_context_id"),
        ("ContextProperty", "context_id"), ("Context", "id"),
    ):  # fmt: skip
        delete(tx, table, column, contexts)
