"""A process that dies while it publishes leaves either nothing or everything, and a store that works."""

from __future__ import annotations

import base64
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidemill.metadata.model import Claim, ExecutionState, NodeState, Publication
from tidemill.metadata.sql import SqlStore, open_store, sqlite
from tidemill.testing.store_stories import claim_node, model, snapshot, start_run

PUBLICATION = Publication(
    state=NodeState.COMPLETE, outputs={"x": [model()]}, properties={"note": "n" * 5000}, cache_key="k"
)

# Publishes; dies before its N-th statement, or right after the publication.
CHILD = """
import base64, os, pickle, signal, sys
from tidemill.metadata.sql import open_store
path, kill_at = sys.argv[1], int(sys.argv[2])
claim, publication = pickle.loads(base64.b64decode(sys.argv[3]))
store = open_store(path)
seen = 0
def die(statement):
    global seen
    seen += 1
    if seen == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
store.database.connection().set_trace_callback(die)
print("publishing", flush=True)
store.publish(claim, publication)
print("published", seen, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metadata.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqlStore]:
    store = open_store(str(path))
    start_run(store, "r1")
    yield store
    store.close()


def publish_and_die(claim: Claim, path: Path, kill_at: int, *prefix: str) -> str:
    """What the child said before it was killed."""
    words = base64.b64encode(pickle.dumps((claim, PUBLICATION))).decode()
    command = [*prefix, sys.executable, "-c", CHILD, str(path), str(kill_at), words]
    child = subprocess.run(command, capture_output=True, text=True)
    assert child.returncode == -signal.SIGKILL, child.stderr
    return child.stdout


def check_whole(path: Path) -> None:
    with sqlite.driver().connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()


def check_nothing_then_everything(path: Path, claim: Claim) -> None:
    """The attempt is still RUNNING with no trace of the publication; asking again completes it."""
    check_whole(path)
    store = open_store(str(path))
    (record,) = store.get_nodes("r1")
    assert (record.state, record.fence, record.cache_key) == (NodeState.RUNNING, claim.fence, "")
    (execution,) = store.get_executions("r1")
    assert (execution.state, execution.custom_properties) == (ExecutionState.RUNNING, {})
    counts = store.statistics()
    assert (counts["Artifact"], counts["Event"], counts["EventPath"], counts["Attribution"]) == (0, 0, 0, 0)
    store.publish(claim, PUBLICATION)
    check_everything(store)
    store.close()


def check_everything(store: SqlStore) -> None:
    (record,) = store.get_nodes("r1")
    assert (record.state, record.cache_key) == (NodeState.COMPLETE, "k")
    (outputs,) = store.get_outputs([record.execution_id]).values()
    assert len(outputs["x"]) == 1
    (execution,) = store.get_executions("r1")
    assert execution.custom_properties == {"note": "n" * 5000}


def test_killed_before_each_statement(store: SqlStore, path: Path, tmp_path: Path) -> None:
    claim = claim_node(store, "r1", "a")
    store.close()
    copies = [tmp_path / f"{i}.db" for i in range(20)]
    for copy in copies:
        shutil.copy(path, copy)
    said = publish_and_die(claim, copies[0], kill_at=0)
    assert said.startswith("publishing\npublished ")
    statements = int(said.split()[-1])
    assert 10 <= statements < len(copies)  # with those of looking up what the child does not know yet
    for kill_at in range(1, statements + 1, 3):
        assert publish_and_die(claim, copies[kill_at], kill_at) == "publishing\n"
        check_nothing_then_everything(copies[kill_at], claim)
    assert publish_and_die(claim, copies[statements], statements) == "publishing\n"  # before COMMIT
    check_nothing_then_everything(copies[statements], claim)


def test_killed_after_the_commit(store: SqlStore, path: Path) -> None:
    """The answer is lost, the publication is not; asking again changes nothing."""
    claim = claim_node(store, "r1", "a")
    assert "published" in publish_and_die(claim, path, kill_at=0)
    check_whole(path)
    check_everything(store)
    before = snapshot(store, "r1")
    assert store.publish(claim, PUBLICATION) == claim.execution_id
    assert snapshot(store, "r1") == before


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("call", ["fdatasync", "fsync", "pwrite64", "unlink"])
def test_killed_inside_the_commit(store: SqlStore, path: Path, tmp_path: Path, call: str) -> None:
    """At the first and the last of the commit's own system calls: SQLite's recovery must do."""
    claim = claim_node(store, "r1", "a")
    store.close()
    log = tmp_path / "calls"
    trace = ["strace", "-f", "-o", str(log), "-e", f"trace={call}"]
    copy = tmp_path / "count.db"
    shutil.copy(path, copy)
    publish_and_die(claim, copy, 0, *trace)
    total = sum(f"{call}(" in line for line in log.read_text().splitlines())
    if total == 0:
        pytest.skip(f"this SQLite commits without {call}")
    outcomes = set()
    for number in sorted({1, total}):
        copy = tmp_path / f"{number}.db"
        shutil.copy(path, copy)
        inject = ["-e", f"inject={call}:signal=SIGKILL:when={number}"]
        assert "published" not in publish_and_die(claim, copy, 0, *trace, *inject)
        check_whole(copy)
        again = open_store(str(copy))
        (record,) = again.get_nodes("r1")
        outcomes.add(record.state)
        if record.state is NodeState.COMPLETE:
            check_everything(again)
        again.close()
        if record.state is NodeState.RUNNING:
            check_nothing_then_everything(copy, claim)
    assert outcomes <= {NodeState.RUNNING, NodeState.COMPLETE}
