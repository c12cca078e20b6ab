"""How a run comes into being: what is wanted becomes a row of the store, once, however often it is asked for.

It may be RUNNING at once, or QUEUED for a worker. Nothing here launches anything.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tidemill.errors import RunnerError
from tidemill.ir import codec
from tidemill.ir.model import PipelineIR
from tidemill.metadata.model import (
    CANCEL,
    MOST_ACTIVE,
    REPRODUCED,
    SELECTION,
    ArtifactType,
    PropertyType,
    Run,
    RunState,
)
from tidemill.metadata.store import MetadataStore
from tidemill.runtime import owner
from tidemill.runtime.base import available, find_base
from tidemill.runtime.plan import Plan, make_plan
from tidemill.runtime.reproduce import is_reproduction, reproduction_parameters, reproduction_plan
from tidemill.runtime.select import Selection, restrict, select

QUEUED = "queued"
"""Key in the settings of a run that came from the queue: any worker may go on with it."""


class SameWork(RunnerError):
    """An unfinished run does the same already."""

    def __init__(self, run: Run) -> None:
        alive = owner.is_alive(run.owner) if run.state is RunState.RUNNING else None
        where = "it is queued" if run.state is RunState.QUEUED else (
            f"process {run.owner}" if alive else "another machine"
        )  # fmt: skip
        super().__init__(
            f"run {run.id} does the same work right now ({where})",
            hint="wait for it (--wait), or pass --new to start another",
        )
        self.run = run


def settings_of(
    ir: PipelineIR, *, code_root: str, workdir: str, file: str = "", isolation: str = "process",
    reuse: str = "allowed",
) -> dict[str, Any]:  # fmt: skip
    """How a run is to be run, as it is stored with it. Nothing secret: the environment stays out."""
    found: dict[str, Any] = {
        "code_root": code_root, "workdir": workdir, "file": file, "isolation": isolation, "reuse": reuse,
    }  # fmt: skip
    if ir.max_active_runs:
        found[MOST_ACTIVE] = ir.max_active_runs
    return found


def part_of(ir: PipelineIR, wanted: Mapping[str, Any]) -> Selection | None:
    """The part of the pipeline that an engine's parameter names, {"only": [...], "from": [...], "to": [...]};
    None for all of it. RunnerError when it cannot be."""
    if not wanted:
        return None
    return select(ir, only=wanted.get("only", ()), start=wanted.get("from", ()), end=wanted.get("to", ()))


def wish(
    store: MetadataStore, ir: PipelineIR, parameters: Mapping[str, Any], *, root: str, date: str = "",
    settings: Mapping[str, Any], run_id: str = "", selection: Selection | None = None, base: str = "latest",
    priority: int = 0,
) -> Run:  # fmt: skip
    """The run that is wanted, RUNNING under this process, not stored yet; its version is.

    RunnerError when a parameter, a pool or the base run is wrong.
    """
    plan = make_plan(ir, parameters, date)
    base_run, kept = "", dict(settings)
    if selection is not None:
        if selection.base:
            found = find_base(store, ir, selection, base, date)
            selection, base_run = available(store, ir, selection, found), found.id
        kept[SELECTION] = selection.to_json()
    check_pools(store, restrict(plan, selection) if selection else plan)
    store.put_pipeline_version(plan.version, ir.name, codec.dumps(ir))
    return Run(
        id=run_id or new_run_id(plan.pipeline),
        pipeline=plan.pipeline,
        version=plan.version,
        state=RunState.RUNNING,
        root=root,
        parameters=plan.parameters,
        date=plan.date,
        owner=owner.myself(),
        priority=priority,
        base_run=base_run,
        settings=kept,
    )


def wish_again(
    ir: PipelineIR, original: Run, *, root: str, settings: Mapping[str, Any], with_effects: bool
) -> Run:
    """The run that repeats another one, kept apart from those of the pipeline. Its version is stored."""
    return Run(
        id=new_run_id(ir.name),
        pipeline=f"{ir.name}{REPRODUCED}",
        version=original.version,
        state=RunState.RUNNING,
        root=root,
        parameters=reproduction_parameters(original, with_effects=with_effects),
        date=original.date,
        owner=owner.myself(),
        settings=settings,
    )


def start(store: MetadataStore, ir: PipelineIR, wanted: Run, *, new: bool = False) -> tuple[Run, bool]:
    """The run as it is stored, driven by this process, and whether it is one that a dead runner left.

    SameWork when somebody else does it, or it is queued; RunnerError when the pipeline runs as often as it
    allows. Of many equal callers one creates the run.
    """
    known = store.get_run(wanted.id) is not None  # an id that somebody chose may be that of an earlier start
    while True:
        found = store.create_run(
            wanted, artifact_types(ir), unless_equal=not new, most_active=ir.max_active_runs
        )
        if (found.id, found.owner) == (wanted.id, wanted.owner) and not known:
            return found, False
        if found.state is RunState.QUEUED or owner.is_alive(found.owner) is not False:
            raise SameWork(found)
        if store.take_run(found.id, owner=owner.myself(), expected_owner=found.owner):
            mine = replace(found, owner=owner.myself())
            if found.request != CANCEL:
                return mine, True
            store.end_run(mine.id, RunState.CANCELED, owner=mine.owner, close_nodes=True)


def submit(store: MetadataStore, ir: PipelineIR, wanted: Run, *, new: bool = False) -> Run:
    """Put a run into the queue; SameWork when its equal is there already."""
    queued = replace(wanted, state=RunState.QUEUED, owner="", settings={**wanted.settings, QUEUED: True})
    found = store.create_run(queued, artifact_types(ir), unless_equal=not new)
    if found.id != queued.id:
        raise SameWork(found)
    return found


def plan_of(ir: PipelineIR, run: Run) -> Plan:
    """The plan of a stored run: the whole pipeline, the part that it selected, or a reproduction."""
    if is_reproduction(run):
        return reproduction_plan(ir, run)
    plan = make_plan(ir, run.parameters, run.date)
    selection = selection_of(run)
    return restrict(plan, selection) if selection else plan


def selection_of(run: Run) -> Selection | None:
    """The part of the pipeline that a run does; None for all of it."""
    stored = run.settings.get(SELECTION)
    return Selection.from_json(stored) if stored else None


def check_pools(store: MetadataStore, plan: Plan) -> None:
    """RunnerError when a node needs a pool that is not there or too small: better now than in an hour."""
    wanted = [step for step in plan.steps if step.options.pool]
    slots = {pool.name: pool.slots for pool in store.get_pools()} if wanted else {}
    for step in wanted:
        name, needs = step.options.pool, step.options.slots
        if name not in slots:
            known = f"; known: {', '.join(slots)}" if slots else ""
            raise RunnerError(
                f"node {step.node_id!r} needs the pool {name!r}, which is not there",
                hint=f"make it: tidemill pools set {name} {needs}{known}",
            )
        if 0 < slots[name] < needs:
            raise RunnerError(
                f"node {step.node_id!r} needs {needs} slots of pool {name!r}, which has {slots[name]}",
                hint=f"make it larger: tidemill pools set {name} {needs}",
            )


def new_run_id(pipeline: str) -> str:
    """`pipeline-20240105T000000-7f3a9c`: sorts by time and is unique."""
    return f"{pipeline}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def artifact_types(ir: PipelineIR) -> list[ArtifactType]:
    """The types a pipeline uses, as the store registers them."""
    return [
        ArtifactType(
            name=t.name,
            base_type=t.base_type,
            properties={name: PropertyType[kind] for name, kind in t.properties.items()},
        )
        for t in ir.artifact_types
    ]
