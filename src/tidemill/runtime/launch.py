"""launch(call): what it means to run one node. Read it top to bottom; every runner calls this.

    claim -> decide -> resolve -> reuse, or execute -> publish

Whatever happens in between, a granted claim ends in exactly one publication, or, if this process
dies, in a takeover by a later attempt. The files of an attempt lie under its own execution id, so
no two attempts can touch each other's.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.errors import ExecutorError, ResolutionError, RunnerError, StorageError
from tidemill.ir import codec
from tidemill.ir import model as ir
from tidemill.metadata.model import (
    RETRY_AT,
    Artifact,
    Claim,
    ClaimRequest,
    NodeState,
    PropertyValue,
    Publication,
    Run,
)
from tidemill.metadata.store import MetadataStore
from tidemill.runtime import approval, cache, crashpoint, importing, isolation, ordering, owner, pools
from tidemill.runtime.call import NodeCall
from tidemill.runtime.decide import Skip, check_trigger, exit_facts
from tidemill.runtime.execute import CancelToken
from tidemill.runtime.failure import Failure, FailureKind
from tidemill.runtime.items import loop_items
from tidemill.runtime.making import MakingCanceled, MakingFailed, Place
from tidemill.runtime.order import Answer, Order
from tidemill.runtime.reproduce import is_reproduction, recorded_resolver
from tidemill.runtime.resolve import Resolved, Resolver, noted
from tidemill.runtime.sharedlog import SharedLog
from tidemill.runtime.spawner import Spawner
from tidemill.runtime.terms import Terms
from tidemill.runtime.upstream import ITEMS, Upstream, items_of
from tidemill.runtime.values import read_value
from tidemill.storage import holds, mirror
from tidemill.storage.manifest import storage_error
from tidemill.storage.uri import join

if TYPE_CHECKING:
    from tidemill.runtime.environment import Identified

LOG, REASON = "tidemill.log", "tidemill.cache"
"""Custom properties of an execution: its log, reason of reuse or not."""
LOST = "its machine, pod or worker was to end, and the node with it; the next try does it"
"""Message of an outcome that was not published; see CancelToken.lost."""


Perform = Callable[[Order, Path], Answer | Failure]
"""Executes an order, with a file for its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a call ended."""

    state: NodeState
    node_id: str
    iteration: int = 0
    execution_id: int = 0
    attempt: int = 0
    message: str = ""
    """Why it failed, was reused or ran."""
    failure: Failure | None = None
    retry_at: int = 0
    """When another attempt is to begin, in milliseconds since 1970; 0: none."""
    seconds: float = 0.0
    """From the claim to the end of the publication."""
    log: str = ""
    iterations: int | None = None
    """How many iterations there are, when the node is a loop's."""
    waiting: str = ""
    """What the node waits for; set when nothing was done, and the call is to be made again later."""


def launch(
    call: NodeCall, store: MetadataStore, *, pipeline: ir.PipelineIR | None = None,
    cancel: CancelToken | None = None, spawner: Spawner | None = None, perform: Perform | None = None,
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
    if node.kind == "approval" and not approval.due(store, node, call):
        return Outcome(state=NodeState.RUNNING, node_id=node.id, iteration=call.iteration, waiting="approval")
    crashpoint.reach("claim.before")
    claim = pools.claim(
        store,
        ClaimRequest(
            run_id=run.id,
            node_id=node.id,
            component=node.component,
            owner=owner.myself(),
            attempt=call.attempt or None,
            iteration=call.iteration,
            pool=node.options.pool,
            slots=node.options.slots,
        ),
    )
    crashpoint.reach("claim.after")
    if claim.full:
        waits = f"pool {claim.full}"
        return Outcome(state=NodeState.RUNNING, node_id=node.id, iteration=call.iteration, waiting=waits)
    if not claim.granted:
        return _already(claim, _count(store, claim.execution_id) if node.loop else None)
    attempt = _Attempt(call, run, pipeline, node, claim, store, cancel or CancelToken(), spawner, perform)
    with holds.using():
        publication, failure = attempt.run()
        attempt.keep_log()
    if failure is not None and attempt.cancel.lost:
        return _lost(claim, publication)
    crashpoint.reach("publish.before")
    store.publish(claim, publication)
    crashpoint.reach("publish.after")
    return Outcome(
        state=publication.state,
        node_id=node.id,
        iteration=claim.iteration,
        execution_id=claim.execution_id,
        attempt=claim.attempt,
        message=publication.message,
        failure=failure,
        retry_at=int(publication.properties.get(RETRY_AT, 0)),
        seconds=time.perf_counter() - started,
        log=str(publication.properties.get(LOG, "")),
        iterations=attempt.iterations,
    )


def _lost(claim: Claim, unpublished: Publication) -> Outcome:
    """Of an attempt that is left as it is: whoever takes the claim over records that it was lost."""
    return Outcome(
        state=NodeState.RUNNING, node_id=claim.node_id, iteration=claim.iteration, attempt=claim.attempt,
        execution_id=claim.execution_id, message=LOST, log=str(unpublished.properties.get(LOG, "")),
    )  # fmt: skip


def _count(store: MetadataStore, execution_id: int) -> int:
    return len(items_of(store, [execution_id]).get(execution_id, []))


def _already(claim: Claim, iterations: int | None) -> Outcome:
    """The outcome of a node that somebody else ended; RunnerError while somebody runs it."""
    if not claim.state.succeeded:
        raise RunnerError(
            f"node {claim.node_id!r} of run {claim.run_id} is {claim.state} under attempt {claim.attempt}",
            hint=f"owned by {claim.owner}; only a higher attempt may take it over",
        )
    return Outcome(
        state=claim.state, node_id=claim.node_id, iteration=claim.iteration,
        execution_id=claim.execution_id, attempt=claim.attempt, message=claim.message, iterations=iterations,
    )  # fmt: skip


class _Attempt:
    """One granted claim, on its way to a publication."""

    def __init__(
        self, call: NodeCall, run: Run, pipeline: ir.PipelineIR, node: ir.NodeIR, claim: Claim,
        store: MetadataStore, cancel: CancelToken, spawner: Spawner | None, perform: Perform | None,
    ) -> None:  # fmt: skip
        self.call = call
        self.run_record = run
        self.pipeline = pipeline
        self.node = node
        self.claim = claim
        self.store = store
        self.cancel = cancel
        self.spawner = spawner
        self.perform = perform
        self.folder = join(run.root, run.pipeline, run.id, node.id, str(claim.execution_id))
        self.properties: dict[str, PropertyValue] = {}
        self.inputs: dict[str, list[int]] = {}
        self.key = ""
        self.iterations: int | None = None
        self.terms = Terms(node, claim, store, call.ready)
        self.given: list[Artifact] = []
        self.log = SharedLog(log_uri(run, node.id, claim.iteration, claim.attempt), node.options.log_limit)

    def run(self) -> tuple[Publication, Failure | None]:
        """Decide, resolve, then reuse or execute. What user code or data do wrong becomes a Failure."""
        late = self.terms.late()
        if late is not None:
            return self._failed(late)
        try:
            resolver = self._resolver()
            resolver.check_condition(self.node)
            resolved = resolver.resolve(self.node)
            self._note(resolved)
            crashpoint.reach("resolve.after")
            if self.node.kind == "loop":
                return self._found_items(resolved)
            if self.node.kind == "approval":
                return self._approved()
            identified = self._environment()
            decision = self._decide(resolved, identified.digest if identified else "")
            if decision.execution_id:
                return self._publication(NodeState.CACHED, decision.outputs, decision.reason), None
            if self.node.kind == "importer":
                outputs = importing.outputs(self.node, resolved, self.pipeline)
                return self._publication(NodeState.COMPLETE, outputs, decision.reason), None
            crashpoint.reach("execute.before")
            answer = self._execute(resolved, identified)
            crashpoint.reach("execute.after")
        except Skip as skip:
            return self._publication(NodeState.SKIPPED, {}, str(skip)), None
        except ResolutionError as error:
            return self._failed(Failure(kind=FailureKind.RESOLUTION, message=str(error)))
        except StorageError as error:
            return self._failed(Failure(kind=FailureKind.STORAGE, message=str(error)))
        except MakingFailed as error:
            return self._failed(Failure(kind=FailureKind.ENVIRONMENT, message=str(error)))
        except MakingCanceled:
            return self._failed(Failure(kind=FailureKind.CANCELED, message="canceled"))
        except ExecutorError as error:
            return self._failed(Failure(kind=FailureKind.LOST, message=str(error)))
        if isinstance(answer, Failure):
            return self._failed(answer)
        outputs = {name: [ordering.published(a)] for name, a in answer.outputs.items()}
        return self._publication(NodeState.COMPLETE, outputs, decision.reason), None

    def _resolver(self) -> Resolver:
        """Knows what became of the nodes before this one. Skip when the trigger rule says so."""
        workdir = Path(self.call.workdir or ".").absolute()
        if is_reproduction(self.run_record):
            return recorded_resolver(
                self.store, self.pipeline, self.run_record, self.node, self.claim.iteration, workdir
            )
        upstream = Upstream(self.store, self.pipeline, self.run_record, self.node, self.claim.iteration)
        check_trigger(self.node, upstream)
        facts = exit_facts(self.store, self.run_record, self.call.run_state) if self.node.on_exit else {}
        return Resolver(self.store, self.run_record, workdir, upstream, facts=facts, chooser=self._choose)

    def _decide(self, resolved: Resolved, environment: str) -> cache.Decision:
        again = is_reproduction(self.run_record)
        reuse = self.call.reuse == "allowed" and not again
        decision = cache.decide(
            self.node, self.pipeline, resolved, self.store, reuse=reuse, environment=environment
        )
        # What a reproduction makes is never reused, so it is not found under a key.
        self.key = "" if again else decision.key
        self.properties[REASON] = decision.reason
        self.properties[cache.PARTS] = json.dumps(decision.parts, sort_keys=True)
        return decision

    def _found_items(self, resolved: Resolved) -> tuple[Publication, Failure | None]:
        """The end of a loop's own node: its items are on record, and how many there are."""
        items = loop_items(self.node, resolved)
        self.iterations = len(items)
        self.properties[ITEMS] = json.dumps(items)
        return self._publication(NodeState.COMPLETE, {}, f"{len(items)} iterations"), None

    def _approved(self) -> tuple[Publication, Failure | None]:
        verdict = approval.verdict(self.store, self.node, self.call)
        if isinstance(verdict, Failure):
            return self._failed(verdict)
        self.properties.update(verdict.properties)
        if verdict.granted:
            return self._publication(NodeState.COMPLETE, {}, verdict.message), None
        return self._failed(Failure(kind=FailureKind.VALIDATION, message=verdict.message))

    def _note(self, resolved: Resolved) -> None:
        """Record what the node got: input artifacts as events, parameters as properties."""
        self.inputs = {name: [a.id for a in found] for name, found in resolved.inputs.items()}
        self.given = [a for found in resolved.inputs.values() for a in found]
        for name, value in resolved.parameters.items() if self.node.kind != "loop" else ():
            self.properties[name] = noted(value)

    def _environment(self) -> Identified | None:
        """The node's own environment, known exactly but not made yet."""
        wanted = self.node.options.environment
        if wanted is None:
            return self._interpreter()
        from tidemill.runtime import environment  # most nodes have none, and every launcher pays for imports

        return environment.identify(wanted, self._place())

    def _interpreter(self) -> Identified | None:
        """The interpreter that the caller named for users' code; None for the one that runs this."""
        if not self.call.python:
            return None
        from tidemill.runtime import interpreter

        return interpreter.identify(self.call.python, self._place())

    def _place(self) -> Place:
        return Place(mirror.place(self.run_record.root), self.log.path, self.cancel, self.call.workdir)

    def _execute(self, resolved: Resolved, identified: Identified | None) -> Answer | Failure:
        order = ordering.order_of(
            self.node, self.pipeline, resolved, self.folder, self.call, **self.terms.rules()
        )
        answer = self._perform(order, identified)
        if isinstance(answer, Answer):
            for name, made in answer.outputs.items():
                if made.uri == order.outputs[name].artifact.uri:
                    mirror.keep(made.uri)
        return answer

    def _perform(self, order: Order, identified: Identified | None = None) -> Answer | Failure:
        log = self._log()
        mirror.making(self.folder)
        with self.log.while_running():
            return self._perform_with(order, log, identified)

    def _perform_with(self, order: Order, log: Path, identified: Identified | None) -> Answer | Failure:
        if self.perform is not None:
            return self.perform(order, log)
        terms = self.terms
        how = isolation.How(
            self.node, self.call, self.cancel, self.spawner, limits=terms.limits(), usage=terms.usage
        )
        if identified is None:
            return isolation.execute(order, log, how)
        try:
            return isolation.execute_in(identified, order, log, how, self.folder)
        finally:
            self.properties.update(identified.facts())

    def _choose(self, function: str, candidates: list[Artifact]) -> list[int]:
        """Ask a user's function to choose among artifacts; it runs where executors run."""
        folder = join(self.folder, "chosen")
        order = ordering.choosing_order(self.pipeline, function, candidates, folder, self.call)
        answer = self._perform(order, self._interpreter())
        if isinstance(answer, Failure):
            raise ResolutionError(f"{function} could not choose: {answer.headline}", where=self.node.id)
        chosen = read_value("JsonValue", mirror.place(folder))
        shutil.rmtree(mirror.place(folder), ignore_errors=True)
        return list(chosen)

    def _log(self) -> Path:
        self.properties[LOG] = self.log.uri
        path = self.log.path
        mirror.hold(self.log.uri)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(error, path.parent) from error
        return path

    def keep_log(self) -> None:
        """Store the log where other machines find it; it is not worth losing a node for."""
        if LOG in self.properties:
            self.log.keep()

    def _publication(
        self, state: NodeState, outputs: Mapping[str, list[Artifact]], message: str
    ) -> Publication:
        self.properties |= self.terms.measured(self.given, outputs)
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
            shutil.rmtree(mirror.place(self.folder), ignore_errors=True)
        self.properties |= self.terms.judged(failure)
        state = NodeState.CANCELED if canceled else NodeState.FAILED
        message = failure.headline if failure.exception else failure.message
        return self._publication(state, {}, message), failure


def log_uri(run: Run, node_id: str, iteration: int, attempt: int) -> str:
    """Where the log of an attempt lies."""
    return join(run.root, "logs", run.id, f"{node_id}.{iteration}.{attempt}.log")
