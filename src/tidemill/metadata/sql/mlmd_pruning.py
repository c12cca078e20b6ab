"""Removing whole runs of TFX or Kubeflow Pipelines from the record.

By the rules of pruning.py: a run goes with all of its rows or stays with all of them, and each transaction
looks again before it removes. A run stays when anything that it made is referred to from elsewhere, or may
still have files; so do runs that share an execution, and those that somebody grouped on purpose.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from tidemill.metadata.model import ArtifactState, ExecutionState
from tidemill.metadata.retention import MlmdRetention, MlmdRowRetention, MlmdRun, PlaceOf, RetentionPolicy
from tidemill.metadata.sql import mlmd_runs, names
from tidemill.metadata.sql.database import Database, Transaction
from tidemill.metadata.sql.mlmd_retention import OUTPUTS, choose, mark, refuse_running
from tidemill.metadata.sql.mlmd_runs import GENERATED, GROUPS, PIPELINES, WRITERS
from tidemill.metadata.sql.pruning import delete_members, empty, forget_links, in_order, remove_contexts
from tidemill.metadata.sql.selecting import ids_in


class _Parts:
    """Runs with what they made, who uses that, and why some must stay."""

    def __init__(self, runs: Iterable[MlmdRun]) -> None:
        self.runs = {run.context: run for run in runs}
        self.of = {execution: run.context for run in self.runs.values() for execution in run.executions}
        self.made: dict[int, set[int]] = defaultdict(set)
        """Run -> artifacts that its executions put out, not out of the cache."""
        self.users: dict[int, set[int]] = defaultdict(set)
        """Run -> runs that refer to something that it made."""
        self.why: dict[int, str] = {}

    def stays(self, context: int, why: str) -> None:
        """Say why a run stays, unless that was said."""
        self.why.setdefault(context, why)

    def settle(self, tx: Transaction, going: set[int]) -> None:
        """Find out. `going` are artifacts whose files are about to be deleted."""
        self._executions(tx)
        made = tx.rows_in(
            "SELECT v.execution_id, v.artifact_id FROM Event v JOIN Execution e ON e.id = v.execution_id "
            f"WHERE v.type IN {OUTPUTS} AND (e.last_known_state IS NULL "
            f"OR e.last_known_state <> {ExecutionState.CACHED.value}) AND v.execution_id IN ({{ids}})",
            self.of,
        )
        makers: dict[int, set[int]] = defaultdict(set)
        for execution, artifact in made:
            self.made[self.of[execution]].add(artifact)
            makers[artifact].add(self.of[execution])
        self._users(tx, makers)
        for artifact, uri, state in tx.rows_in(
            "SELECT id, uri, state FROM Artifact WHERE id IN ({ids})", makers
        ):
            if uri and state != ArtifactState.DELETED.value and artifact not in going:
                for context in makers[artifact]:
                    self.stays(context, f"the files of artifact {artifact} may still be there")
        changed = True
        while changed:  # whoever made what a run that stays uses, stays too
            changed = False
            for context in self.runs.keys() - self.why.keys():
                staying = next((u for u in sorted(self.users[context]) if u in self.why), None)
                if staying is not None:
                    self.why[context] = f"run {self.runs[staying].id}, which stays, uses what it made"
                    changed = True

    def _executions(self, tx: Transaction) -> None:
        for execution, found in mlmd_runs.members(tx, "Association", "execution_id", self.of).items():
            for member in found:
                if member.type in WRITERS and member.context != self.of[execution]:
                    for context in {self.of[execution], member.context} & self.runs.keys():
                        self.stays(context, f"execution {execution} is in run {member.name} too")
                elif member.type not in GENERATED:
                    self.stays(
                        self.of[execution],
                        f"execution {execution} is in the {member.type} {member.name!r}",
                    )
        for child, parent in tx.rows_in(
            "SELECT context_id, parent_context_id FROM ParentContext WHERE parent_context_id IN ({ids})",
            self.runs,
        ):
            self.stays(parent, f"it is the parent of context {child}")

    def _users(self, tx: Transaction, makers: dict[int, set[int]]) -> None:
        for artifact, found in mlmd_runs.members(tx, "Attribution", "artifact_id", makers).items():
            for member in found:
                for context in makers[artifact]:
                    if member.context in self.runs:
                        self.users[context].add(member.context)
                    elif member.type not in GROUPS:
                        self.stays(context, f"artifact {artifact} is in the {member.type} {member.name!r}")
        for artifact, execution in tx.rows_in(
            "SELECT artifact_id, execution_id FROM Event WHERE artifact_id IN ({ids})", makers
        ):
            user = self.of.get(execution)
            for context in makers[artifact]:
                if user is None:
                    self.stays(context, f"execution {execution}, which stays, uses artifact {artifact}")
                else:
                    self.users[context].add(user)


def choose_rows(tx: Transaction, policy: RetentionPolicy, place: PlaceOf) -> MlmdRowRetention:
    """Which of the runs that a policy lets go can be removed, in an order in which they can be."""
    chosen = choose(tx, policy, place)
    parts = _Parts(chosen.runs)
    parts.settle(tx, {a.id for a in chosen.artifacts})
    batches = in_order(parts.runs.keys() - parts.why.keys(), parts.users)
    return MlmdRowRetention(
        batches=tuple(tuple(parts.runs[context] for context in batch) for batch in batches),
        kept=tuple((run, parts.why[run.context]) for run in chosen.runs if run.context in parts.why),
    )


def remove_runs(tx: Transaction, contexts: Sequence[int]) -> int:
    """Remove runs, in one transaction; how many. Left out is what is gone, or referred to by now.

    StoreError while any run is RUNNING, whoever's.
    """
    names.lock_registry(tx)
    refuse_running(tx)
    parts = _Parts(r for r in mlmd_runs.find(tx, contexts) if r.state is not None and r.state.ended)
    parts.settle(tx, set())
    going = parts.runs.keys() - parts.why.keys()
    _remove(tx, parts, going)
    return len(going)


def _remove(tx: Transaction, parts: _Parts, own: set[int]) -> None:
    executions = {execution for context in own for execution in parts.runs[context].executions}
    made = {artifact for context in own for artifact in parts.made[context]}
    linked = ids_in(
        tx, "SELECT DISTINCT artifact_id FROM Event WHERE execution_id IN ({ids})", executions
    ) - made  # fmt: skip
    linked |= ids_in(tx, "SELECT artifact_id FROM Attribution WHERE context_id IN ({ids})", own) - made
    around = _generated(tx, executions, own)
    delete_members(tx, executions, made, own)
    forget_links(tx, linked, around)
    remove_contexts(tx, own)
    for type in sorted(set(GROUPS) - set(PIPELINES)) + list(PIPELINES):
        remove_contexts(tx, empty(tx, around, type))


def _generated(tx: Transaction, executions: set[int], own: set[int]) -> set[int]:
    """Contexts that the runs are in and that nobody made on purpose: they go when nothing is left in them."""
    around = {
        member.context
        for found in mlmd_runs.members(tx, "Association", "execution_id", executions).values()
        for member in found if member.type in GROUPS
    }  # fmt: skip
    around |= {
        context
        for context, type in tx.rows_in(
            "SELECT c.id, t.name FROM ParentContext p JOIN Context c ON c.id = p.parent_context_id "
            "JOIN Type t ON t.id = c.type_id WHERE p.context_id IN ({ids})",
            own,
        )
        if type in GROUPS
    }
    return around - own


class MlmdRecord:
    """Retention of such runs in a database. Each method is one transaction; see SqlStore's of these names."""

    def __init__(self, database: Database, place: PlaceOf) -> None:
        self._database = database
        self._place = place

    def plan_retention(self, policy: RetentionPolicy) -> MlmdRetention:
        """What a policy would let go. Changes nothing. StoreError for one that keeps nothing."""
        return self._database.read(choose, policy, self._place)

    def mark_for_deletion(self, policy: RetentionPolicy) -> MlmdRetention:
        """Take what a policy lets go out of use; StoreError while any run is RUNNING, whoever's."""
        return self._database.write(lambda tx: mark(tx, policy, self._place))

    def plan_row_retention(self, policy: RetentionPolicy) -> MlmdRowRetention:
        """Which runs that a policy lets go can be removed from the record. Changes nothing."""
        return self._database.read(choose_rows, policy, self._place)

    def remove_runs(self, contexts: Sequence[int]) -> int:
        """Remove runs, named by their contexts, with all their rows; how many. See remove_runs above."""
        removed = self._database.write(lambda tx: remove_runs(tx, contexts))
        self._database.known.contexts.clear()
        return removed

    def runs(self) -> list[MlmdRun]:
        """All such runs, newest first."""
        return self._database.read(mlmd_runs.find)
