"""Claims and publications in any order, against a model of what must happen.

The model is a dozen lines of rules; the store must agree with it after every step, whoever asks.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from tidemill.errors import FencedError, RunnerError
from tidemill.metadata.model import Claim, ExecutionState, NodeState, Publication, RunState
from tidemill.metadata.store import MetadataStore
from tidemill.testing.store_stories import claim_node, model, start_run

NODES = ("examples_gen", "trainer")
ENDS = (NodeState.COMPLETE, NodeState.SKIPPED, NodeState.FAILED, NodeState.CANCELED)


@dataclass
class _Node:
    """What a node must look like. `attempt` is 0 until it is claimed."""

    attempt: int = 0
    fence: int = 0
    state: NodeState = NodeState.FAILED
    attempts: int = 0
    artifacts: int = 0


class ClaimMachine(RuleBasedStateMachine):
    """One run with two nodes; every claim ever granted may be published, again and again."""

    claims = Bundle("claims")

    def __init__(self, store: MetadataStore) -> None:
        super().__init__()
        self.store = store
        self.run = uuid.uuid4().hex
        start_run(store, self.run)
        self.nodes = {name: _Node() for name in NODES}
        self.running = True

    @rule(target=claims, node=st.sampled_from(NODES), attempt=st.one_of(st.none(), st.integers(1, 6)))
    def claim(self, node: str, attempt: int | None) -> Claim | None:
        """Granted to a higher attempt, unless the node succeeded or the run is over."""
        known = self.nodes[node]
        wanted = known.attempt + 1 if attempt is None else attempt
        free = not known.state.succeeded and wanted > known.attempt
        if free and not self.running:
            with pytest.raises(RunnerError):
                claim_node(self.store, self.run, node, attempt=attempt)
            return None
        claim = claim_node(self.store, self.run, node, attempt=attempt)
        assert claim.granted == free
        if not free:
            assert (claim.state, claim.attempt, claim.fence) == (known.state, known.attempt, known.fence)
            return None
        known.attempt, known.fence = wanted, known.fence + 1
        known.state, known.attempts = NodeState.RUNNING, known.attempts + 1
        assert (claim.attempt, claim.fence) == (known.attempt, known.fence)
        return claim

    @rule(claim=claims, state=st.sampled_from(ENDS))
    def publish(self, claim: Claim | None, state: NodeState) -> None:
        """Accepted from the newest claim of a RUNNING node; the same end again changes nothing."""
        if claim is None:
            return
        known = self.nodes[claim.node_id]
        outputs = {"model": [model()]} if state is NodeState.COMPLETE else {}
        publication = Publication(state=state, outputs=outputs)
        if claim.fence == known.fence and known.state in (NodeState.RUNNING, state):
            assert self.store.publish(claim, publication) == claim.execution_id
            known.artifacts += known.state is NodeState.RUNNING and bool(outputs)
            known.state = state
        else:
            with pytest.raises(FencedError):
                self.store.publish(claim, publication)

    @rule()
    def end_run(self) -> None:
        """A run ends once. Nodes that are running may still publish."""
        assert self.store.end_run(self.run, RunState.CANCELED, owner="driver") == self.running
        self.running = False

    @invariant()
    def the_record_agrees(self) -> None:
        """Node rows, executions and artifacts are those of the model, no more and no less."""
        records = {r.node_id: r for r in self.store.get_nodes(self.run)}
        assert set(records) == {name for name, known in self.nodes.items() if known.attempt}
        for name, record in records.items():
            known = self.nodes[name]
            assert (record.state, record.attempt, record.fence) == (known.state, known.attempt, known.fence)
            executions = self.store.get_executions(self.run, name)
            assert len(executions) == known.attempts
            running = [e.id for e in executions if e.state is ExecutionState.RUNNING]
            assert running == ([record.execution_id] if known.state is NodeState.RUNNING else [])
        made = self.store.get_artifacts(run_id=self.run)
        assert len(made) == sum(known.artifacts for known in self.nodes.values())
