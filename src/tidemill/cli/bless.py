"""`tidemill bless` and `tidemill unbless`: somebody's word on a model, on record like a judge's.

Each word is a run of its own, kept apart from those of the pipeline (see model.BLESSINGS): an execution that
took the model and put out a ModelBlessing, with who, when and why. Resolvers read it from there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from tidemill.cli.approvals import user
from tidemill.cli.output import json_option, print_json
from tidemill.cli.workspace import Workspace, workspace_options
from tidemill.errors import RunnerError, did_you_mean
from tidemill.ir import codec
from tidemill.ir.model import ArtifactTypeIR, InputIR, NodeIR, OutputIR, PipelineIR
from tidemill.metadata.model import (
    BLESSINGS,
    REPRODUCED,
    Artifact,
    ArtifactState,
    ArtifactType,
    Claim,
    ClaimRequest,
    EventType,
    NodeState,
    Publication,
    Run,
    RunState,
)
from tidemill.metadata.store import MetadataStore
from tidemill.runners.base.starting import new_run_id
from tidemill.runtime import owner
from tidemill.runtime.resolve import DIGEST
from tidemill.storage import mirror
from tidemill.storage.manifest import seal, storage_error
from tidemill.storage.uri import join
from tidemill.types.standard import STANDARD, Model, ModelBlessing

_NODE, _COMPONENT = "word", "ManualBlessing"
_FILE = "blessing.json"

_reason = click.option("--reason", required=True, metavar="TEXT", help="Why; it is kept.")
_by = click.option("--by", default="", metavar="NAME", help="Who decides.  [default: the user]")


@click.command()
@click.argument("model", type=int)
@_reason
@_by
@workspace_options
@json_option
def bless(model: int, reason: str, by: str, workspace: Workspace, as_json: bool) -> None:
    """Bless MODEL, whatever its judges said: from now on it can be the champion that runs compare with.

    MODEL is the number that `artifacts list --type Model` prints. Who, when and why are kept for ever, as an
    execution that the model's lineage shows. The newest word on a model counts.
    """
    _say(workspace, model, reason, by or user(), blessed=True, as_json=as_json)


@click.command()
@click.argument("model", type=int)
@_reason
@_by
@workspace_options
@json_option
def unbless(model: int, reason: str, by: str, workspace: Workspace, as_json: bool) -> None:
    """Take the blessing of MODEL back: no run resolves it as its champion any more, not even a backfill.

    MODEL is the number that `artifacts list --type Model` prints. What was pushed stays where it is.
    """
    _say(workspace, model, reason, by or user(), blessed=False, as_json=as_json)


def _say(workspace: Workspace, number: int, reason: str, by: str, *, blessed: bool, as_json: bool) -> None:
    if not reason.strip():
        raise RunnerError("a blessing by hand needs a reason", hint="say why with --reason")
    store = workspace.open_existing(read_only=False)
    try:
        model = _model(store, number)
        makers = _makers(store, model)
        run = _start(store, makers)
        artifact = _record(store, run, model, reason, by, blessed=blessed)
    finally:
        store.close()
    word = "BLESSED" if blessed else "NOT_BLESSED"
    if as_json:
        print_json(
            {"model": model.id, "pipeline": makers[0].pipeline, "verdict": word, "by": by, "reason": reason,
             "run": run.id, "blessing": artifact.id}
        )  # fmt: skip
    else:
        click.echo(f"{word} model {model.id} of pipeline {makers[0].pipeline}, as {by}: {reason}")


def _model(store: MetadataStore, number: int) -> Artifact:
    found = store.get_artifact(number)
    if found is None:
        known = [str(a.id) for a in store.get_artifacts(type=Model.TYPE_NAME)]
        hint = did_you_mean(str(number), known) if known else "see: tidemill artifacts list --type Model"
        raise RunnerError(f"there is no artifact {number}", hint=hint)
    if found.type in STANDARD and found.type != Model.TYPE_NAME:
        raise RunnerError(
            f"artifact {number} is {found.type}, no model", hint="see: tidemill artifacts list --type Model"
        )
    if found.state is not ArtifactState.LIVE:
        raise RunnerError(f"model {number} is {found.state.name}: it cannot be used any more")
    return found


def _makers(store: MetadataStore, model: Artifact) -> list[Run]:
    """The runs that put the model out, newly made or from the cache; the earliest date first."""
    events = store.get_events(artifact_ids=[model.id], types=[EventType.OUTPUT])
    executions = store.get_executions_by_id([event.execution_id for event in events])
    runs = [store.get_run(execution.name.partition("/")[0]) for execution in executions]
    found = [run for run in runs if run is not None and not run.pipeline.endswith(REPRODUCED)]
    if not found:
        raise RunnerError(
            f"no run of a pipeline put model {model.id} out, so none will look for it as its champion"
        )
    return sorted(found, key=lambda run: (not run.date, run.date, run.create_time))


def _start(store: MetadataStore, makers: Sequence[Run]) -> Run:
    """The run that holds the word. Its date is the model's first, so that each run which may see the model
    sees the word on it."""
    first = makers[0]
    ir = PipelineIR(
        name=f"{first.pipeline}{BLESSINGS}",
        nodes=(
            # An approval is what it is: somebody's decision, which no reproduction makes again.
            NodeIR(id=_NODE, component=_COMPONENT, executor="", kind="approval",
                   inputs=(InputIR(name="model", type=Model.TYPE_NAME, sources=()),),
                   outputs=(OutputIR(name="blessing", type=ModelBlessing.TYPE_NAME),)),
        ),
        artifact_types=tuple(
            ArtifactTypeIR(name=kind.TYPE_NAME, python=f"{kind.__module__}:{kind.__qualname__}")
            for kind in (Model, ModelBlessing)
        ),
        description="people's words on models",
    )  # fmt: skip
    version = codec.version(ir)
    store.put_pipeline_version(version, ir.name, codec.dumps(ir))
    wanted = Run(
        id=new_run_id(first.pipeline), pipeline=ir.name, version=version, state=RunState.RUNNING,
        root=first.root, date=first.date, owner=owner.myself(),
    )  # fmt: skip
    return store.create_run(wanted, [ArtifactType(name=ModelBlessing.TYPE_NAME)])


def _record(
    store: MetadataStore, run: Run, model: Artifact, reason: str, by: str, *, blessed: bool
) -> Artifact:
    """Write the blessing and publish it; the run has ended then, whatever happens."""
    done = RunState.FAILED
    try:
        claim = store.claim(
            ClaimRequest(run_id=run.id, node_id=_NODE, component=_COMPONENT, owner=owner.myself())
        )
        artifact = _blessing(run, claim, model, reason, by, blessed=blessed)
        verb = "blessed" if blessed else "unblessed"
        publication = Publication(
            state=NodeState.COMPLETE,
            inputs={"model": [model.id]},
            outputs={"blessing": [artifact]},
            properties={"decided_by": by, "comment": reason, "granted": blessed},
            message=f"{verb} by {by}: {reason}",
        )
        execution_id = store.publish(claim, publication)
        done = RunState.COMPLETE
        return store.get_outputs([execution_id])[execution_id]["blessing"][0]
    finally:
        store.end_run(run.id, done, owner=run.owner, close_nodes=done is RunState.FAILED)


def _blessing(run: Run, claim: Claim, model: Artifact, reason: str, by: str, *, blessed: bool) -> Artifact:
    uri = join(run.root, run.pipeline, run.id, _NODE, str(claim.execution_id), "blessing")
    folder = mirror.making(uri)
    record: dict[str, Any] = {"verdict": "BLESSED" if blessed else "NOT_BLESSED", "reasons": [reason]}
    record |= {
        "model_id": model.id,
        "baseline_id": 0,
        "model_digest": model.custom_properties.get(DIGEST, ""),
    }
    record |= {"manual": True, "by": by}
    try:
        folder.mkdir(parents=True)
        (folder / _FILE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise storage_error(error, folder) from error
    manifest = seal(folder)
    mirror.keep(uri)
    return Artifact(
        type=ModelBlessing.TYPE_NAME,
        uri=uri,
        custom_properties={
            "blessed": int(blessed), "reason": reason, "current_model_id": model.id, "baseline_model_id": 0,
            "manual": 1, "by": by, DIGEST: manifest.digest, "bytes": manifest.size,
        },
    )  # fmt: skip
