"""Many callers at once: threads on one store, and processes that each open it for themselves."""

from __future__ import annotations

import base64
import json
import pickle
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Any

from tidemill.errors import FencedError, StoreError
from tidemill.metadata.model import (
    ArtifactType,
    Claim,
    ExecutionState,
    NodeState,
    PropertyType,
    Publication,
    Run,
    RunState,
)
from tidemill.metadata.store import MetadataStore
from tidemill.testing.store_stories import claim_node, model, start_run

MakeStore = Callable[[], MetadataStore]
Callers = Callable[
    [MakeStore, Callable[[MetadataStore, dict[str, Any]], Any], list[dict[str, Any]]], list[Any]
]
"""Who calls at once: `in_processes`, or `in_threads` where there is but one process."""
CALLERS = 4

# A child says "ready", waits for its line on stdin, acts, and prints what it got.
_CHILD = """
import base64, json, pickle, sys
make_store, action, words = pickle.loads(base64.b64decode(sys.argv[1]))
store = make_store() if action != "open" else None
print("ready", flush=True)
sys.stdin.readline()
store = store or make_store()
if action == "claim":
    from tidemill.metadata.model import ClaimRequest
    answer = [store.claim(ClaimRequest(component="Trainer", node_id=node, **words["request"])).granted
              for node in words["nodes"]]
elif callable(action):
    answer = action(store, words)
else:
    answer = sum(store.statistics().values())
print(json.dumps(answer), flush=True)
store.close()
"""


def at_once(actions: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run actions in threads that start together; results, or the StoreError each ended with."""
    barrier = threading.Barrier(len(actions))

    def act(action: Callable[[], Any]) -> Any:
        barrier.wait()
        try:
            return action()
        except StoreError as error:
            return error

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(act, actions))


def in_threads(
    make_store: MakeStore, action: Callable[[MetadataStore, dict[str, Any]], Any],
    words: list[dict[str, Any]],
) -> list[Any]:  # fmt: skip
    """Run `action` in one thread per entry of `words`, each with an opening of its own."""

    def act(each: dict[str, Any]) -> Any:
        with closing(make_store()) as store:
            return action(store, each)

    return at_once([partial(act, each) for each in words])


def in_processes(
    make_store: MakeStore, action: str | Callable[[MetadataStore, dict[str, Any]], Any],
    words: list[dict[str, Any]],
) -> list[Any]:  # fmt: skip
    """Run `action` in one process per entry of `words`, all released together; what each printed.

    An action is `claim`, `open`, or a function of a module: its answer must be JSON. `make_store` must be
    picklable, such as functools.partial(open_store, url).
    """
    children = []
    for each in words:
        argument = base64.b64encode(pickle.dumps((make_store, action, each))).decode()
        command = [sys.executable, "-c", _CHILD, argument]
        children.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    answers = []
    try:
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        for child in children:
            out, _ = child.communicate(timeout=60)
            assert child.returncode == 0
            answers.append(json.loads(out))
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
                child.communicate()
    return answers


class StoreRaces:
    """The part of StoreSuite that needs many callers."""

    def test_one_of_many_threads_gets_an_attempt(self, store: MetadataStore) -> None:
        """Equal claims of many threads: one is granted, the others learn who got it."""
        start_run(store, "r1")
        for node in ("a", "b", "c"):
            asks = [partial(claim_node, store, "r1", node, attempt=1, owner=f"w{i}") for i in range(8)]
            claims: list[Claim] = at_once(asks)
            (winner,) = [c for c in claims if c.granted]
            assert {(c.owner, c.execution_id, c.state) for c in claims} == {
                (winner.owner, winner.execution_id, NodeState.RUNNING)
            }
        assert [e.state for e in store.get_executions("r1")] == [ExecutionState.RUNNING] * 3

    def test_takeovers_at_once_leave_one_owner(self, store: MetadataStore) -> None:
        """Claims that each count as the next attempt are all granted, one after the other; the last owns."""
        start_run(store, "r1")
        claims: list[Claim] = at_once([partial(claim_node, store, "r1", "a")] * 6)
        assert sorted((c.attempt, c.fence) for c in claims) == [(i, i) for i in range(1, 7)]
        publication = Publication(state=NodeState.COMPLETE, outputs={"model": [model()]})
        ends = at_once([partial(store.publish, c, publication) for c in claims])
        last = max(claims, key=lambda c: c.fence)
        assert [e for e in ends if not isinstance(e, FencedError)] == [last.execution_id]
        states = Counter(e.state for e in store.get_executions("r1"))
        assert states == {ExecutionState.FAILED: 5, ExecutionState.COMPLETE: 1}
        assert len(store.get_artifacts(run_id="r1")) == 1

    def test_the_same_publication_at_once(self, store: MetadataStore) -> None:
        """Repeated by impatient callers, a publication happens once and everybody gets its id."""
        start_run(store, "r1")
        claim = claim_node(store, "r1", "a")
        publication = Publication(state=NodeState.COMPLETE, outputs={"model": [model()]})
        ends = at_once([partial(store.publish, claim, publication)] * 6)
        assert ends == [claim.execution_id] * 6
        assert len(store.get_artifacts(run_id="r1")) == 1

    def test_publish_and_takeover_at_once(self, store: MetadataStore) -> None:
        """Either the attempt is published and nobody gets the node, or it is taken over and refused."""
        start_run(store, "r1")
        for node in (f"n{i}" for i in range(10)):
            claim = claim_node(store, "r1", node)
            publication = Publication(state=NodeState.COMPLETE, outputs={"model": [model()]})
            ended, taken = at_once(
                [partial(store.publish, claim, publication), partial(claim_node, store, "r1", node)]
            )
            assert isinstance(ended, FencedError) == taken.granted
            outputs = store.get_outputs([claim.execution_id])
            assert bool(outputs) != taken.granted

    def test_the_same_request_at_once(self, store: MetadataStore) -> None:
        """Asked again by an impatient caller, a claim and a run are made once and everybody is told so."""
        run = Run(id="r1", pipeline="p", version="v", state=RunState.RUNNING, root="x", owner="d")
        made: list[Run] = at_once([partial(store.create_run, run, [], request_id="q")] * 6)
        assert made == [store.get_run("r1")] * 6
        assert store.statistics()["tidemill_run"] == 1
        asks = [partial(claim_node, store, "r1", "a", request_id="q")] * 6
        claims: list[Claim] = at_once(asks)
        assert {(c.granted, c.attempt, c.fence) for c in claims} == {(True, 1, 1)}
        assert len({c.execution_id for c in claims}) == len(store.get_executions("r1")) == 1

    def test_one_of_many_creates_a_run(self, store: MetadataStore) -> None:
        """One creates it, the others are told that the id is taken; types are registered once."""
        types = [ArtifactType(name="Log", properties={"lines": PropertyType.INT})]
        run = Run(id="r1", pipeline="p", version="v", state=RunState.RUNNING, root="x", owner="d")
        ends = at_once([partial(store.create_run, run, types)] * 6)
        assert sum(isinstance(e, StoreError) for e in ends) == 5
        assert store.statistics()["tidemill_run"] == 1
        assert store.statistics()["TypeProperty"] == 1


class StoreProcesses:
    """The part of StoreSuite that needs many processes, for stores that more than one can reach."""

    def test_one_of_many_processes_gets_an_attempt(self, make_store: MakeStore, store: MetadataStore) -> None:
        """Processes race for the same nodes in the same order: each node goes to exactly one."""
        start_run(store, "r1")
        nodes = [f"n{i}" for i in range(20)]
        words = [
            {"nodes": nodes, "request": {"run_id": "r1", "owner": f"w{i}", "attempt": 1}}
            for i in range(CALLERS)
        ]
        granted = in_processes(make_store, "claim", words)
        assert [sum(answers) for answers in zip(*granted, strict=True)] == [1] * len(nodes)
        assert len(store.get_executions("r1")) == len(nodes)
        assert Counter(n.fence for n in store.get_nodes("r1")) == {1: len(nodes)}

    def test_many_processes_create_the_store(self, make_store: MakeStore) -> None:
        """Whoever comes first creates the tables; all of them see one whole store."""
        counts = in_processes(make_store, "open", [{}] * CALLERS)
        assert len(set(counts)) == 1
        store = make_store()
        assert sum(store.statistics().values()) == counts[0]
        store.close()
