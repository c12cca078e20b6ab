"""Choosing the rows of a part of the record: a run, a pipeline, a lineage, with what they need to make sense.

Answers are sets of ids; exporting.py writes what they name. Every function works inside the caller's
transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from tidemill.errors import StoreError
from tidemill.metadata.model import BLESSINGS, EventType, ExecutionState
from tidemill.metadata.sql import names
from tidemill.metadata.sql.database import Transaction

_MANY = 800
_OUTPUTS = f"({EventType.OUTPUT.value}, {EventType.DECLARED_OUTPUT.value})"


@dataclass(slots=True)
class Part:
    """What is to be written, by id in the store. `runs` come with their rows and the rows of their nodes."""

    artifacts: set[int] = field(default_factory=set)
    executions: set[int] = field(default_factory=set)
    contexts: set[int] = field(default_factory=set)
    runs: list[str] = field(default_factory=list)
    whole: bool = False
    """All of the record, with types and versions that nothing uses."""


def everything(tx: Transaction) -> Part:
    """All of the record."""
    return Part(
        artifacts=_ids(tx, "SELECT id FROM Artifact"),
        executions=_ids(tx, "SELECT id FROM Execution"),
        contexts=_ids(tx, "SELECT id FROM Context"),
        runs=[run for (run,) in tx.rows("SELECT id FROM tidemill_run ORDER BY context_id, id")],
        whole=True,
    )


def of_context(tx: Transaction, type: str, name: str) -> Part:
    """What belongs to a context: a run or a pipeline. StoreError when there is none."""
    context = names.find_context(tx, type, name)
    if not context:
        raise StoreError(f"there is no {type.partition('_')[2] or type} {name!r} in this store")
    part = Part(contexts={context})
    # Without people's words on its models a pipeline would go on with another champion elsewhere.
    if type == names.PIPELINE and (words := names.find_context(tx, type, f"{name}{BLESSINGS}")):
        part.contexts.add(words)
    for each in sorted(part.contexts):
        part.artifacts |= _ids(tx, "SELECT artifact_id FROM Attribution WHERE context_id = ?", each)
        part.executions |= _ids(tx, "SELECT execution_id FROM Association WHERE context_id = ?", each)
        if type == names.PIPELINE:  # runs that have not started a node yet have nothing but their context
            part.contexts |= _ids(
                tx, "SELECT context_id FROM ParentContext WHERE parent_context_id = ?", each
            )
    part.artifacts |= ids_in(
        tx, "SELECT artifact_id FROM Event WHERE execution_id IN ({ids})", part.executions
    )
    return completed(tx, part)


def completed(tx: Transaction, part: Part) -> Part:
    """The part with what it needs to make sense elsewhere.

    That is: who made what was taken from the cache; the contexts of all executions, and their parents;
    and the rows of those runs of which no execution is missing.
    """
    reused = ids_in(
        tx,
        f"SELECT id FROM Execution WHERE last_known_state = {ExecutionState.CACHED.value} "
        "AND id IN ({ids})",
        part.executions,
    )
    made = ids_in(
        tx, f"SELECT artifact_id FROM Event WHERE type IN {_OUTPUTS} AND execution_id IN ({{ids}})", reused
    )
    part.artifacts |= made
    part.executions |= ids_in(
        tx,
        "SELECT v.execution_id FROM Event v JOIN Execution e ON e.id = v.execution_id "
        f"WHERE v.type IN {_OUTPUTS} AND e.last_known_state = {ExecutionState.COMPLETE.value} "
        "AND v.artifact_id IN ({ids})",
        made,
    )
    part.contexts |= _contexts_of(tx, part.executions)
    above = part.contexts
    while above := ids_in(
        tx, "SELECT parent_context_id FROM ParentContext WHERE context_id IN ({ids})", above
    ) - part.contexts:  # fmt: skip
        part.contexts |= above
    part.runs, members = _whole_runs(tx, part)
    part.artifacts |= ids_in(tx, "SELECT artifact_id FROM Event WHERE execution_id IN ({ids})", members)
    return part


def _ids(tx: Transaction, sql: str, *values: object) -> set[int]:
    return {i for (i,) in tx.rows(sql, values)}


def ids_in(tx: Transaction, sql: str, ids: Iterable[int]) -> set[int]:
    """The first column of a query whose `{ids}` stands for `ids`."""
    return {i for (i,) in tx.rows_in(sql, ids)}


def _contexts_of(tx: Transaction, executions: set[int]) -> set[int]:
    """Contexts of executions. MLMD has no index by execution; a few probes or one pass, as is cheaper."""
    if len(executions) > _MANY:
        return {
            context for context, execution in tx.rows("SELECT context_id, execution_id FROM Association")
            if execution in executions
        }  # fmt: skip
    sql = (
        "SELECT DISTINCT c.id FROM Context c JOIN Association s ON s.context_id = c.id "
        "WHERE s.execution_id IN ({ids})"
    )
    return ids_in(tx, sql, executions)


def _whole_runs(tx: Transaction, part: Part) -> tuple[list[str], set[int]]:
    """Runs of these contexts of which every execution is there, in order of creation, and these."""
    found = tx.rows_in("SELECT context_id, id FROM tidemill_run WHERE context_id IN ({ids})", part.contexts)
    members: dict[int, set[int]] = defaultdict(set)
    for context, execution in tx.rows_in(
        "SELECT context_id, execution_id FROM Association WHERE context_id IN ({ids})", [c for c, _ in found]
    ):
        members[context].add(execution)
    whole = [(context, run) for context, run in sorted(found) if members[context] <= part.executions]
    return [run for _, run in whole], {execution for context, _ in whole for execution in members[context]}
