"""launch(call): what it means to run one node. Read it top to bottom; every runner calls this.

    claim -> resolve -> reuse, or execute -> publish

Whatever happens in between, a granted claim ends in exactly one publication, or, if this process
dies, in a takeover by a later attempt. The files of an attempt lie under its own execution id, so
no two attempts can touch each other's.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tidemill.errors import ResolutionError, RunnerError, StorageError
from tidemill.ir import codec
from tidemill.ir import model as ir
from tidemill.metadata.model import (
    Artifact,
    ArtifactState,
    Claim,
    ClaimRequest,
    NodeState,
    PropertyValue,
    Publication,
    Run,
)
from tidemill.metadata.store import MetadataStore
from tidemill.runtime import cache, crashpoint, owner
from tidemill.runtime.call import NodeCall
from tidemill.runtime.execute import CancelToken, execute_here, execute_in_child
from tidemill.runtime.failure import Failure, FailureKind
from tidemill.runtime.order import Answer, Order, OrderedArtifact, OrderedInput, OrderedOutput
from tidemill.runtime.reproduce import REPRODUCES, NotReproduced, resolver_for
from tidemill.runtime.resolve import DIGEST, Resolved, noted, spelled
from tidemill.runtime.spawner import Spawner
from tidemill.storage.manifest import storage_error
from tidemill.storage.uri import join, local_path

LOG, FAILURE, REASON, SECONDS = "tidemill.log", "tidemill.failure", "tidemill.cache", "tidemill.seconds"
"""Custom properties of an execution: its log, class of failure, reason of reuse or not, own time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a call ended."""

    state: NodeState
    node_id: str
    execution_id: int = 0
    attempt: int = 0
    message: str = ""
    """Why it failed, was reused or ran."""
    failure: Failure | None = None
    seconds: float = 0.0
    """From the claim to the end of the publication."""
    log: str = ""


def launch(
    call: NodeCall, store: MetadataStore, *, pipeline: ir.PipelineIR | None = None,
    cancel: CancelToken | None = None, spawner: Spawner | None = None,
) -> Outcome:  # fmt: skip
    """Run one node of one run, or say how it already ended.

    RunnerError when the run is unknown or over, or when another process runs the node; StoreError
    when the store fails. Everything else, failures of user code among it, is an Outcome.
    """
    run = store.get_run(call.run_id)
    if run is None:
        raise RunnerError(f"there is no run {call.run_id!r} in the metadata store")
    if pipeline is None:
        pipeline = codec.loads(store.get_pipeline_version(run.version))
    node = pipeline.node(call.node_id)
    started = time.perf_counter()
    crashpoint.reach("claim.before")
    claim = store.claim(
        ClaimRequest(
            run_id=run.id,
            node_id=node.id,
            component=node.component,
            owner=owner.myself(),
            attempt=call.attempt or None,
            iteration=call.iteration,
        )
    )
    crashpoint.reach("claim.after")
    if not claim.granted:
        return _already(claim)
    attempt = _Attempt(call, run, pipeline, node, claim, store, cancel or CancelToken(), spawner)
    publication, failure = attempt.run()
    crashpoint.reach("publish.before")
    store.publish(claim, publication)
    crashpoint.reach("publish.after")
    return Outcome(
        state=publication.state,
        node_id=node.id,
        execution_id=claim.execution_id,
        attempt=claim.attempt,
        message=publication.message,
        failure=failure,
        seconds=time.perf_counter() - started,
        log=str(publication.properties.get(LOG, "")),
    )


def _already(claim: Claim) -> Outcome:
    """The outcome of a node that somebody else ended; RunnerError while somebody runs it."""
    if not claim.state.succeeded:
        raise RunnerError(
            f"node {claim.node_id!r} of run {claim.run_id} is {claim.state} under attempt {claim.attempt}",
            hint=f"owned by {claim.owner}; only a higher attempt may take it over",
        )
    return Outcome(
        state=claim.state, node_id=claim.node_id, execution_id=claim.execution_id,
        attempt=claim.attempt, message=claim.message,
    )  # fmt: skip


class _Attempt:
    """One granted claim, on its way to a publication."""

    def __init__(
        self, call: NodeCall, run: Run, pipeline: ir.PipelineIR, node: ir.NodeIR, claim: Claim,
        store: MetadataStore, cancel: CancelToken, spawner: Spawner | None,
    ) -> None:  # fmt: skip
        self.call = call
        self.run_record = run
        self.pipeline = pipeline
        self.node = node
        self.claim = claim
        self.store = store
        self.cancel = cancel
        self.spawner = spawner
        self.folder = join(run.root, run.pipeline, run.id, node.id, str(claim.execution_id))
        self.properties: dict[str, PropertyValue] = {}
        self.inputs: dict[str, list[int]] = {}
        self.key = ""

    def run(self) -> tuple[Publication, Failure | None]:
        """Resolve, then reuse or execute. What user code or data do wrong becomes a Failure."""
        try:
            workdir = Path(self.call.workdir or ".").absolute()
            resolved = resolver_for(self.store, self.run_record, workdir).resolve(self.node)
            self._note(resolved)
            crashpoint.reach("resolve.after")
            reuse = self.call.reuse == "allowed" and REPRODUCES not in self.run_record.parameters
            decision = cache.decide(self.node, self.pipeline, resolved, self.store, reuse=reuse)
            # What a reproduction makes is never reused, so it is not found under a key.
            self.key = "" if REPRODUCES in self.run_record.parameters else decision.key
            self.properties[REASON] = decision.reason
            self.properties[cache.PARTS] = json.dumps(decision.parts, sort_keys=True)
            if decision.execution_id:
                return self._publication(NodeState.CACHED, decision.outputs, decision.reason), None
            crashpoint.reach("execute.before")
            answer = self._execute(resolved)
            crashpoint.reach("execute.after")
        except NotReproduced as error:
            self.inputs = {}
            return self._publication(NodeState.SKIPPED, {}, error.message), None
        except ResolutionError as error:
            return self._failed(Failure(kind=FailureKind.RESOLUTION, message=str(error)))
        except StorageError as error:
            return self._failed(Failure(kind=FailureKind.STORAGE, message=str(error)))
        if isinstance(answer, Failure):
            return self._failed(answer)
        self.properties[SECONDS] = answer.seconds
        outputs = {name: [_published(a)] for name, a in answer.outputs.items()}
        return self._publication(NodeState.COMPLETE, outputs, decision.reason), None

    def _note(self, resolved: Resolved) -> None:
        """Record what the node got: input artifacts as events, parameters as properties."""
        self.inputs = {name: [a.id for a in found] for name, found in resolved.inputs.items()}
        for name, value in resolved.parameters.items():
            self.properties[name] = noted(value)

    def _execute(self, resolved: Resolved) -> Answer | Failure:
        order = Order(
            executor=self.node.executor,
            inputs={
                i.name: OrderedInput(
                    artifacts=tuple(self._ordered(a) for a in resolved.inputs[i.name]), many=i.many
                )
                for i in self.node.inputs
            },
            outputs={
                o.name: OrderedOutput(artifact=self._planned(o), returned=o.returned)
                for o in self.node.outputs
            },
            parameters={name: spelled(value) for name, value in resolved.parameters.items()},
            code_root=self.call.code_root,
            workdir=self.call.workdir,
        )
        log = self._log()
        if self.call.isolation == "none":
            try:
                return execute_here(order, log)
            except KeyboardInterrupt:
                self.cancel.cancel()
                return Failure(kind=FailureKind.CANCELED, message="canceled")
        timeout = self.node.options.timeout
        return execute_in_child(order, log, timeout=timeout, cancel=self.cancel, spawner=self.spawner)

    def _log(self) -> Path:
        uri = log_uri(self.run_record, self.node.id, self.claim.iteration, self.claim.attempt)
        self.properties[LOG] = uri
        path = local_path(uri)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(error, path.parent) from error
        return path

    def _ordered(self, artifact: Artifact) -> OrderedArtifact:
        return OrderedArtifact(
            type=artifact.type,
            python=self._python(artifact.type),
            uri=artifact.uri,
            id=artifact.id,
            name=artifact.name,
            digest=cache.content(artifact),
            properties=artifact.properties,
            custom_properties=artifact.custom_properties,
        )

    def _planned(self, output: ir.OutputIR) -> OrderedArtifact:
        return OrderedArtifact(
            type=output.type, python=self._python(output.type), uri=join(self.folder, output.name)
        )

    def _python(self, type_name: str) -> str:
        return next(t.python for t in self.pipeline.artifact_types if t.name == type_name)

    def _publication(
        self, state: NodeState, outputs: Mapping[str, list[Artifact]], message: str
    ) -> Publication:
        return Publication(
            state=state,
            inputs=self.inputs,
            outputs=outputs,
            properties=self.properties,
            cache_key=self.key,
            message=message,
        )

    def _failed(self, failure: Failure) -> tuple[Publication, Failure]:
        canceled = failure.kind is FailureKind.CANCELED
        if failure.kind is FailureKind.STORAGE:
            # A full disk: nobody will ever look at these files, and recording the failure needs room.
            shutil.rmtree(local_path(self.folder), ignore_errors=True)
        self.properties[FAILURE] = failure.kind.value
        state = NodeState.CANCELED if canceled else NodeState.FAILED
        message = failure.headline if failure.exception else failure.message
        return self._publication(state, {}, message), failure


def log_uri(run: Run, node_id: str, iteration: int, attempt: int) -> str:
    """Where the log of an attempt lies."""
    return join(run.root, "logs", run.id, f"{node_id}.{iteration}.{attempt}.log")


def _published(ordered: OrderedArtifact) -> Artifact:
    return Artifact(
        type=ordered.type,
        uri=ordered.uri,
        state=ArtifactState.LIVE,
        properties=ordered.properties,
        custom_properties={**ordered.custom_properties, DIGEST: ordered.digest},
    )
