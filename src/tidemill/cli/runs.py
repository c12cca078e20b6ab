"""`tidemill runs`."""

from __future__ import annotations

from typing import Any

import click

from tidemill.cli.compare import compare_runs
from tidemill.cli.output import duration, first_line, json_option, moment, print_json, print_table
from tidemill.cli.resources import plain_resources, print_resources
from tidemill.cli.workspace import Workspace, find_run, tell_unknown_pipeline, workspace_options
from tidemill.ir import codec
from tidemill.metadata.model import CANCEL, Artifact, NodeRecord, Run, RunState
from tidemill.metadata.store import MetadataStore
from tidemill.runners.base.starting import QUEUED, selection_of
from tidemill.runtime import owner
from tidemill.runtime.launch import REASON
from tidemill.runtime.loops import by_place


@click.group()
def runs() -> None:
    """List, show and compare runs."""


runs.add_command(compare_runs)


@runs.command("list")
@workspace_options
@click.option("--pipeline", default="", metavar="NAME", help="Only runs of this pipeline.")
@click.option("--state", type=click.Choice([s.value for s in RunState]), help="Only runs in this state.")
@click.option("--limit", default=20, show_default=True, metavar="N", help="At most so many, newest first.")
@json_option
def list_runs(workspace: Workspace, pipeline: str, state: str | None, limit: int, as_json: bool) -> None:
    """List runs, newest first."""
    store = workspace.open_existing()
    try:
        found = store.get_runs(pipeline=pipeline, state=RunState(state) if state else None, limit=limit)
        if not found:
            tell_unknown_pipeline(store, pipeline)
    finally:
        store.close()
    if as_json:
        print_json([_plain_run(run) for run in found])
        return
    rows = [
        (r.id, r.pipeline, r.date or "-", _state(r), moment(r.start_time), _took(r), r.version[:12])
        for r in found
    ]
    print_table(["RUN", "PIPELINE", "DATE", "STATE", "STARTED", "TOOK", "VERSION"], rows)


@runs.command("show")
@click.argument("run", default="latest")
@workspace_options
@click.option("--resources", is_flag=True, help="Show what each attempt took and used.")
@json_option
def show_run(run: str, workspace: Workspace, resources: bool, as_json: bool) -> None:
    """Show a run: its nodes, how each ended and why, and what came out.

    RUN is a run's id, a unique beginning of it, or `latest`.
    """
    store = workspace.open_existing()
    try:
        record = find_run(store, run)
        if resources:
            executions = store.get_executions(record.id)
            print_json(plain_resources(executions)) if as_json else print_resources(executions)
            return
        ir = codec.loads(store.get_pipeline_version(record.version))
        records = by_place(ir, store.get_nodes(record.id))
        outputs = store.get_outputs([n.execution_id for n in records.values()])
        reasons = _reasons(store, list(records.values()))
    finally:
        store.close()
    if as_json:
        print_json(_plain_details(record, records, outputs, reasons))
        return
    _print_run(record)
    rows: list[tuple[str, ...]] = []
    started = {n.node_id for n in records.values()}
    for name, n in records.items():
        note = first_line(n.message or reasons.get(n.execution_id, ""))
        rows.append((name, n.state, str(n.attempt), _node_took(n), note))
    part = selection_of(record)
    left_out = {n.id for n in ir.nodes} - {*part.run, *part.base} if part else set()
    rows += [
        (node.id, "-", "", "", "not selected" if node.id in left_out else "not started")
        for node in ir.nodes
        if node.id not in started
    ]
    click.echo("")
    print_table(["NODE", "STATE", "ATTEMPT", "TOOK", "WHY"], rows)
    made = [
        (str(a.id), a.type, name, a.uri)
        for name, n in records.items()
        for found in outputs.get(n.execution_id, {}).values()
        for a in found
    ]
    if made:
        click.echo("")
        print_table(["ARTIFACT", "TYPE", "NODE", "URI"], made)


def _reasons(store: MetadataStore, records: list[NodeRecord]) -> dict[int, str]:
    """Why each node was run or reused, by execution id."""
    executions = store.get_executions_by_id(sorted({n.execution_id for n in records}))
    return {e.id: str(e.custom_properties.get(REASON, "")) for e in executions}


def _print_run(run: Run) -> None:
    click.echo(f"run       {click.style(run.id, bold=True)}")
    click.echo(f"pipeline  {run.pipeline}, version {run.version[:12]}")
    click.echo(f"state     {_state(run)}")
    if run.date:
        click.echo(f"date      {run.date}")
    for name, value in run.parameters.items():
        click.echo(f"param     {name} = {value!r}")
    if run.base_run:
        click.echo(f"base      {run.base_run}")
    if run.priority:
        click.echo(f"priority  {run.priority}")
    if run.start_time - run.create_time >= 1000 or not run.start_time:
        click.echo(f"queued    {moment(run.create_time)}")
    if run.start_time:
        click.echo(f"started   {moment(run.start_time)}, took {_took(run)}")


def _state(run: Run) -> str:
    """The state; a RUNNING run whose runner is dead, or that is asked to end, says so."""
    if run.state is RunState.RUNNING and owner.is_alive(run.owner) is False:
        mend = "a worker will go on" if run.settings.get(QUEUED) else "run the same command to resume"
        return f"RUNNING (its runner died; {mend})"
    if run.state is RunState.RUNNING and run.request == CANCEL:
        return "RUNNING (it was asked to end)"
    return run.state


def _took(run: Run) -> str:
    return duration((run.end_time - run.start_time) / 1000) if run.end_time and run.start_time else "-"


def _node_took(node: NodeRecord) -> str:
    return duration((node.end_time - node.start_time) / 1000) if node.end_time else "-"


def _plain_run(run: Run) -> dict[str, Any]:
    return {
        "run": run.id, "pipeline": run.pipeline, "version": run.version, "state": run.state,
        "date": run.date, "parameters": dict(run.parameters), "root": run.root,
        "create_time": run.create_time, "end_time": run.end_time, "start_time": run.start_time,
        "priority": run.priority, "request": run.request, "base": run.base_run or None,
    }  # fmt: skip


def _plain_details(
    run: Run, records: dict[str, NodeRecord], outputs: dict[int, dict[str, list[Artifact]]],
    reasons: dict[int, str],
) -> dict[str, Any]:  # fmt: skip
    nodes = {
        name: {
            "state": n.state, "attempt": n.attempt, "execution": n.execution_id, "message": n.message,
            "reason": reasons.get(n.execution_id, ""), "start_time": n.start_time, "end_time": n.end_time,
            "outputs": {
                output: [{"artifact": a.id, "type": a.type, "uri": a.uri} for a in found]
                for output, found in outputs.get(n.execution_id, {}).items()
            },
        }
        for name, n in records.items()
    }  # fmt: skip
    return {**_plain_run(run), "nodes": nodes}
