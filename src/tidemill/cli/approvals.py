"""`tidemill approvals`, `tidemill approve` and `tidemill reject`."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from typing import Any

import click

from tidemill.cli.output import json_option, moment, print_json, print_table
from tidemill.cli.workspace import Workspace, find_run, workspace_options
from tidemill.errors import RunnerError, did_you_mean
from tidemill.ir import codec
from tidemill.ir.model import Literal, NodeIR, PipelineIR
from tidemill.metadata.model import Decision, Run, RunState
from tidemill.metadata.store import MetadataStore
from tidemill.runners.base.starting import selection_of
from tidemill.runtime import loops

_MANY = 10_000


@click.group()
def approvals() -> None:
    """Nodes that wait for somebody's approval."""


@approvals.command("list")
@workspace_options
@click.option("--decided", is_flag=True, help="List what was decided instead of what waits.")
@json_option
def list_approvals(workspace: Workspace, decided: bool, as_json: bool) -> None:
    """List what waits for approval in runs under way: everything before it has succeeded."""
    store = workspace.open_existing()
    try:
        if decided:
            _print_decided(store.get_decisions(), as_json=as_json)
            return
        running = reversed(store.get_runs(state=RunState.RUNNING, limit=_MANY))
        waiting = [(run, *found) for run in running for found in _waiting(store, run)]
    finally:
        store.close()
    if as_json:
        rows = [
            {"run": run.id, "date": run.date, "node": gate.id, "iteration": number, "message": _message(gate)}
            for run, gate, number, _ in waiting
        ]
        print_json(rows)
    else:
        table = [(run.id, run.date or "-", place, _message(gate)) for run, gate, _, place in waiting]
        print_table(["RUN", "DATE", "NODE", "MESSAGE"], table)


def _print_decided(found: list[Decision], *, as_json: bool) -> None:
    if as_json:
        print_json([_plain(decision) for decision in found])
        return
    rows = [
        (d.run_id, f"{d.node_id}[{d.iteration}]" if d.iteration else d.node_id, _verb(d), d.by,
         moment(d.time), d.comment)
        for d in found
    ]  # fmt: skip
    print_table(["RUN", "NODE", "DECISION", "BY", "WHEN", "COMMENT"], rows)


def _waiting(store: MetadataStore, run: Run) -> Iterator[tuple[NodeIR, int, str]]:
    """Approval nodes of a run for which everything before them is there, and that nobody decided about:
    the node, its iteration, and how people call that.

    Of those in loops the iterations are listed whose other nodes have got so far.
    """
    ir = codec.loads(store.get_pipeline_version(run.version))
    part = selection_of(run)
    gates = [n for n in ir.nodes if n.kind == "approval" and (part is None or n.id in part.run)]
    if not gates:
        return
    states = {(r.node_id, r.iteration): r.state for r in store.get_nodes(run.id)}
    decided = {(d.node_id, d.iteration) for d in store.get_decisions(run.id)}
    for gate in gates:
        for iteration in _iterations(ir, gate, states):
            key = (gate.id, iteration)
            if key not in states and key not in decided and _is_ready(ir, gate, iteration, states):
                yield gate, iteration, loops.place(ir, gate.id, iteration)


def _iterations(ir: PipelineIR, gate: NodeIR, states: dict[tuple[str, int], Any]) -> list[int]:
    if not gate.loops:
        return [0]
    alike = {n.id for n in ir.nodes if n.loops == gate.loops}
    return sorted({iteration for node_id, iteration in states if node_id in alike})


def _is_ready(ir: PipelineIR, gate: NodeIR, iteration: int, states: dict[tuple[str, int], Any]) -> bool:
    for node_id in gate.upstream():
        same_loops = ir.node(node_id).loops == gate.loops
        found = [
            state for (name, at), state in states.items()
            if name == node_id and (not same_loops or at == iteration)
        ]  # fmt: skip
        if not found or not all(state.succeeded for state in found):
            return False
    return True


def _decide(
    workspace: Workspace, run: str, node: str, iteration: int, comment: str, by: str, *, granted: bool,
    as_json: bool,
) -> None:  # fmt: skip
    store = workspace.open_existing(read_only=False)
    try:
        record = find_run(store, run)
        ir = codec.loads(store.get_pipeline_version(record.version))
        gates = [n.id for n in ir.nodes if n.kind == "approval"]
        if node not in gates:
            known = [n.id for n in ir.nodes]
            what = "waits for no approval" if node in known else "is no node of it"
            raise RunnerError(
                f"{node!r} of run {record.id} {what}",
                hint=did_you_mean(node, gates) or "the pipeline has no approval()",
            )
        wanted = Decision(
            run_id=record.id, node_id=node, iteration=iteration, granted=granted, by=by or user(),
            comment=comment,
        )  # fmt: skip
        stands = store.put_decision(wanted)
    finally:
        store.close()
    mine = (stands.granted, stands.by, stands.comment) == (wanted.granted, wanted.by, wanted.comment)
    if as_json:
        print_json(_plain(stands))
    elif mine:
        click.echo(f"{_verb(stands)} {node} of run {record.id}, as {stands.by}")
    if not mine:
        when = moment(stands.time)
        raise RunnerError(f"{node} of run {record.id} was {_verb(stands)} by {stands.by} already ({when})")


_iteration = click.option(
    "--iteration", default=0, metavar="N", help="Which iteration of the loop around the node."
)
_by = click.option("--by", default="", metavar="NAME", help="Who decides.  [default: the user]")


@click.command()
@click.argument("run")
@click.argument("node")
@click.option("--comment", default="", metavar="TEXT", help="Why; it is kept.")
@_iteration
@_by
@workspace_options
@json_option
def approve(
    run: str, node: str, comment: str, iteration: int, by: str, workspace: Workspace, as_json: bool
) -> None:
    """Let NODE of RUN, which waits for approval, pass. The first decision stands and is kept."""
    _decide(workspace, run, node, iteration, comment, by, granted=True, as_json=as_json)


@click.command()
@click.argument("run")
@click.argument("node")
@click.option("--comment", required=True, metavar="TEXT", help="Why; it is kept.")
@_iteration
@_by
@workspace_options
@json_option
def reject(
    run: str, node: str, comment: str, iteration: int, by: str, workspace: Workspace, as_json: bool
) -> None:
    """Let NODE of RUN, which waits for approval, fail. The first decision stands and is kept."""
    _decide(workspace, run, node, iteration, comment, by, granted=False, as_json=as_json)


def user() -> str:
    """Who gave the command, as the system knows them."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return f"uid {os.getuid()}"


def _message(gate: NodeIR) -> str:
    """What its definition asks."""
    asked = gate.parameters.get("message")
    return str(asked.value) if isinstance(asked, Literal) else ""


def _verb(decision: Decision) -> str:
    return "approved" if decision.granted else "rejected"


def _plain(d: Decision) -> dict[str, Any]:
    return {
        "run": d.run_id, "node": d.node_id, "iteration": d.iteration, "granted": d.granted, "by": d.by,
        "comment": d.comment, "time": d.time,
    }  # fmt: skip
