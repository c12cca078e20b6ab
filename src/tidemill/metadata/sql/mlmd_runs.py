"""Runs that TFX or Kubeflow Pipelines recorded with MLMD: contexts of theirs, told as runs.

Neither writes down the state of a run, when it ended, or that it is one: that follows from the executions of
its context (source: tfx/orchestration/portable/mlmd, kubeflow/pipelines backend/src/v2/metadata). This file
reads; what goes is decided in mlmd_retention.py. The context of a run of tidemill's is none of these.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from tidemill.metadata.model import ExecutionState, RunState, TypeKind
from tidemill.metadata.retention import MlmdRun
from tidemill.metadata.sql import names
from tidemill.metadata.sql.database import Transaction

WRITERS = {names.RUN: "TFX", "system.PipelineRun": "Kubeflow"}
"""Type of a run's context -> who writes such."""
PIPELINES = (names.PIPELINE, "system.Pipeline")
GROUPS = (*PIPELINES, names.NODE, "execution_cache")
"""Types of contexts that both make by themselves, and make again when they are gone."""
GENERATED = (*WRITERS, *GROUPS)
"""All types of contexts that nobody made on purpose. What is in any other is in use by somebody."""
IMPORTERS = (
    "tfx.dsl.components.common.importer.Importer", "Importer", "system.ImporterExecution",
    "tfx.components.common_nodes.importer_node.ImporterNode", "ImporterNode",
)  # fmt: skip
"""Types of executions that put out what was there before them: its files are somebody's own."""

_NEVER = 0
_BUSY = {ExecutionState.NEW.value, ExecutionState.RUNNING.value}
_WELL = {ExecutionState.COMPLETE.value, ExecutionState.CACHED.value}


class Member(NamedTuple):
    """A context that something is in."""

    context: int
    type: str
    name: str


def find(tx: Transaction, contexts: Iterable[int] | None = None) -> list[MlmdRun]:
    """The runs, or those of `contexts` alone; newest first. One without an execution is not told."""
    wanted = None if contexts is None else set(contexts)
    found = {
        context: (name, WRITERS[type], updated or _NEVER)
        for context, name, type, updated in tx.rows(
            "SELECT c.id, c.name, t.name, c.last_update_time_since_epoch FROM Context c "
            "JOIN Type t ON t.id = c.type_id LEFT JOIN tidemill_run r ON r.context_id = c.id "
            f"WHERE t.type_kind = {TypeKind.CONTEXT.value} AND t.name IN ({_words(WRITERS)}) "
            "AND r.context_id IS NULL"
        )
        if type in WRITERS and (wanted is None or context in wanted)
    }
    executions: dict[int, set[int]] = defaultdict(set)
    states: dict[int, set[int]] = defaultdict(set)
    ended: dict[int, int] = {context: updated for context, (_, _, updated) in found.items()}
    for context, execution, state, updated in tx.rows_in(
        "SELECT s.context_id, e.id, e.last_known_state, e.last_update_time_since_epoch FROM Association s "
        "JOIN Execution e ON e.id = s.execution_id WHERE s.context_id IN ({ids})",
        found,
    ):
        executions[context].add(execution)
        states[context].add(state or 0)
        ended[context] = max(ended[context], updated or _NEVER)
    pipelines = _pipelines(tx, executions)
    answer = [
        MlmdRun(
            id=name, pipeline=", ".join(sorted(pipelines[context])), state=_state(states[context]),
            end_time=ended[context], context=context, writer=writer,
            executions=frozenset(executions[context]),
        )
        for context, (name, writer, _) in found.items() if executions[context]
    ]  # fmt: skip
    return sorted(answer, key=lambda run: (run.end_time, run.context), reverse=True)


def members(tx: Transaction, table: str, column: str, ids: Iterable[int]) -> dict[int, list[Member]]:
    """The contexts of executions (`Association`) or artifacts (`Attribution`), by id."""
    answer: dict[int, list[Member]] = defaultdict(list)
    for id, context, type, name in tx.rows_in(
        f"SELECT m.{column}, c.id, t.name, c.name FROM {table} m JOIN Context c ON c.id = m.context_id "
        f"JOIN Type t ON t.id = c.type_id WHERE m.{column} IN ({{ids}})",
        ids,
    ):
        answer[id].append(Member(context, type, name))
    return answer


def _state(states: set[int]) -> RunState | None:
    """RUNNING before all else; None where a state was never written down, so that nobody can know."""
    if states & _BUSY:
        return RunState.RUNNING
    if states - _WELL - {ExecutionState.FAILED.value, ExecutionState.CANCELED.value}:
        return None
    if ExecutionState.FAILED.value in states:
        return RunState.FAILED
    return RunState.CANCELED if ExecutionState.CANCELED.value in states else RunState.COMPLETE


def _pipelines(tx: Transaction, executions: dict[int, set[int]]) -> dict[int, set[str]]:
    """Names of the pipelines of each run: its parents, and what its executions are in as well."""
    answer: dict[int, set[str]] = defaultdict(set)
    for context, name in tx.rows_in(
        "SELECT p.context_id, c.name FROM ParentContext p JOIN Context c ON c.id = p.parent_context_id "
        f"JOIN Type t ON t.id = c.type_id WHERE t.name IN ({_words(PIPELINES)}) "
        "AND p.context_id IN ({ids})",
        executions,
    ):
        answer[context].add(name)
    of = defaultdict(list)
    for context, ids in executions.items():
        for execution in ids:
            of[execution].append(context)
    for execution, name in tx.rows_in(
        "SELECT s.execution_id, c.name FROM Association s JOIN Context c ON c.id = s.context_id "
        f"JOIN Type t ON t.id = c.type_id WHERE t.name IN ({_words(PIPELINES)}) "
        "AND s.execution_id IN ({ids})",
        of,
    ):
        for context in of[execution]:
            answer[context].add(name)
    return answer


def _words(types: Iterable[str]) -> str:
    return ", ".join(f"'{type}'" for type in types)
