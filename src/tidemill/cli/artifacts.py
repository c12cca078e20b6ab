"""`tidemill artifacts`."""

from __future__ import annotations

from typing import Any

import click

from tidemill.cli.output import json_option, moment, print_json, print_table
from tidemill.cli.page import page
from tidemill.cli.workspace import Workspace, find_run, tell_unknown_pipeline, workspace_options
from tidemill.errors import RunnerError, did_you_mean
from tidemill.metadata.filter import compile_filter, quoted
from tidemill.metadata.model import Artifact, Event, EventType, Execution, ExecutionState, TypeKind
from tidemill.metadata.sql.names import PIPELINE, RUN
from tidemill.metadata.store import MetadataStore
from tidemill.runtime.importing import wrong_with
from tidemill.storage import mirror

_LOOK = 1000
"""Artifacts that are looked at to find the types that somebody may have meant."""


@click.group()
def artifacts() -> None:
    """List artifacts, show them, make pages of them."""


artifacts.add_command(page)


@artifacts.command("list")
@workspace_options
@click.option("--type", "type_name", default="", metavar="TYPE", help="Only this type, such as Model.")
@click.option("--run", default="", metavar="RUN", help="Only artifacts of this run.")
@click.option("--pipeline", default="", metavar="NAME", help="Only artifacts of this pipeline.")
@click.option(
    "--filter", "condition", default="", metavar="CONDITION", help="Only where this holds; see above."
)
@click.option("--limit", default=30, show_default=True, metavar="N", help="At most so many, newest first.")
@json_option
def list_artifacts(
    workspace: Workspace, type_name: str, run: str, pipeline: str, condition: str, limit: int, as_json: bool
) -> None:
    """List artifacts, newest first.

    A condition is written as in SQL, in the filter language of ML Metadata. It knows id, type, name, uri,
    state, external_id, create_time_since_epoch and last_update_time_since_epoch; properties.NAME.int_value
    (or double_value, string_value, bool_value) and custom_properties; contexts_X.name and .type, where the
    same X is the same context; events_X.type and .execution_id. Options are joined with AND.

    \b
      tidemill artifacts list --filter "type = 'Model' AND state != DELETED"
      tidemill artifacts list --filter "properties.span.int_value BETWEEN 19723 AND 19730"
      tidemill artifacts list --filter "contexts_a.type = 'node' AND contexts_a.name LIKE '%.trainer'"
    """
    store = workspace.open_existing()
    try:
        run_id = find_run(store, run).id if run else ""
        if condition:
            condition = _with_options(condition, type_name, run_id, pipeline)
            found = store.find_artifacts(condition, limit=limit)
        else:
            found = store.get_artifacts(type=type_name, run_id=run_id, pipeline=pipeline, limit=limit)
        if not found and not condition:
            _tell_why_none(store, type_name, pipeline)
    finally:
        store.close()
    if as_json:
        print_json([_plain(a) for a in found])
        return
    rows = [(str(a.id), a.type, a.state.name, moment(a.create_time), _summary(a)) for a in found]
    print_table(["ARTIFACT", "TYPE", "STATE", "CREATED", "PROPERTIES"], rows)


@artifacts.command("show")
@click.argument("artifact", type=int)
@workspace_options
@json_option
def show_artifact(artifact: int, workspace: Workspace, as_json: bool) -> None:
    """Show one artifact: where it is, its properties and files, who made it and who used it.

    ARTIFACT is the number that `artifacts list` and `runs show` print.
    """
    store = workspace.open_existing()
    try:
        found = store.get_artifact(artifact)
        if found is None:
            raise RunnerError(f"there is no artifact {artifact}", hint="see: tidemill artifacts list")
        events = store.get_events(artifact_ids=[artifact])
        executions = store.get_executions_by_id(sorted({e.execution_id for e in events}))
    finally:
        store.close()
    names = {e.id: e for e in executions}
    if as_json:
        print_json({**_plain(found), "events": [_plain_event(e, names) for e in events]})
        return
    click.echo(f"artifact  {found.id}  {click.style(found.type, bold=True)}  {found.state.name}")
    click.echo(f"uri       {found.uri}")
    click.echo(f"created   {moment(found.create_time)}")
    for name, value in {**found.properties, **found.custom_properties}.items():
        click.echo(f"          {name} = {value!r}")
    _print_files(found)
    for event in events:
        execution = names[event.execution_id]
        verb = "used by" if event.type is not EventType.OUTPUT else "made by"
        if verb == "made by" and execution.state is ExecutionState.CACHED:
            verb = "reused by"
        click.echo(f"{verb.ljust(9)} {execution.name} (execution {execution.id})")


def _tell_why_none(store: MetadataStore, type_name: str, pipeline: str) -> None:
    """An empty list may be a typing error; said aside, since it may be right too."""
    if type_name and type_name not in (known := {a.type for a in store.get_artifacts(limit=_LOOK)}):
        click.echo(f"no artifact has the type {type_name!r}; {did_you_mean(type_name, known)}", err=True)
    tell_unknown_pipeline(store, pipeline)


def _with_options(condition: str, type_name: str, run_id: str, pipeline: str) -> str:
    """The user's condition and the other options as one filter; FilterError on what the user wrote."""
    compile_filter(condition, TypeKind.ARTIFACT)  # alone: mistakes are shown where they were made
    parts = [f"({condition}\n)"]  # the condition may end with a comment
    if type_name:
        parts.append(f"type = {quoted(type_name)}")
    for alias, context_type, name in (("run", RUN, run_id), ("pipeline", PIPELINE, pipeline)):
        if name:
            context = f"contexts_option_{alias}"
            parts.append(f"{context}.type = {quoted(context_type)} AND {context}.name = {quoted(name)}")
    return " AND ".join(parts)


def _print_files(artifact: Artifact) -> None:
    listed = mirror.listed(artifact.uri)
    for entry in listed.files if listed else ():
        click.echo(f"file      {entry.path}  {entry.size} bytes")
    if wrong := wrong_with(artifact):
        click.secho(f"damaged   {wrong}", fg="red")


def _summary(artifact: Artifact) -> str:
    shown = {**artifact.properties, **artifact.custom_properties}
    shown.pop("digest", None)
    text = ", ".join(f"{name}={value}" for name, value in shown.items())
    return text if len(text) <= 100 else text[:97] + "..."


def _plain(artifact: Artifact) -> dict[str, Any]:
    return {
        "artifact": artifact.id, "type": artifact.type, "state": artifact.state.name, "uri": artifact.uri,
        "name": artifact.name, "properties": dict(artifact.properties),
        "custom_properties": dict(artifact.custom_properties), "create_time": artifact.create_time,
    }  # fmt: skip


def _plain_event(event: Event, executions: dict[int, Execution]) -> dict[str, Any]:
    return {
        "type": event.type.name, "execution": event.execution_id,
        "name": executions[event.execution_id].name, "path": list(event.path),
    }  # fmt: skip
