"""`tidemill runs compare`: what differs between two runs, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

from tidemill.cli.output import json_option, print_json, print_table
from tidemill.cli.workspace import Workspace, find_run, workspace_options
from tidemill.metadata.model import Artifact, Run
from tidemill.metadata.store import MetadataStore
from tidemill.runtime.cache import PARTS
from tidemill.runtime.resolve import DIGEST

_HIDDEN = {DIGEST, "bytes"}
_MISSING = "-"


@dataclass(frozen=True, slots=True)
class _Node:
    """What a run says of one of its nodes."""

    state: str
    parts: Mapping[str, str]
    """What its outputs depend on: code, parameters, inputs; see runtime.cache."""
    results: Mapping[str, Any]
    """Digest and properties of what came out, by `output` and `output.property`."""


@click.command("compare")
@click.argument("before")
@click.argument("after", default="latest")
@workspace_options
@json_option
def compare_runs(before: str, after: str, workspace: Workspace, as_json: bool) -> None:
    """Compare two runs: parameters, code, inputs, and what came out, metrics among it.

    BEFORE and AFTER are run ids, unique beginnings of them, or `latest`.
    """
    store = workspace.open_existing()
    try:
        runs = find_run(store, before), find_run(store, after)
        nodes = _nodes(store, runs[0]), _nodes(store, runs[1])
    finally:
        store.close()
    found = [*differences("run", "", _facts(runs[0]), _facts(runs[1]))]
    for name in dict.fromkeys([*nodes[0], *nodes[1]]):
        one, two = (side.get(name, _Node(_MISSING, {}, {})) for side in nodes)
        found += differences(name, "state", {"": one.state}, {"": two.state})
        found += differences(name, "", one.parts, two.parts)
        found += differences(name, "output ", one.results, two.results)
    if as_json:
        keys = ("where", "what", "before", "after")
        plain = [dict(zip(keys, row, strict=True)) for row in found]
        print_json({"before": runs[0].id, "after": runs[1].id, "differences": plain})
        return
    click.echo(f"before  {runs[0].id}\nafter   {runs[1].id}\n")
    if found:
        print_table(["NODE", "WHAT", "BEFORE", "AFTER"], [[*map(shown, row)] for row in found])
    else:
        click.echo("the same work with the same results")


def _facts(run: Run) -> dict[str, Any]:
    parameters = {f"parameter {name}": value for name, value in run.parameters.items()}
    return {"version": run.version[:12], "date": run.date or _MISSING, "state": str(run.state), **parameters}


def _nodes(store: MetadataStore, run: Run) -> dict[str, _Node]:
    records = store.get_nodes(run.id)
    ids = [n.execution_id for n in records]
    executions = {e.id: e for e in store.get_executions_by_id(sorted(ids))}
    outputs = store.get_outputs(ids)
    return {
        n.node_id: _Node(
            state=str(n.state),
            parts=json.loads(str(executions[n.execution_id].custom_properties.get(PARTS, "{}"))),
            results=results(outputs.get(n.execution_id, {})),
        )
        for n in records
    }


def results(outputs: Mapping[str, list[Artifact]]) -> dict[str, Any]:
    """The content of each output, and each property of it."""
    found: dict[str, Any] = {}
    for name, artifacts in outputs.items():
        for index, artifact in enumerate(artifacts):
            label = name if len(artifacts) == 1 else f"{name}[{index}]"
            found[label] = str(artifact.custom_properties.get(DIGEST, artifact.id))
            properties = {**artifact.properties, **artifact.custom_properties}
            found |= {f"{label}.{key}": v for key, v in properties.items() if key not in _HIDDEN}
    return found


def differences(
    where: str, prefix: str, one: Mapping[str, Any], two: Mapping[str, Any]
) -> list[tuple[str, str, Any, Any]]:
    """Rows for every key whose values differ."""
    keys = dict.fromkeys([*one, *two])
    pairs = [(key, one.get(key, _MISSING), two.get(key, _MISSING)) for key in keys]
    return [(where, f"{prefix}{key}", a, b) for key, a, b in pairs if a != b]


def shown(value: Any) -> str:
    """A value of a result, short enough for a table."""
    text = value if isinstance(value, str) else f"{value:.6g}" if isinstance(value, float) else repr(value)
    is_digest = len(text) >= 32 and all(c in "0123456789abcdef" for c in text)
    return text[:12] if is_digest else text if len(text) <= 60 else text[:57] + "..."
