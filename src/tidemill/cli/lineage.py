"""`tidemill lineage`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import click

from tidemill.cli.output import colored, print_json
from tidemill.cli.workspace import Workspace, find_run, workspace_options
from tidemill.errors import RunnerError
from tidemill.metadata.lineage import OUTPUT_EVENTS, Direction, Lineage, trace
from tidemill.metadata.model import Artifact, Event, Execution

_HIDDEN = {"digest", "bytes"}


@click.command()
@click.argument("target", default="latest")
@workspace_options
@click.option(
    "--direction",
    type=click.Choice(["upstream", "downstream", "both"]),
    default="upstream",
    show_default=True,
    help="What led to an artifact, what came of it, or both.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "mermaid", "dot"]),
    default="text",
    show_default=True,
    help="How to print the graph.",
)
@click.option(
    "--max-nodes",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    metavar="N",
    help="Stop after so many.",
)
def lineage(target: str, workspace: Workspace, direction: str, form: str, max_nodes: int) -> None:
    """Trace the lineage of an artifact (by number) or of everything in a run.

    TARGET is an artifact's number, or a run's id, a unique beginning of it, or `latest`.

    \b
    Examples:
      tidemill lineage 17
      tidemill lineage 17 --direction downstream
      tidemill lineage latest --format mermaid
    """
    store = workspace.open_existing()
    try:
        if target.isdigit():
            if store.get_artifact(int(target)) is None:
                raise RunnerError(f"there is no artifact {target}", hint="see: tidemill artifacts list")
            wanted = cast("Direction", direction)
            graph = trace(store, artifact_id=int(target), direction=wanted, max_nodes=max_nodes)
        else:
            run = find_run(store, target)
            graph = trace(store, run_id=run.id, direction=cast("Direction", direction), max_nodes=max_nodes)
    finally:
        store.close()
    match form:
        case "json":
            print_json(graph.to_json())
        case "mermaid":
            click.echo(graph.to_mermaid(), nl=False)
        case "dot":
            click.echo(graph.to_dot(), nl=False)
        case _:
            for line in _text(graph):
                click.echo(line)


def _text(graph: Lineage) -> Iterator[str]:
    """Executions in the order they happened, each with what went in and what came out."""
    artifacts = {a.id: a for a in graph.artifacts}
    events: dict[int, list[Event]] = {}
    for event in graph.events:
        events.setdefault(event.execution_id, []).append(event)
    for execution in graph.executions:
        yield _headline(execution)
        ordered = sorted(events.get(execution.id, []), key=lambda e: e.type in OUTPUT_EVENTS)
        for event in ordered:
            arrow = "->" if event.type in OUTPUT_EVENTS else "<-"
            name = str(event.path[0]) if event.path else ""
            yield f"    {arrow} {name}: {_describe(artifacts[event.artifact_id])}"
    if graph.truncated:
        yield "... and more; raise --max-nodes to see it"


def _headline(execution: Execution) -> str:
    name = click.style(execution.type, bold=True)
    return f"{name} {colored(execution.state.name)}  {execution.name} (execution {execution.id})"


def _describe(artifact: Artifact) -> str:
    shown = {**artifact.properties, **artifact.custom_properties}
    facts = ", ".join(f"{k}={v}" for k, v in shown.items() if k not in _HIDDEN)
    return f"{artifact.type} {artifact.id}" + (f" ({facts})" if facts else "")
