"""`tidemill doctor`."""

from __future__ import annotations

from collections.abc import Iterator

import click

from tidemill.cli.output import json_option, print_json
from tidemill.cli.workspace import Workspace, workspace_options
from tidemill.errors import DefinitionError, StoreError
from tidemill.ir import codec
from tidemill.metadata.finding import Finding
from tidemill.metadata.model import Artifact, ArtifactState, NodeState, RunState
from tidemill.metadata.sql.invariants import NAMES
from tidemill.metadata.store import MetadataStore
from tidemill.runners.base.starting import selection_of
from tidemill.runtime import importing, owner
from tidemill.runtime.resolve import DIGEST
from tidemill.storage import manifest, mirror
from tidemill.storage.uri import is_local, local_path

_PAGE, _MOST = 1000, 2**62
OTHERS = (
    "files-are-whole",
    "files-match-the-record",
    "a-running-node-has-an-owner",
    "a-complete-run-is-whole",
)
"""Invariants beside those of the record alone: about files, processes and pipelines."""


@click.command()
@workspace_options
@click.option("--deep", is_flag=True, help="Read every artifact's files and compare their hashes, too.")
@json_option
def doctor(workspace: Workspace, deep: bool, as_json: bool) -> None:
    """Check that nothing in the record is lost, doubled or contradictory. Changes nothing.

    Every artifact's files are looked for, and their sizes compared; --deep reads them. The exit code is 1
    when something is wrong. Runs whose runner died are mentioned: the same command resumes them.
    """
    store = workspace.open_existing()
    try:
        found = [*store.findings(), *_damaged(store, deep), *_unowned(store), *_incomplete(store)]
        died = [run.id for run in store.get_runs(state=RunState.RUNNING, limit=_PAGE)
                if owner.is_alive(run.owner) is False]  # fmt: skip
        counts = store.statistics()
    finally:
        store.close()
    if as_json:
        print_json({
            "findings": [{"invariant": f.invariant, "what": f.what} for f in found],
            "resumable": died, "rows": dict(counts),
        })  # fmt: skip
    else:
        for finding in found:
            click.echo(f"{click.style(finding.invariant, fg='red')}: {finding.what}")
        for run_id in died:
            click.echo(f"run {run_id} was left by a runner that died; the same command resumes it")
        verdict = f"{len(found)} findings" if found else "sound"
        runs, artifacts = counts["tidemill_run"], counts["Artifact"]
        click.echo(f"{verdict}: {runs} runs, {artifacts} artifacts, {len(NAMES) + len(OTHERS)} invariants")
    raise click.exceptions.Exit(1 if found else 0)


def _damaged(store: MetadataStore, deep: bool) -> Iterator[Finding]:
    """LIVE artifacts whose files are not as they were published."""
    for artifact in _live(store):
        if importing.IMPORTED in artifact.custom_properties:
            # Nothing was written beside the files of others, so only their bytes can tell.
            if deep and (wrong := importing.changed(artifact)):
                yield Finding(invariant="files-are-whole", what=f"artifact {artifact.id}: {wrong}")
        elif not is_local(artifact.uri):
            if wrong := mirror.damage(artifact.uri, artifact.custom_properties[DIGEST], deep=deep):
                yield Finding(invariant="files-are-whole", what=f"artifact {artifact.id}: {wrong}")
        elif wrong := manifest.damage(folder := local_path(artifact.uri), deep=deep):
            yield Finding(invariant="files-are-whole", what=f"artifact {artifact.id}: {wrong}")
        elif (found := manifest.read(folder)) and found.digest != artifact.custom_properties[DIGEST]:
            what = f"artifact {artifact.id}: the manifest in {folder} is not of the digest that was recorded"
            yield Finding(invariant="files-match-the-record", what=what)


def _unowned(store: MetadataStore) -> Iterator[Finding]:
    """RUNNING nodes that nobody runs, although whoever drives their run is not known to be dead.

    When the runner died too, its run is resumed by the same command, and that takes the nodes over.
    """
    for run in store.get_runs(state=RunState.RUNNING, limit=_MOST):
        if owner.is_alive(run.owner) is False:
            continue
        for node in store.get_nodes(run.id):
            if node.state is NodeState.RUNNING and owner.is_alive(node.owner) is False:
                what = f"node {node.node_id} of run {run.id} is RUNNING, but its process {node.owner} ended"
                yield Finding(invariant="a-running-node-has-an-owner", what=what)


def _incomplete(store: MetadataStore) -> Iterator[Finding]:
    """COMPLETE runs of which a node has not ended."""
    nodes: dict[str, set[str]] = {}
    for run in store.get_runs(state=RunState.COMPLETE, limit=_MOST):
        if run.version not in nodes:
            try:
                ir = codec.loads(store.get_pipeline_version(run.version))
            except (StoreError, DefinitionError):
                nodes[run.version] = set()  # there is a finding for that already
            else:
                # A loop may have no items, and then nothing in it is ever claimed.
                nodes[run.version] = {node.id for node in ir.nodes if not node.loops}
        ended = {node.node_id for node in store.get_nodes(run.id)}
        part = selection_of(run)
        wanted = nodes[run.version] & {*part.run, *part.base} if part else nodes[run.version]
        if missing := sorted(wanted - ended):
            what = f"run {run.id} is COMPLETE, but its node {missing[0]} was never claimed"
            yield Finding(invariant="a-complete-run-is-whole", what=what)


def _live(store: MetadataStore) -> Iterator[Artifact]:
    """Every LIVE artifact that tidemill sealed, page by page."""
    newest = store.get_artifacts(limit=1)
    last = newest[0].id if newest else 0
    for start in range(1, last + 1, _PAGE):
        for artifact in store.get_artifacts_by_id(range(start, min(start + _PAGE, last + 1))):
            if DIGEST in artifact.custom_properties and artifact.state is ArtifactState.LIVE:
                yield artifact
