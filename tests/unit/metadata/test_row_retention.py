"""Whole runs leave the record, or stay whole; it is sound after each step, whoever is killed and when."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidemill.errors import StoreError
from tidemill.metadata.model import Artifact, NodeState, Run, RunState
from tidemill.metadata.retention import RetentionPolicy
from tidemill.metadata.sql import SqlStore, open_store
from tidemill.testing.store_stories import TYPES, end_node, examples, model, start_run

POLICY = RetentionPolicy(root="/nowhere", keep_last=1)
PYTHON = os.environ.get("TIDEMILL_MLMD_PYTHON", "")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metadata.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqlStore]:
    store = open_store(str(path))
    yield store
    store.close()


def unsound(store: SqlStore) -> set[str]:
    """What doctor says, but for the IR, which these stories make up."""
    return {f.invariant for f in store.findings()} - {"ir-matches-version"}


def history(store: SqlStore, seed: int, count: int = 12) -> None:
    """Runs of two pipelines that use and reuse each other's artifacts at random."""
    dice = random.Random(seed)
    store.put_pipeline_version("v1", "taxi", "{}")
    known: list[Artifact] = []
    for number in range(count):
        run = f"r{number}"
        start_run(store, run, pipeline=dice.choice(["taxi", "other"]))
        for node in ("gen", "trainer"):
            inputs = {"x": dice.sample(known, min(len(known), dice.randint(0, 1)))}
            if known and dice.random() < 0.15:
                reused = {"m": [dice.choice(known)]}
                end_node(store, run, node, state=NodeState.CACHED, inputs=inputs, outputs=reused)
            elif dice.random() < 0.2:
                end_node(store, run, node, state=NodeState.FAILED, outputs={"m": [model()]}, message="no")
            else:
                made = end_node(
                    store, run, node, inputs=inputs, outputs={"m": [model(f"u{number}"), examples(1)]}
                )
                known += made.outputs["m"]
        state = dice.choice([RunState.COMPLETE, RunState.FAILED])
        failed = any(n.state is NodeState.FAILED for n in store.get_nodes(run))
        store.end_run(run, RunState.FAILED if failed else state, owner="driver")


@pytest.mark.parametrize("seed", range(12))
def test_each_step_leaves_a_sound_record(store: SqlStore, seed: int) -> None:
    history(store, seed)
    before = {r.id: (store.get_nodes(r.id), store.get_executions(r.id)) for r in store.get_runs()}
    inputs = {r: [e.artifact_id for e in store.get_events(execution_ids=[x.id for x in ex])]
              for r, (_, ex) in before.items()}  # fmt: skip
    plan = store.plan_row_retention(POLICY)
    assert plan == store.plan_row_retention(POLICY)
    gone = {run.id for batch in plan.batches for run in batch}
    assert gone
    assert gone | {run.id for run, _ in plan.kept} == {r.id for r in store.plan_retention(POLICY).runs}
    for batch in plan.batches:
        for one in [[run] for run in batch] if len(batch) == 1 else [list(batch)]:
            assert store.remove_runs([run.id for run in one]) == len(one)
            assert unsound(store) == set()
    assert {r.id for r in store.get_runs()} == set(before) - gone
    for run in store.get_runs():  # what stays is whole
        assert (store.get_nodes(run.id), store.get_executions(run.id)) == before[run.id]
        assert {a.id for a in store.get_artifacts_by_id(inputs[run.id])} == set(inputs[run.id])
    if not store.get_runs():
        assert store.statistics()["Event"] == store.statistics()["Artifact"] == 0
    start_run(store, "next")  # and life goes on
    end_node(store, "next", "gen", outputs={"m": [model()]})
    assert unsound(store) == set()


def test_nothing_of_a_pipeline_is_left(store: SqlStore) -> None:
    """Not its contexts, nor its versions, nor a property."""
    empty = store.statistics()
    store.put_pipeline_version("v1", "taxi", "{}")
    start_run(store, "r1")
    made = end_node(store, "r1", "gen", outputs={"m": [model()]}, properties={"a": 1})
    end_node(store, "r1", "trainer", inputs={"m": made.outputs["m"]})
    end_node(store, "r1", "failed", state=NodeState.FAILED, message="boom")
    store.end_run("r1", RunState.FAILED, owner="driver")
    (batch,) = store.plan_row_retention(POLICY).batches
    assert store.remove_runs([run.id for run in batch]) == 1
    assert store.remove_runs(["r1", "never"]) == 0
    left = {t: n for t, n in store.statistics().items() if n != empty[t]}
    assert set(left) <= {"Type", "TypeProperty", "ParentType"}
    start_run(store, "r1")  # the id is free again, and the contexts are made anew
    end_node(store, "r1", "gen")
    assert unsound(store) == {"a-run-has-a-version"}


def test_what_keeps_a_run(store: SqlStore) -> None:
    store.put_pipeline_version("v1", "taxi", "{}")
    below = Run(
        id="there", pipeline="taxi", version="v1", state=RunState.RUNNING, root="/pipelines", owner="driver"
    )
    store.create_run(below, TYPES)
    end_node(store, "there", "gen", outputs={"m": [Artifact(type="Model", uri="/pipelines/m")]})
    start_run(store, "used")
    made = end_node(store, "used", "gen", outputs={"m": [model()]})
    start_run(store, "user")
    end_node(store, "user", "gen", inputs={"m": made.outputs["m"]})
    start_run(store, "grouped")
    grouped = end_node(store, "grouped", "gen", outputs={"m": [model()]}).only("m")
    start_run(store, "free")
    end_node(store, "free", "gen", outputs={"m": [model()]})
    for run in ("there", "used", "grouped", "free"):
        store.end_run(run, RunState.FAILED, owner="driver")
    with store.database.writing() as tx:
        type_id = tx.insert("Type", "name, type_kind", ("alias", 2))
        context = tx.insert("Context", "type_id, name", (type_id, "production"))
        tx.insert("Attribution", "context_id, artifact_id", (context, grouped.id))
    with pytest.raises(StoreError, match="user is RUNNING"):
        store.remove_runs(["free"])
    store.end_run("user", RunState.COMPLETE, owner="driver")
    plan = store.plan_row_retention(POLICY)
    assert [[run.id for run in batch] for batch in plan.batches] == [["free"]]
    why = {run.id: reason for run, reason in plan.kept}
    assert "still there" in why["there"]
    assert "uses artifact" in why["used"]
    assert "alias 'production'" in why["grouped"]
    assert store.remove_runs(["free", "used", "grouped", "there"]) == 1


def test_what_an_alias_names_is_not_deleted(store: SqlStore) -> None:
    """Neither its files nor its rows, though its run is old and no run uses it."""
    store.put_pipeline_version("v1", "taxi", "{}")
    made = []
    for number in range(3):
        run = Run(
            id=f"r{number}", pipeline="taxi", version="v1", state=RunState.RUNNING, root="/p", owner="driver"
        )
        store.create_run(run, TYPES)
        outputs = {"m": [Artifact(type="Model", uri=f"/p/{number}")]}
        made.append(end_node(store, run.id, "gen", outputs=outputs).only("m"))
        store.end_run(run.id, RunState.COMPLETE, owner="driver")
    with store.database.writing() as tx:
        type_id = tx.insert("Type", "name, type_kind", ("alias", 2))
        context = tx.insert("Context", "type_id, name", (type_id, "production"))
        tx.insert("Attribution", "context_id, artifact_id", (context, made[0].id))
    policy = RetentionPolicy(root="/p", keep_last=1)
    planned = store.plan_retention(policy)
    assert ([a.uri for a in planned.artifacts], [a.uri for a in planned.kept]) == (["/p/1"], ["/p/0"])
    assert [a.uri for a in store.mark_for_deletion(policy).artifacts] == ["/p/1"]
    assert [a.uri for a in store.get_marked()] == ["/p/1"]
    assert "alias 'production'" in {r.id: why for r, why in store.plan_row_retention(policy).kept}["r0"]


KILLED = """
import os, signal, sys
from tidemill.metadata.retention import RetentionPolicy
from tidemill.metadata.sql import open_store
path, batches, steps = sys.argv[1], int(sys.argv[2]), sys.argv[3]
seen = []
def watch(statement):
    seen.append(statement)
    if steps == statement.split()[0] or steps == str(len(seen)):
        os.kill(os.getpid(), signal.SIGKILL)
store = open_store(path)
plan = store.plan_row_retention(RetentionPolicy(root="/nowhere", keep_last=1))
for number, batch in enumerate(plan.batches):
    if number == batches:
        watch("0") if steps == "0" else store.database.connection().set_trace_callback(watch)
    store.remove_runs([run.id for run in batch])
print("not killed")
"""


@pytest.mark.parametrize(
    ("batches", "steps"), [(1, "0"), (2, "0"), (0, "DELETE"), (1, "12"), (1, "25"), (3, "COMMIT")]
)
def test_a_kill_leaves_a_sound_record(store: SqlStore, path: Path, batches: int, steps: str) -> None:
    """Between two transactions, or within one; the next to ask goes on."""
    made: list[Artifact] = []
    store.put_pipeline_version("v1", "taxi", "{}")
    for number in range(5):  # each uses what the one before made, so each goes by itself
        start_run(store, f"r{number}")
        made = [end_node(store, f"r{number}", "gen", inputs={"m": made}, outputs={"m": [model()]}).only("m")]
        store.end_run(f"r{number}", RunState.FAILED, owner="driver")
    before = len(store.get_runs())
    command = [sys.executable, "-c", KILLED, str(path), str(batches), steps]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
    assert unsound(store) == set()
    assert len(store.get_runs()) < before or not batches
    for batch in store.plan_row_retention(POLICY).batches:
        store.remove_runs([run.id for run in batch])
    assert unsound(store) == set()
    assert store.get_runs() == []


@pytest.mark.skipif(not PYTHON, reason="TIDEMILL_MLMD_PYTHON names no interpreter with ml-metadata 1.17.1")
def test_the_real_ml_metadata_reads_what_is_left(store: SqlStore, path: Path) -> None:
    history(store, 5)
    for batch in store.plan_row_retention(POLICY).batches:
        store.remove_runs([run.id for run in batch])
        peer = Path(__file__).with_name("mlmd_peer.py")
        done = subprocess.run([PYTHON, str(peer), "read", str(path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        theirs = json.loads(done.stdout)
        assert {a["id"] for a in theirs["artifacts"]} == {a.id for a in store.get_artifacts(limit=1000)}
        known = {c["id"] for c in theirs["contexts"]}
        assert {c for c, _ in theirs["attributions"]} <= known
