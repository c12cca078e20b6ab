"""What a store must do for slots that nodes of all runs share, and for decisions about nodes."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tidemill.errors import RunnerError, StoreError
from tidemill.metadata.model import (
    Claim,
    ClaimRequest,
    Decision,
    ExecutionState,
    NodeState,
    Pool,
    Publication,
    RunState,
)
from tidemill.metadata.store import MetadataStore
from tidemill.testing.store_races import CALLERS, Callers, MakeStore, at_once
from tidemill.testing.store_stories import snapshot, start_run


def claim_slots(
    store: MetadataStore, run_id: str, node_id: str, *, slots: int = 1, owner: str = "worker", **more: Any
) -> Claim:
    """Ask to run a node that needs slots of the pool `gpu`."""
    return store.claim(
        ClaimRequest(
            run_id=run_id, node_id=node_id, component="Trainer", owner=owner, pool="gpu", slots=slots, **more
        )
    )


def held(store: MetadataStore) -> int:
    """Slots of `gpu` that are held."""
    (pool,) = [p for p in store.get_pools() if p.name == "gpu"]
    return pool.held


def use_slots(store: MetadataStore, words: dict[str, Any]) -> list[int]:
    """For a process: claim and end nodes; what was held of the pool each time one was granted."""
    seen = []
    for i in range(20):
        claim = claim_slots(store, "r1", f"{words['owner']}-{i}", slots=words["slots"], owner=words["owner"])
        if claim.granted:
            seen.append(held(store))
            store.publish(claim, Publication(state=NodeState.COMPLETE))
    return seen


def decide(store: MetadataStore, words: dict[str, Any]) -> str:
    """For a process: decide; whose decision stands."""
    return store.put_decision(Decision(run_id="r1", node_id="gate", **words)).by


class _Slots:
    def test_pools_are_made_resized_and_removed(self, store: MetadataStore) -> None:
        """By name; a pool of which slots are held stays."""
        store.put_pool("gpu", 2)
        store.put_pool("db", 5)
        store.put_pool("gpu", 3)
        start_run(store, "r1")
        claim = claim_slots(store, "r1", "a", slots=2)
        assert store.get_pools() == [Pool(name="db", slots=5), Pool(name="gpu", slots=3, held=2)]
        assert store.remove_pool("db")
        assert not store.remove_pool("db")
        with pytest.raises(StoreError, match="holds slots"):
            store.remove_pool("gpu")
        store.publish(claim, Publication(state=NodeState.FAILED))
        assert store.remove_pool("gpu")
        for name, slots in (("", 1), (" gpu", 1), ("gpu", -1)):
            with pytest.raises(StoreError):
                store.put_pool(name, slots)

    def test_a_claim_without_room_changes_nothing(self, store: MetadataStore) -> None:
        """It says which pool is full and who holds it; when they end, it is granted."""
        store.put_pool("gpu", 3)
        start_run(store, "r1")
        start_run(store, "r2")
        first = claim_slots(store, "r1", "a", slots=2, owner="w1")
        before = snapshot(store, "r2")
        refused = claim_slots(store, "r2", "b", slots=2, owner="w2")
        assert (refused.granted, refused.full, refused.holders) == (False, "gpu", ("w1",))
        assert snapshot(store, "r2") == before
        assert claim_slots(store, "r2", "c", owner="w2").granted
        store.publish(first, Publication(state=NodeState.COMPLETE))
        granted = claim_slots(store, "r2", "b", slots=2, owner="w2")
        assert (granted.granted, granted.attempt, granted.full) == (True, 1, "")
        record = {n.node_id: (n.pool, n.slots) for n in store.get_nodes("r2")}
        assert record == {"b": ("gpu", 2), "c": ("gpu", 1)}

    def test_a_takeover_needs_no_second_slot(self, store: MetadataStore) -> None:
        """What the node itself holds is its own; without a pool it gives it back."""
        store.put_pool("gpu", 1)
        start_run(store, "r1")
        assert claim_slots(store, "r1", "a").granted
        again = claim_slots(store, "r1", "a", owner="w2")
        assert (again.granted, again.attempt) == (True, 2)
        assert held(store) == 1
        plain = store.claim(ClaimRequest(run_id="r1", node_id="a", component="Trainer", owner="w3"))
        assert (plain.granted, held(store)) == (True, 0)

    def test_the_dead_hold_nothing(self, store: MetadataStore) -> None:
        """Who asks says who is dead; their nodes stay RUNNING until somebody takes them over."""
        store.put_pool("gpu", 2)
        for run_id in ("r1", "r2"):
            start_run(store, run_id)
        lost = claim_slots(store, "r1", "a", owner="dead")
        assert claim_slots(store, "r1", "b", owner="alive").granted
        assert claim_slots(store, "r2", "c").holders == ("alive", "dead")
        assert claim_slots(store, "r2", "c", dead=("dead",)).granted
        assert held(store) == 2
        (execution,) = store.get_executions("r1", "a")
        assert (execution.id, execution.state) == (lost.execution_id, ExecutionState.RUNNING)
        assert claim_slots(store, "r1", "a", owner="w2").full == "gpu"

    def test_what_can_never_run_is_an_error(self, store: MetadataStore) -> None:
        """An unknown pool, with a guess at what was meant, and one that is too small."""
        store.put_pool("gpus", 1)
        start_run(store, "r1")
        with pytest.raises(RunnerError, match="did you mean 'gpus'"):
            claim_slots(store, "r1", "a")
        store.put_pool("gpu", 1)
        for slots in (0, 2):
            with pytest.raises(RunnerError, match=f"{slots} slots"):
                claim_slots(store, "r1", "a", slots=slots)
        assert store.get_executions("r1") == []

    def test_a_pool_can_shrink_while_it_is_held(self, store: MetadataStore) -> None:
        """What runs goes on; nothing starts until there is room. 0 slots stop everything."""
        store.put_pool("gpu", 2)
        start_run(store, "r1")
        claims = [claim_slots(store, "r1", name) for name in ("a", "b")]
        store.put_pool("gpu", 1)
        store.publish(claims[0], Publication(state=NodeState.COMPLETE))
        assert claim_slots(store, "r1", "c").full == "gpu"
        store.publish(claims[1], Publication(state=NodeState.COMPLETE))
        store.put_pool("gpu", 0)
        assert claim_slots(store, "r1", "c").full == "gpu"
        store.put_pool("gpu", 1)
        assert claim_slots(store, "r1", "c").granted

    def test_a_pool_never_gives_more_than_it_has(
        self, make_store: MakeStore, callers: Callers, store: MetadataStore
    ) -> None:
        """Whatever threads and processes ask for at once."""
        store.put_pool("gpu", 3)
        start_run(store, "r1")
        claims = at_once(
            [partial(claim_slots, store, "r1", f"t{i}", slots=1 + i % 2, owner=f"t{i}") for i in range(8)]
        )
        granted = [c for c in claims if c.granted]
        assert 2 <= held(store) <= 3
        for claim in granted:
            store.publish(claim, Publication(state=NodeState.COMPLETE))
        words = [{"owner": f"w{i}", "slots": 1 + i % 3} for i in range(CALLERS)]
        seen = callers(make_store, use_slots, words)
        assert max(n for each in seen for n in each) <= 3
        assert held(store) == 0

    def test_slots_in_any_order(self, store: MetadataStore) -> None:
        """Hypothesis looks for an order of claims, ends, deaths and sizes that the rules do not allow."""

        class Machine(SlotsMachine):
            def __init__(self) -> None:
                super().__init__(store)

        run_state_machine_as_test(
            Machine, settings=settings(max_examples=25, stateful_step_count=20, deadline=None)
        )


class SlotsMachine(RuleBasedStateMachine):
    """Nodes of two owners in one pool, against a model: who holds how much."""

    counter = 0

    def __init__(self, store: MetadataStore) -> None:
        super().__init__()
        SlotsMachine.counter += 1
        self.store = store
        self.run = f"slots{SlotsMachine.counter}"
        self.pool = self.run
        self.slots = 3
        store.put_pool(self.pool, self.slots)
        start_run(store, self.run)
        self.holding: dict[str, tuple[Claim, int]] = {}
        self.asked = 0

    @rule(slots=st.integers(1, 2), owner=st.sampled_from(["w1", "w2"]), dead=st.sampled_from([(), ("w1",)]))
    def claim(self, slots: int, owner: str, dead: tuple[str, ...]) -> None:
        """Granted exactly when there is room."""
        self.asked += 1
        name = f"n{self.asked}"
        request = ClaimRequest(
            run_id=self.run, node_id=name, component="T", owner=owner, pool=self.pool, slots=slots, dead=dead
        )
        if self.slots and slots > self.slots:
            with pytest.raises(RunnerError):
                self.store.claim(request)
            return
        answer = self.store.claim(request)
        for other, (claim, _) in self.holding.items():
            if claim.owner in dead:
                self.holding[other] = (claim, 0)
        room = self.held() + slots <= self.slots
        assert answer.granted == room
        assert bool(answer.full) != room
        if room:
            self.holding[name] = (answer, slots)

    @rule(data=st.data(), state=st.sampled_from([NodeState.COMPLETE, NodeState.FAILED]))
    def end(self, data: st.DataObject, state: NodeState) -> None:
        """A node gives back what it held by ending."""
        if self.holding:
            name = data.draw(st.sampled_from(sorted(self.holding)))
            self.store.publish(self.holding.pop(name)[0], Publication(state=state))

    @rule(slots=st.integers(0, 4))
    def resize(self, slots: int) -> None:
        """The pool gets another size."""
        self.store.put_pool(self.pool, slots)
        self.slots = slots

    def held(self) -> int:
        """Slots that are held."""
        return sum(slots for _, slots in self.holding.values())

    @invariant()
    def the_record_agrees(self) -> None:
        """As the model says."""
        (pool,) = [p for p in self.store.get_pools() if p.name == self.pool]
        assert (pool.slots, pool.held) == (self.slots, self.held())


class _Decisions:
    def test_the_first_decision_stands(self, store: MetadataStore) -> None:
        """It is kept with who, when and why; another one changes nothing and learns of it."""
        start_run(store, "r1")
        assert store.get_decision("r1", "gate") is None
        first = store.put_decision(
            Decision(run_id="r1", node_id="gate", granted=False, by="ann", comment="too old: ü")
        )
        assert (first.granted, first.by, first.comment, first.iteration) == (False, "ann", "too old: ü", 0)
        assert first.time > 1_500_000_000_000
        again = store.put_decision(Decision(run_id="r1", node_id="gate", granted=True, by="bob"))
        assert again == first == store.get_decision("r1", "gate")
        other = store.put_decision(Decision(run_id="r1", node_id="gate", granted=True, by="bob", iteration=3))
        assert store.get_decisions("r1") == [first, other]
        start_run(store, "r2")
        third = store.put_decision(Decision(run_id="r2", node_id="gate", granted=True, by="cyd"))
        assert store.get_decisions() == [first, other, third]

    def test_decisions_that_make_no_sense(self, store: MetadataStore) -> None:
        """Without a name, about an unknown run, about one that is over."""
        start_run(store, "r1")
        with pytest.raises(StoreError, match="name"):
            store.put_decision(Decision(run_id="r1", node_id="gate", granted=True, by=""))
        with pytest.raises(RunnerError, match="r2"):
            store.put_decision(Decision(run_id="r2", node_id="gate", granted=True, by="ann"))
        store.end_run("r1", RunState.CANCELED, owner="driver")
        with pytest.raises(RunnerError, match="CANCELED"):
            store.put_decision(Decision(run_id="r1", node_id="gate", granted=True, by="ann"))
        assert store.get_decisions() == []

    def test_decisions_at_once(self, make_store: MakeStore, callers: Callers, store: MetadataStore) -> None:
        """Everybody learns the same."""
        start_run(store, "r1")
        words = [{"granted": bool(i % 2), "by": f"p{i}"} for i in range(CALLERS)]
        assert len(set(callers(make_store, decide, words))) == 1
        assert len(store.get_decisions("r1")) == 1


class StorePools(_Slots, _Decisions):
    """The part of StoreSuite about shared slots and decisions."""
