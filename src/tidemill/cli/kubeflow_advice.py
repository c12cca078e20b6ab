"""`tidemill kubeflow advise`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from tidemill.cli.output import json_option, print_json, print_table
from tidemill.cli.workspace import Workspace, load_ir, workspace_options
from tidemill.runners.kubeflow import quantity
from tidemill.runners.kubeflow.learn import (
    SPOT_POOLS,
    Advice,
    Bounds,
    Pool,
    learned,
    options_of,
    platform_text,
)
from tidemill.runners.kubeflow.platform import Toleration

_DEFAULT = Bounds()


@click.command("advise")
@click.argument("file")
@workspace_options
@click.option("--runs", default=_DEFAULT.runs, show_default=True, help="Newest runs to look at.")
@click.option(
    "--fewest", default=_DEFAULT.fewest, show_default=True, type=click.IntRange(min=1),
    help="Successful attempts without which nothing is learnt.",
)  # fmt: skip
@click.option(
    "--percentile", default=_DEFAULT.percentile, show_default=True, type=click.FloatRange(50, 100),
    help="Of what attempts used.",
)  # fmt: skip
@click.option(
    "--headroom", default=_DEFAULT.headroom, show_default=True, type=click.FloatRange(1, 4),
    help="Times the percentile.",
)  # fmt: skip
@click.option(
    "--spot", default="", metavar="gke|eks|aks|KEY=VALUE",
    help="Send nodes that may be interrupted to these machines.",
)  # fmt: skip
@click.option("--write", default="", metavar="FILE.toml", help="Write it for compile --platform FILE.toml.")
@json_option
def advise(
    file: str, workspace: Workspace, runs: int, fewest: int, percentile: float, headroom: float, spot: str,
    write: str, as_json: bool,
) -> None:  # fmt: skip
    """Say what the nodes of the pipeline in FILE should ask Kubernetes for, from what they used so far.

    Requests are a percentile of measured use and some room above, in all runs in our record, whatever ran
    them; never below a floor, and never above what the node may use. Limits stay as declared. Nodes with
    retries, without effects, that are done within half an hour may run on machines that can be taken away.

    Nothing changes by itself: --write makes a platform file, which you read and compile with.
    """
    ir, _ = load_ir(file)
    bounds = Bounds(runs=runs, fewest=fewest, percentile=percentile, headroom=headroom)
    pool = _pool(spot) if spot else None
    store = workspace.open_existing()
    try:
        advice = learned(ir, store, bounds)
    finally:
        store.close()
    if write:
        try:
            Path(write).write_text(platform_text(ir.name, advice, pool), encoding="utf-8")
        except OSError as error:
            raise click.UsageError(f"--write {write} cannot be written: {error.strerror}") from None
    if as_json:
        options = options_of(advice, pool)
        print_json(
            {
                "pipeline": ir.name,
                "nodes": [asdict(a) for a in advice.values()],
                "platform": {node: {k: v for k, v in asdict(o).items() if v} for node, o in options.items()},
                "written": write or None,
            }
        )
        return
    rows = [_row(a) for a in advice.values()]
    print_table(["NODE", "ATTEMPTS", "CPU", "MEMORY", "SPOT", "WHY"], rows)
    if write:
        click.echo(f"wrote {write}: tidemill compile {file} --to kubeflow --platform {write} ...")


def _row(advice: Advice) -> tuple[str, int, str, str, str, str]:
    cpu = quantity.of_cores(advice.cpu) if advice.cpu else "-"
    memory = quantity.of_size(advice.memory) if advice.memory else "-"
    if advice.cpu_declared:
        cpu += f" of {advice.cpu_declared:g}"
    if advice.memory_declared:
        memory += f" of {quantity.of_size(advice.memory_declared)}"
    why = "; ".join(advice.why) + f"; {'' if advice.spot else 'no spot: '}{advice.why_spot}"
    return advice.node, advice.attempts, cpu, memory, "yes" if advice.spot else "no", why


def _pool(text: str) -> Pool:
    if text in SPOT_POOLS:
        return SPOT_POOLS[text]
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise click.UsageError(f"--spot {text!r} is none of {', '.join(SPOT_POOLS)}, and no KEY=VALUE")
    tolerated = Toleration(key=key, value=value, effect="NoSchedule")
    return Pool(selector={key: value}, tolerations=(tolerated,))


COMMANDS = (advise,)
