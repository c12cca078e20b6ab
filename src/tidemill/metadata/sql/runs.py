"""Pipeline versions and runs: rows that say what was asked for, and the contexts that group the rest.

Every function works inside the caller's transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from tidemill.errors import StoreError
from tidemill.metadata.model import ArtifactType, Run, RunState
from tidemill.metadata.sql import names
from tidemill.metadata.sql.claim import external_id
from tidemill.metadata.sql.database import Row, Transaction

_RUN_COLUMNS = "id, pipeline, version, state, root, parameters, date, owner, create_time, end_time"


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


def create_run(tx: Transaction, run: Run, types: Iterable[ArtifactType], request_id: str = "") -> int:
    """See MetadataStore. The id of the run's context."""
    if not run.id or "/" in run.id:
        raise StoreError(
            f"{run.id!r} cannot name a run", hint="use a name without '/', which parts execution names"
        )
    if run.state is not RunState.RUNNING:
        raise StoreError(f"a run starts as RUNNING, not {run.state}", where=run.id)
    names.lock_registry(tx)
    requested = external_id(request_id)
    if requested and (known := tx.row("SELECT id, name FROM Context WHERE external_id = ?", (requested,))):
        if known[1] == run.id:
            return int(known[0])
        raise StoreError(
            f"request id {request_id!r} belongs to run {known[1]}", hint="choose a new id for each request"
        )
    if tx.row("SELECT 1 FROM tidemill_run WHERE id = ?", (run.id,)) or names.find_context(
        tx, names.RUN, run.id
    ):
        raise StoreError(f"there is a run {run.id!r} in this store already", hint="choose another run id")
    parameters = _json(run)
    names.register(tx, types)
    pipeline_context = names.ensure_context(tx, names.PIPELINE, run.pipeline)
    facts = {"pipeline_version": run.version, **({"date": run.date} if run.date else {})}
    context = names.add_context(tx, names.RUN, run.id, facts, external_id=requested)
    tx.insert_rows("ParentContext", "context_id, parent_context_id", [(context, pipeline_context)])
    tx.insert_rows(
        "tidemill_run",
        f"{_RUN_COLUMNS}, context_id",
        [(run.id, run.pipeline, run.version, run.state.value, run.root, parameters, run.date, run.owner,
          run.create_time or tx.now, 0, context)],
    )  # fmt: skip
    return context


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


def end_run(tx: Transaction, run_id: str, state: RunState, *, owner: str) -> bool:
    """See MetadataStore."""
    if state is RunState.RUNNING:
        raise StoreError("RUNNING is not an end of a run", where=run_id)
    changed = tx.execute(
        "UPDATE tidemill_run SET state = ?, end_time = ? WHERE id = ? AND state = ? AND owner = ?",
        (state.value, tx.now, run_id, RunState.RUNNING.value, owner),
    )
    return changed == 1


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


def _json(run: Run) -> str:
    try:
        return json.dumps(dict(run.parameters), sort_keys=True)
    except (TypeError, ValueError) as error:
        raise StoreError(
            f"the parameters of run {run.id} are not JSON: {error}", where=run.pipeline
        ) from error


def _run(row: Row) -> Run:
    id, pipeline, version, state, root, parameters, date, owner, create_time, end_time = row
    return Run(
        id=id, pipeline=pipeline, version=version, state=RunState(state), root=root,
        parameters=json.loads(parameters), date=date, owner=owner, create_time=create_time, end_time=end_time,
    )  # fmt: skip
