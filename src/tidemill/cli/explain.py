"""`tidemill explain`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from tidemill.cli.output import colored, json_option, print_json
from tidemill.cli.part import Part, part_options
from tidemill.cli.workspace import Workspace, load_ir, read_params, run_options, workspace_options
from tidemill.errors import RunnerError, did_you_mean
from tidemill.metadata.model import Run, RunState
from tidemill.runtime.base import available, find_base
from tidemill.runtime.explain import Forecast
from tidemill.runtime.explain import explain as forecast
from tidemill.runtime.plan import Plan, make_plan, run_date


@click.command()
@click.argument("file")
@click.argument("node", required=False, default="")
@run_options
@part_options
@workspace_options
@json_option
def explain(
    file: str, node: str, params: tuple[str, ...], date: str, part: Part, workspace: Workspace, as_json: bool
) -> None:
    """Say what `tidemill run` with the same arguments would do, without doing it.

    For each node: CACHED and whose result would be reused; RUN and what changed; DEPENDS when that
    hangs on nodes before it. With NODE, every part of that node's cache key is shown too. With --from, --to
    or --only: the nodes of that part, and BASE for what is taken from the base run.
    """
    ir, _ = load_ir(file)
    selection = part.selection(ir)
    plan = make_plan(ir, read_params(params), run_date(ir, date))
    if node and node not in [step.node_id for step in plan.steps]:
        hint = did_you_mean(node, [step.node_id for step in plan.steps])
        raise RunnerError(f"pipeline {ir.name!r} has no node {node!r}", hint=hint)
    run = Run(
        id="", pipeline=plan.pipeline, version=plan.version, state=RunState.RUNNING,
        root=workspace.root, parameters=plan.parameters, date=plan.date,
    )  # fmt: skip
    store = workspace.open()
    try:
        if selection is not None and selection.base:
            base = find_base(store, ir, selection, part.base or "latest", plan.date)
            selection, run = available(store, ir, selection, base), replace(run, base_run=base.id)
        found = forecast(ir, run, store, Path.cwd(), selection)
    finally:
        store.close()
    if as_json:
        print_json(_as_plain(plan, found, node))
        return
    date_text = f", date {plan.date}" if plan.date else ""
    click.echo(f"pipeline {click.style(ir.name, bold=True)}  version {plan.version[:12]}{date_text}")
    width = max(len(step.node_id) for step in plan.steps)
    for item in found:
        if node in ("", item.node_id):
            click.echo(f"  {item.node_id.ljust(width)}  {colored(item.verdict.ljust(7))}  {item.reason}")
            if node:
                _print_parts(item)


def _print_parts(item: Forecast) -> None:
    click.echo(f"  cache key {item.key or '(not known yet)'}")
    for name, value in item.parts.items():
        click.echo(f"    {name}: {value}")


def _as_plain(plan: Plan, found: list[Forecast], node: str) -> dict[str, object]:
    upstream = {step.node_id: list(step.upstream) for step in plan.steps}
    return {
        "pipeline": plan.pipeline,
        "version": plan.version,
        "date": plan.date,
        "parameters": dict(plan.parameters),
        "nodes": [
            {
                "node": f.node_id, "verdict": f.verdict, "reason": f.reason, "upstream": upstream[f.node_id],
                "cache_key": f.key, "parts": dict(f.parts),
            }
            for f in found if node in ("", f.node_id)
        ],
    }  # fmt: skip
