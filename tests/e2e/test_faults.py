"""What a machine does to a run: kills inside of system calls, full disks, foreign locks, stopped processes.

After each the record is sound in depth, and the same command goes on when the fault is gone. Kills at named
points are in test_crashes.py, full disks of artifacts in test_bad_input.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tidemill.metadata.model import ClaimRequest, NodeState, Publication
from tidemill.metadata.sql import open_store

PIPELINE = """
    from pathlib import Path
    from tidemill import Input, JsonValue, Model, NodeOptions, Output, component, pipeline

    def note(name: str) -> None:
        with open(Path(__file__).parent / "journal.txt", "a") as file:
            file.write(name + "\\n")

    @component
    def make(*, name: str) -> list[int]:
        note(name)
        return [1, 2, 3]

    @component
    def fit(numbers: Input[JsonValue], model: Output[Model]) -> None:
        note("fit")
        (model.path / "weights.txt").write_text(str(sum(numbers.value)))

    @pipeline(options=NodeOptions(cache=False))
    def daily():
        made = make(name="make").with_id("make")
        fit(numbers=made.outputs.result)
"""


def healthy(project: Any) -> None:
    """`tidemill doctor --deep` has nothing to say."""
    answer = json.loads(project.tidemill("doctor", "--deep", "--json").stdout)
    assert answer["findings"] == []


# --- kill -9 inside of system calls ---------------------------------------------------------------

ONE_RUN = """
import sys
from pathlib import Path
from tidemill.ir import codec
from tidemill.metadata.sql import open_store
from tidemill.runners.local.runner import LocalRunner
folder = Path(sys.argv[1])
store = open_store(str(folder / ".tidemill" / "metadata.db"))
runner = LocalRunner(store=store, metadata="", root=str(folder / ".tidemill"), isolation="none")
ir = codec.loads((folder / "ir.json").read_bytes())
result = runner.run(ir, code_root=str(folder), workdir=str(folder))
store.close()
print(result.state.value)
"""
CALLS = ["fdatasync", "fsync", "unlink", "pwrite64"]
"""What makes things durable."""
KILLS = 7
"""At so many of each, evenly spread over the run, the first and the last among them."""


@pytest.fixture
def template(project: Any) -> Iterator[Path]:
    """A folder with a compiled pipeline and an empty record, to copy."""
    project.write("pipeline.py", PIPELINE)
    project.tidemill("compile", "pipeline.py", "--output", "ir.json")
    open_store(str(project.folder / ".tidemill" / "metadata.db")).close()
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(shutil.copytree(project.folder, Path(name) / "template"))


def traced(folder: Path, call: str, *words: str) -> subprocess.CompletedProcess[str]:
    python = [sys.executable, "-B", "-c", ONE_RUN, str(folder)]
    command = ["strace", "-f", "-qq", "-o", str(folder / "calls"), "-e", f"trace={call}", *words, *python]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("call", CALLS)
def test_killed_inside_of_system_calls(template: Path, call: str) -> None:
    """The record is sound after each; the same work given again is finished, and nothing done twice."""
    counted = Path(shutil.copytree(template, template.with_name("counted")))
    assert traced(counted, call).returncode == 0
    total = (counted / "calls").read_text().count(f"{call}(")
    if total == 0:
        pytest.skip(f"a run here makes nothing durable with {call}")
    for number in sorted({1 + round(i * (total - 1) / (KILLS - 1)) for i in range(KILLS)}):
        folder = Path(shutil.copytree(template, template.with_name(f"kill{number}")))
        died = traced(folder, call, "-e", f"inject={call}:signal=SIGKILL:when={number}")
        assert died.returncode == -signal.SIGKILL, (number, died.stderr)
        check_and_go_on(folder, number)
        shutil.rmtree(folder)


def check_and_go_on(folder: Path, number: int) -> None:
    url = str(folder / ".tidemill" / "metadata.db")
    store = open_store(url)
    assert store.findings() == [], number
    done = {r.node_id for run in store.get_runs() for r in store.get_nodes(run.id) if r.state.succeeded}
    store.close()
    journal = folder / "journal.txt"
    before = journal.read_text().split() if journal.exists() else []
    again = subprocess.run([sys.executable, "-c", ONE_RUN, str(folder)], capture_output=True, text=True)
    assert again.stdout == "COMPLETE\n", (number, again.stderr)
    store = open_store(url)
    assert store.findings() == []
    runs = store.get_runs()
    store.close()
    repeated = journal.read_text().split()[len(before) :]
    over = len(runs) == 2  # it had ended before it died
    assert sorted(repeated) == sorted({"make", "fit"} - (set() if over else done)), number


# --- the database ---------------------------------------------------------------------------------


def test_a_foreign_writer_that_holds_the_lock_is_waited_for(project: Any, sound: Any) -> None:
    project.write("pipeline.py", PIPELINE)
    project.run()
    database = sqlite3.connect(project.folder / ".tidemill" / "metadata.db", isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    process = project.start("run", "pipeline.py", "--json")
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=4)
    database.execute("ROLLBACK")
    database.close()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert json.loads(out)["state"] == "COMPLETE"
    sound(project)
    healthy(project)


@contextlib.contextmanager
def small_disk(folder: Path, *options: str) -> Iterator[Path]:
    """A file system in memory of 4 MB; skipped where this user may not mount one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", ",".join(("size=4m", *options)), "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk needs the right to mount one")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_database_that_may_only_be_read_is_said_to_be_so(project: Any) -> None:
    project.write("pipeline.py", PIPELINE)
    with small_disk(project.folder / ".tidemill") as disk:
        project.run()
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        refused = project.tidemill("run", "pipeline.py", expect=None)
        assert refused.returncode in (3, 4, 5), refused
        assert "Traceback" not in refused.stderr
        assert "writ" in refused.stderr
        assert "fix" in refused.stderr
        assert "COMPLETE" in project.tidemill("runs", "list").stdout
        healthy(project)
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        assert project.run()["state"] == "COMPLETE"
        healthy(project)


def test_a_disk_that_is_full_of_records_ends_the_run_and_nothing_else(project: Any) -> None:
    """The database itself cannot grow: an error, no traceback; with space the same command goes on."""
    project.write("pipeline.py", PIPELINE)
    with small_disk(project.folder / ".tidemill") as disk:
        project.run()
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 1024)
        full = project.tidemill("run", "pipeline.py", "--no-cache", expect=None)
        assert full.returncode != 0
        assert "Traceback" not in full.stderr
        assert "full" in full.stderr + full.stdout
        filler.unlink()
        assert project.run()["state"] == "COMPLETE"
        healthy(project)


# --- processes ------------------------------------------------------------------------------------

SLOW = """
    import time
    from pathlib import Path
    from tidemill import component, pipeline

    @component
    def slow() -> int:
        Path("started").touch()
        while not Path("go").exists():
            time.sleep(0.01)
        return 1

    @pipeline
    def waiting():
        slow()
"""


def test_a_runner_that_was_stopped_and_replaced_publishes_nothing(project: Any, sound: Any) -> None:
    """Its node was taken over meanwhile: what it brings late is refused, and its files are no artifact."""
    project.write("pipeline.py", SLOW)
    process = project.start("run", "pipeline.py")
    wait_until(lambda: (project.folder / "started").exists())
    process.send_signal(signal.SIGSTOP)
    store = open_store(str(project.folder / ".tidemill" / "metadata.db"))
    (run,) = store.get_runs()
    assert store.take_run(run.id, owner="another", expected_owner=run.owner)
    claim = store.claim(ClaimRequest(run_id=run.id, node_id="slow", component="slow", owner="another"))
    assert claim.granted
    assert claim.attempt == 2
    (project.folder / "go").touch()
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=60)
    assert process.returncode not in (0, None), out
    assert "Traceback" not in err
    assert "took over" in err
    assert store.get_artifacts() == []
    (record,) = store.get_nodes(run.id)
    assert (record.state, record.attempt, record.owner) == (NodeState.RUNNING, 2, "another")
    sound(project)
    store.publish(claim, Publication(state=NodeState.COMPLETE))
    store.close()
    healthy(project)


def test_wall_clock_jumps_during_a_run_change_nothing(project: Any, sound: Any) -> None:
    """An hour back between claim and publication, a day ahead before the next node."""
    project.write("pipeline.py", PIPELINE)
    project.write(
        "jumping.py",
        """
        import itertools, time
        real, jumps = time.time, itertools.cycle([0.0, -3600.0, 86400.0, -86400.0])
        time.time = lambda: real() + next(jumps)
        from tidemill.cli.main import main
        main()
        """,
    )
    for _ in range(2):
        words = [sys.executable, "jumping.py", "run", "pipeline.py", "--json", "--new"]
        done = subprocess.run(words, cwd=project.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["state"] == "COMPLETE"
        sound(project)
    assert project.journal() == ["make", "fit"] * 2
    healthy(project)


# --- files ----------------------------------------------------------------------------------------


def test_an_artifact_that_was_truncated_is_reported_and_made_again(project: Any) -> None:
    project.write("pipeline.py", PIPELINE.replace("cache=False", "cache=True"))
    project.run()
    ((uri,),) = project.query(
        "SELECT uri FROM Artifact WHERE type_id = (SELECT id FROM Type WHERE name = 'Model')"
    )
    os.truncate(Path(uri.removeprefix("file://")) / "weights.txt", 0)
    told = project.tidemill("doctor", "--deep", expect=1).stdout
    assert "weights.txt has 0 bytes instead of 1" in told
    answer = project.run()
    assert project.states(answer) == {"make": "CACHED", "fit": "COMPLETE"}
    assert "weights.txt has 0 bytes instead of 1" in answer["nodes"]["fit"]["message"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not JSON"),
        (b"\x00" * 64, "not JSON"),
        (b'{"schema_version": 1, "name": "p", "nodes": [], "unknown": 1}', "unknown"),
        (b'{"schema_version": 99, "name": "p", "nodes": []}', "99"),
        (b"[" * 100_000, "not JSON"),
    ],
    ids=["empty", "zeros", "unknown field", "of the future", "nested too deep"],
)
def test_an_ir_file_that_is_damaged_is_refused(project: Any, content: bytes, says: str) -> None:
    (project.folder / "pipeline.json").write_bytes(content)
    refused = project.tidemill("run", "pipeline.json", expect=2)
    assert says in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (project.folder / ".tidemill" / "metadata.db").exists()


def wait_until(holds: Any) -> None:
    """Wait for another process to get somewhere; the test's own timeout ends a wait in vain."""
    pause = threading.Event()
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < 120
        pause.wait(0.01)
