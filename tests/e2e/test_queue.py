"""Queued runs, workers, shared slots and equal commands, as a user meets them."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter

import pytest

PIPELINE = """
    import os, time
    from pathlib import Path
    from tidemill import NodeOptions, component, pipeline

    def note(line: str) -> None:
        descriptor = os.open("journal.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, (line + "\\n").encode())
        os.close(descriptor)

    @component
    def work(name: str, wait: str) -> None:
        note(f"begin:{name}")
        while wait and not Path(wait).exists():
            time.sleep(0.005)
        note(f"end:{name}")

    @pipeline(options=NodeOptions(cache=False, OPTIONS), max_active_runs=MOST)
    def daily(name: str = "x", wait: str = ""):
        work(name=name, wait=wait)
"""


@pytest.fixture
def mill(project):
    def write(options: str = "", most: int = 0):
        project.write("pipeline.py", PIPELINE.replace("OPTIONS", options).replace("MOST", str(most)))
        return project

    return write


def submit(project, name: str, *words: str, wait: str = "") -> str:
    done = project.tidemill(
        "submit", "pipeline.py", "-p", f"name={name}", "-p", f"wait={wait}", "--json", *words
    )
    return str(json.loads(done.stdout)["run"])


def states(project) -> Counter[str]:
    return Counter(state for (state,) in project.query("SELECT state FROM tidemill_run"))


def at_most(journal: list[str]) -> int:
    """How many were between begin and end at once."""
    active = most = 0
    for line in journal:
        active += 1 if line.startswith("begin") else -1
        most = max(most, active)
    return most


def test_a_worker_drives_what_was_queued(mill, sound) -> None:
    """Higher priorities first, then older ones; the run keeps the parameters it was given."""
    project = mill()
    for name, priority in (("a", 0), ("b", 5), ("c", 0), ("d", 9)):
        submit(project, name, "--priority", str(priority))
    assert states(project) == {"QUEUED": 4}
    assert "QUEUED" in project.tidemill("runs", "list").stdout
    sound(project)
    done = project.tidemill("worker", "--once", "--jobs", "1", "--runs", "1")
    assert [line for line in project.journal() if line.startswith("begin")] == [
        "begin:d", "begin:b", "begin:a", "begin:c",
    ]  # fmt: skip
    assert states(project) == {"COMPLETE": 4}
    assert done.stdout.count("COMPLETE") == 4
    sound(project)


def test_what_is_wrong_is_said_when_it_is_submitted(mill) -> None:
    project = mill("pool='gpu', slots=2")
    assert "which is not there" in project.tidemill("submit", "pipeline.py", expect=4).stderr
    project.tidemill("pools", "set", "gpu", "1")
    assert "which has 1" in project.tidemill("run", "pipeline.py", expect=4).stderr
    project.tidemill("pools", "set", "gpu", "2")
    assert (
        "no runtime parameter" in project.tidemill("submit", "pipeline.py", "-p", "nmae=x", expect=4).stderr
    )
    submit(project, "x")
    assert states(project) == {"QUEUED": 1}


def test_a_run_that_cannot_run_does_not_stop_the_others(mill, sound) -> None:
    """Its pool was removed, or its version is gone: it is FAILED, the next one runs."""
    project = mill("pool='gpu'")
    project.tidemill("pools", "set", "gpu", "1")
    submit(project, "bad")
    project.tidemill("pools", "remove", "gpu")
    mill()
    submit(project, "good")
    done = project.tidemill("worker", "--once", expect=1)
    assert "needs the pool 'gpu'" in done.stderr
    assert states(project) == {"FAILED": 1, "COMPLETE": 1}
    sound(project)


def test_equal_commands_at_once_are_one_run(mill, sound) -> None:
    """20 of them: one run; the others say so, or wait for its end and take its exit code."""
    project = mill()
    submit(project, "first")  # so that the store is there
    project.tidemill("worker", "--once")
    words = ("run", "pipeline.py", "-p", "wait=go", "-p", "name=once")
    started = [project.start(*words, *(["--wait"] if i % 2 else [])) for i in range(20)]
    # Each has said something before the run may end: it runs, it waits, or (nothing more to come) it gave up.
    said = [process.stdout.readline() for process in started]
    (project.folder / "go").touch()
    errors = [process.communicate(timeout=120)[1] for process in started]
    assert all(
        line.startswith("run ") or (line.startswith("waiting ") if i % 2 else line == "")
        for i, line in enumerate(said)
    )
    codes = [process.returncode for process in started]
    assert project.journal().count("begin:once") == 1
    assert len(project.query("SELECT id FROM tidemill_run")) == 2
    refused = [error for error, code in zip(errors, codes, strict=True) if code == 4]
    assert 9 <= len(refused) <= 10
    assert all("does the same work right now" in err for err in refused)
    assert Counter(codes) == {0: 20 - len(refused), 4: len(refused)}
    sound(project)


def test_equal_submissions_are_one_run(mill) -> None:
    project = mill()
    run = submit(project, "x")
    again = project.tidemill("submit", "pipeline.py", "-p", "name=x", "-p", "wait=", expect=4)
    assert f"run {run} does the same work right now (it is queued)" in again.stderr
    waiting = project.start("submit", "pipeline.py", "-p", "name=x", "-p", "wait=", "--wait")
    assert f"waiting for run {run}" in waiting.stdout.readline()
    project.tidemill("worker", "--once")
    out, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 0
    assert f"run {run} ended as COMPLETE" in out
    submit(project, "x", "--new")
    submit(project, "x", "--new")
    assert states(project) == {"COMPLETE": 1, "QUEUED": 2}


def test_a_pipeline_runs_as_often_as_it_allows(mill, sound) -> None:
    project = mill(most=2)
    for i in range(5):
        submit(project, f"n{i}")
    workers = [project.start("worker", "--once", "--jobs", "4") for _ in range(2)]
    for worker in workers:
        worker.communicate(timeout=120)
    assert states(project) == {"COMPLETE": 5}
    assert at_most(project.journal()) <= 2
    for name in ("one", "two"):
        submit(project, name, wait="never")
    worker = project.start("worker")
    project.until(lambda: states(project)["RUNNING"] == 2)
    assert "and allows 2" in project.tidemill("run", "pipeline.py", expect=4).stderr
    for (run,) in project.query("SELECT id FROM tidemill_run WHERE state = 'RUNNING'"):
        project.tidemill("cancel", run, "--wait")
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=60)
    assert worker.returncode == 0
    sound(project)


def test_workers_share_the_slots_of_a_pool(mill, sound) -> None:
    """Two workers and a direct run: never more at once than the pool has."""
    project = mill("pool='gpu', slots=1")
    project.tidemill("pools", "set", "gpu", "2")
    for i in range(6):
        submit(project, f"n{i}")
    started = [project.start("worker", "--once", "--jobs", "4") for _ in range(2)]
    started.append(project.start("run", "pipeline.py", "-p", "name=direct"))
    for process in started:
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert states(project) == {"COMPLETE": 7}
    assert at_most(project.journal()) <= 2
    assert json.loads(project.tidemill("pools", "list", "--json").stdout) == [
        {"pool": "gpu", "slots": 2, "held": 0}
    ]
    sound(project)


def test_the_slots_of_the_dead_are_free(mill, sound) -> None:
    project = mill("pool='gpu'")
    project.tidemill("pools", "set", "gpu", "1")
    project.tidemill("run", "pipeline.py", "-p", "name=dead", expect=None, TIDEMILL_CRASHPOINT="claim.after")
    assert project.run("-p", "name=next")["state"] == "COMPLETE"
    sound(project)
    assert project.run("-p", "name=dead")["resumed"]
    sound(project)


@pytest.mark.parametrize("point", ["queue.taken", "claim.after", "publish.after", "run.end.before"])
def test_the_next_worker_takes_over_what_a_killed_one_left(mill, sound, point: str) -> None:
    project = mill()
    for name in ("a", "b"):
        submit(project, name)
    killed = project.start("worker", "--once", "--runs", "1", TIDEMILL_CRASHPOINT=point)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    sound(project)
    project.tidemill("worker", "--once")
    assert states(project) == {"COMPLETE": 2}
    ends = Counter(line for line in project.journal() if line.startswith("end"))
    assert ends == {"end:a": 1, "end:b": 1}
    sound(project)


def test_workers_that_are_killed_again_and_again(mill, sound) -> None:
    """kill -9 in the middle, three times: every run is complete in the end, and none is there twice."""
    project = mill()
    for i in range(6):
        submit(project, f"n{i}")
    for i in range(3):
        worker = project.start("worker", "--once", "--jobs", "2")
        begun = len(project.journal())
        project.until(lambda before=begun + i: len(project.journal()) > before)
        os.kill(worker.pid, signal.SIGKILL)
        worker.communicate()
        sound(project)
    project.tidemill("worker", "--once")
    assert states(project) == {"COMPLETE": 6}
    assert (
        project.query(
            "SELECT COUNT(*) FROM Execution WHERE last_known_state = 3 GROUP BY name HAVING COUNT(*) > 1"
        )
        == []
    )
    sound(project)


def test_a_worker_stops_gently_and_then_at_once(mill, sound) -> None:
    project = mill()
    submit(project, "a", wait="go")
    worker = project.start("worker")
    project.until(lambda: project.journal() == ["begin:a"])
    worker.send_signal(signal.SIGTERM)
    submit(project, "b")
    (project.folder / "go").touch()
    worker.communicate(timeout=60)
    assert worker.returncode == 0
    assert states(project) == {"COMPLETE": 1, "QUEUED": 1}
    (project.folder / "go").unlink()
    submit(project, "c", "--priority", "3", wait="go")
    worker = project.start("worker", "--jobs", "1", "--runs", "1")
    project.until(lambda: "begin:c" in project.journal())
    worker.send_signal(signal.SIGTERM)
    assert "taking no more runs" in worker.stderr.readline()
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=60)
    assert worker.returncode == 130
    (project.folder / "go").touch()
    project.tidemill("worker", "--once")
    assert states(project) == {"COMPLETE": 3}
    sound(project)
