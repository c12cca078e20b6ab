"""Pipeline versions and runs: rows that say what was asked for, and the contexts that group the rest.

Every function works inside the caller's transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

from tidemill.errors import FencedError, RunnerError, StoreError
from tidemill.metadata.model import ArtifactType, ExecutionState, NodeState, Run, RunState
from tidemill.metadata.sql import names
from tidemill.metadata.sql.claim import external_id
from tidemill.metadata.sql.database import Row, Transaction

_RUN_COLUMNS = (
    "id, pipeline, version, state, root, parameters, date, owner, create_time, end_time, start_time, "
    "priority, request, base_run, settings"
)


def put_pipeline_version(tx: Transaction, version: str, pipeline: str, ir: str) -> None:
    """See MetadataStore."""
    if tx.row("SELECT 1 FROM tidemill_pipeline_version WHERE version = ?", (version,)) is None:
        tx.insert_rows(
            "tidemill_pipeline_version",
            "version, pipeline, ir, create_time",
            [(version, pipeline, ir, tx.now)],
        )


def get_pipeline_version(tx: Transaction, version: str) -> str:
    """See MetadataStore."""
    row = tx.row("SELECT ir FROM tidemill_pipeline_version WHERE version = ?", (version,))
    if row is None:
        raise StoreError(f"there is no pipeline version {version!r} in this store")
    return str(row[0])


def create_run(
    tx: Transaction, run: Run, types: Iterable[ArtifactType], *, unless_equal: bool, most_active: int,
    request_id: str = "",
) -> tuple[Run, int]:  # fmt: skip
    """See MetadataStore. The run, and the id of its context, which is 0 for one that was there already."""
    if not run.id or "/" in run.id:
        raise StoreError(
            f"{run.id!r} cannot name a run", hint="use a name without '/', which parts execution names"
        )
    if run.state.ended:
        raise StoreError(f"a run starts as QUEUED or RUNNING, not {run.state}", where=run.id)
    names.lock_registry(tx)
    requested = external_id(request_id)
    if requested and (known := tx.row("SELECT id, name FROM Context WHERE external_id = ?", (requested,))):
        if known[1] == run.id and (stored := get_run(tx, run.id)):
            return stored, int(known[0])
        raise StoreError(
            f"request id {request_id!r} belongs to run {known[1]}", hint="choose a new id for each request"
        )
    if unless_equal and (equal := _unfinished_equal(tx, run)):
        return equal, 0
    if tx.row("SELECT 1 FROM tidemill_run WHERE id = ?", (run.id,)) or names.find_context(
        tx, names.RUN, run.id
    ):
        raise StoreError(f"there is a run {run.id!r} in this store already", hint="choose another run id")
    if most_active and run.state is RunState.RUNNING:
        _check_active(tx, run, most_active)
    parameters, settings = _json(run, "parameters"), _json(run, "settings")
    names.register(tx, types)
    pipeline_context = names.ensure_context(tx, names.PIPELINE, run.pipeline)
    facts = {"pipeline_version": run.version, **({"date": run.date} if run.date else {})}
    context = names.add_context(tx, names.RUN, run.id, facts, external_id=requested)
    tx.insert_rows("ParentContext", "context_id, parent_context_id", [(context, pipeline_context)])
    created = run.create_time or tx.now
    started = 0 if run.state is RunState.QUEUED else run.start_time or created
    tx.insert_rows(
        "tidemill_run",
        f"{_RUN_COLUMNS}, context_id",
        [(run.id, run.pipeline, run.version, run.state.value, run.root, parameters, run.date, run.owner,
          created, 0, started, run.priority, "", run.base_run, settings, context)],
    )  # fmt: skip
    return replace(run, create_time=created, start_time=started, end_time=0, request=""), context


def _unfinished_equal(tx: Transaction, run: Run) -> Run | None:
    """The oldest unfinished run that does the same work."""
    rows = tx.rows(
        f"SELECT {_RUN_COLUMNS} FROM tidemill_run "
        "WHERE pipeline = ? AND date = ? AND version = ? AND state IN (?, ?) ORDER BY context_id",
        (run.pipeline, run.date, run.version, RunState.QUEUED.value, RunState.RUNNING.value),
    )
    return next((found for row in rows if (found := _run(row)).same_work(run)), None)


def _check_active(tx: Transaction, run: Run, most: int) -> None:
    """RunnerError when as many runs of the pipeline are RUNNING as it allows."""
    rows = tx.rows(
        "SELECT id FROM tidemill_run WHERE pipeline = ? AND state = ? ORDER BY context_id",
        (run.pipeline, RunState.RUNNING.value),
    )
    if len(rows) >= most:
        raise RunnerError(
            f"pipeline {run.pipeline!r} runs {len(rows)} times already ({rows[0][0]}), and allows {most}",
            hint="wait, or queue the run: tidemill submit; a run that died is ended by tidemill cancel RUN",
        )


def stands(
    tx: Transaction, run_id: str, *, context: int = 0, owner: str = "", state: RunState | None = None
) -> bool:
    """Whether a run is stored with what is given of it: for whoever lost the answer to a change."""
    tx.lock("SELECT id FROM tidemill_run WHERE id = ?", (run_id,))
    row = tx.row("SELECT context_id, owner, state FROM tidemill_run WHERE id = ?", (run_id,))
    wanted = (context, owner, state.value if state else "")
    return row is not None and all(want in ("", 0, found) for want, found in zip(wanted, row, strict=True))


def take_run(tx: Transaction, run_id: str, *, owner: str, expected_owner: str) -> bool:
    """See MetadataStore."""
    changed = tx.execute(
        "UPDATE tidemill_run SET owner = ? WHERE id = ? AND state = ? AND owner = ?",
        (owner, run_id, RunState.RUNNING.value, expected_owner),
    )
    return changed == 1


def end_run(tx: Transaction, run_id: str, state: RunState, *, owner: str, close_nodes: bool) -> bool:
    """See MetadataStore."""
    if not state.ended:
        raise StoreError(f"{state} is not an end of a run", where=run_id)
    tx.lock("SELECT id FROM tidemill_run WHERE id = ?", (run_id,))  # nobody claims or publishes meanwhile
    changed = tx.execute(
        "UPDATE tidemill_run SET state = ?, end_time = ? WHERE id = ? AND state = ? AND owner = ?",
        (state.value, tx.now, run_id, RunState.RUNNING.value, owner),
    )
    if changed == 1 and close_nodes:
        _close_nodes(tx, run_id)
    return changed == 1


def _close_nodes(tx: Transaction, run_id: str) -> None:
    """End what is RUNNING in a run as CANCELED; whoever ran it can no longer publish."""
    rows = tx.rows(
        "SELECT node_id, iteration, execution_id, fence FROM tidemill_node WHERE run_id = ? AND state = ?",
        (run_id, NodeState.RUNNING.value),
    )
    for node_id, iteration, execution_id, fence in rows:
        ended = tx.execute(
            "UPDATE tidemill_node SET state = ?, message = ?, end_time = ? "
            "WHERE run_id = ? AND node_id = ? AND iteration = ? AND state = ? AND fence = ?",
            (NodeState.CANCELED.value, "canceled after its process had died", tx.now, run_id, node_id,
             iteration, NodeState.RUNNING.value, fence),
        )  # fmt: skip
        ended += tx.execute(
            "UPDATE Execution SET last_known_state = ?, last_update_time_since_epoch = ? "
            "WHERE id = ? AND last_known_state = ?",
            (ExecutionState.CANCELED.value, tx.now, execution_id, ExecutionState.RUNNING.value),
        )
        if ended != 2:
            raise FencedError(f"node {node_id!r} of run {run_id} changed just now", hint="ask again")


def get_run(tx: Transaction, run_id: str) -> Run | None:
    """See MetadataStore."""
    row = tx.row(f"SELECT {_RUN_COLUMNS} FROM tidemill_run WHERE id = ?", (run_id,))
    return _run(row) if row else None


def get_runs(tx: Transaction, *, pipeline: str, state: RunState | None, limit: int) -> list[Run]:
    """See MetadataStore."""
    conditions, values = ["1 = 1"], list[object]()
    if pipeline:
        conditions.append("pipeline = ?")
        values.append(pipeline)
    if state is not None:
        conditions.append("state = ?")
        values.append(state.value)
    rows = tx.rows(
        f"SELECT {_RUN_COLUMNS} FROM tidemill_run WHERE {' AND '.join(conditions)} "
        "ORDER BY context_id DESC LIMIT ?",
        [*values, max(limit, 0)],
    )
    return [_run(row) for row in rows]


def _json(run: Run, what: str) -> str:
    try:
        return json.dumps(dict(getattr(run, what)), sort_keys=True)
    except (TypeError, ValueError) as error:
        raise StoreError(f"the {what} of run {run.id} are not JSON: {error}", where=run.pipeline) from error


def _run(row: Row) -> Run:
    """A row as a value. Columns that came later are NULL in a record that is read as it was written."""
    id, pipeline, version, state, root, parameters, date, owner, create_time, end_time, *later = row
    start_time, priority, request, base_run, settings = later
    return Run(
        id=id, pipeline=pipeline, version=version, state=RunState(state), root=root,
        parameters=json.loads(parameters), date=date, owner=owner, create_time=create_time, end_time=end_time,
        start_time=start_time or (0 if state == RunState.QUEUED.value else create_time),
        priority=priority or 0, request=request or "", base_run=base_run or "",
        settings=json.loads(settings or "{}"),
    )  # fmt: skip
