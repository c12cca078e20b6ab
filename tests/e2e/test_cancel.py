"""Ending runs from another process, whatever state they and their runners are in."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
import time
from pathlib import Path

import pytest

PIPELINE = """
    import os, signal, subprocess, sys, time
    from pathlib import Path
    from tidemill import component, pipeline

    STUBBORN = (
        "import os, signal, time\\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\\n"
        "open(f'pid{os.getpid()}', 'w').close()\\n"
        "while True: time.sleep(0.01)"
    )

    @component
    def stubborn(name: str) -> int:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen([sys.executable, "-c", STUBBORN])
        Path(f"pid{os.getpid()}").touch()
        while True:
            time.sleep(0.01)

    @component
    def after(value: int) -> None: ...

    @pipeline
    def daily(name: str = "x"):
        after(value=stubborn(name=name).outputs.result)
"""
QUICK = """
    import time
    from pathlib import Path
    from tidemill import component, pipeline

    @component
    def quick() -> None:
        Path("begun").touch()
        while not Path("go").exists():
            time.sleep(0.005)

    @pipeline
    def daily():
        quick()
"""


def pids(project) -> list[int]:
    return [int(path.name[3:]) for path in project.folder.glob("pid*")]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def states(project) -> tuple[list[str], list[str]]:
    runs = [s for (s,) in project.query("SELECT state FROM tidemill_run ORDER BY context_id")]
    return runs, [s for (s,) in project.query("SELECT state FROM tidemill_node ORDER BY first_execution_id")]


def test_a_run_and_all_its_processes_end_soon(project, sound) -> None:
    """The executor and what it started ignore SIGTERM; nothing of them is left after 5 seconds."""
    project.write("pipeline.py", PIPELINE)
    runner = project.start("run", "pipeline.py")
    project.until(lambda: len(pids(project)) == 2)
    began = time.monotonic()
    done = project.tidemill("cancel", "latest", "--wait", "--json")
    took = time.monotonic() - began
    assert json.loads(done.stdout)["state"] == "CANCELED"
    assert not any(alive(pid) for pid in pids(project))
    out, _ = runner.communicate(timeout=60)
    assert runner.returncode == 130, out
    assert states(project) == (["CANCELED"], ["CANCELED"])
    assert took < 10  # 5 and what a busy machine adds; the bound itself is measured in the benchmark
    sound(project)
    assert "is CANCELED" in project.tidemill("cancel", "latest").stdout


def test_a_queued_run_is_canceled_at_once(project, sound) -> None:
    project.write("pipeline.py", PIPELINE)
    project.tidemill("submit", "pipeline.py")
    project.tidemill("cancel", "latest")
    assert states(project) == (["CANCELED"], [])
    assert project.tidemill("worker", "--once").stdout == ""
    sound(project)


@pytest.mark.parametrize("point", ["claim.after", "publish.before", "publish.after", "run.end.before"])
def test_a_run_whose_runner_died_is_ended_by_whoever_cancels(project, sound, point: str) -> None:
    project.write("pipeline.py", QUICK)
    (project.folder / "go").touch()
    project.tidemill("run", "pipeline.py", expect=None, TIDEMILL_CRASHPOINT=point)
    done = project.tidemill("cancel", "latest")
    assert "is CANCELED" in done.stdout
    runs, nodes = states(project)
    assert runs == ["CANCELED"]
    assert set(nodes) <= {"CANCELED", "COMPLETE"}
    sound(project)
    assert project.run()["state"] == "COMPLETE"
    assert states(project)[0] == ["CANCELED", "COMPLETE"]


@pytest.mark.parametrize("point", ["cancel.requested", "cancel.taken"])
def test_who_cancels_may_die(project, sound, point: str) -> None:
    """The request stays: the same command goes on with it, and so does whoever would resume the run."""
    project.write("pipeline.py", QUICK)
    (project.folder / "go").touch()
    for how in ("cancel", "run"):
        project.tidemill("run", "pipeline.py", expect=None, TIDEMILL_CRASHPOINT="claim.after")
        project.tidemill("cancel", "latest", expect=-signal.SIGKILL, TIDEMILL_CRASHPOINT=point)
        sound(project)
        if how == "cancel":
            project.tidemill("cancel", "latest")
            assert states(project)[0] == ["CANCELED"]
        else:
            assert not project.run()["resumed"]
            assert states(project)[0] == ["CANCELED", "CANCELED", "COMPLETE"]
        sound(project)


def test_a_request_outlives_a_runner_that_dies_of_it(project, sound) -> None:
    """The runner is killed while it ends the run; the waiting command ends it instead."""
    project.write("pipeline.py", PIPELINE)
    runner = project.start("run", "pipeline.py", TIDEMILL_CRASHPOINT="run.end.before")
    project.until(lambda: len(pids(project)) == 2)
    project.tidemill("cancel", "latest", "--wait")
    assert runner.wait(60) == -signal.SIGKILL
    runner.communicate()
    project.until(lambda: not any(alive(pid) for pid in pids(project)))
    assert states(project)[0] == ["CANCELED"]
    sound(project)


def test_cancel_and_the_end_at_once(project, sound) -> None:
    """However close: the run has one end, and the command says which."""
    project.write("pipeline.py", QUICK)
    for i in range(6):
        for name in ("go", "begun"):
            (project.folder / name).unlink(missing_ok=True)
        runner = project.start("run", "pipeline.py", "--no-cache", "--json")
        project.until(lambda: (project.folder / "begun").exists())
        canceler = project.start("cancel", "latest", "--wait", "--json")
        threading.Event().wait(0.1 * i)  # another moment each time
        (project.folder / "go").touch()
        _, err = canceler.communicate(timeout=60)
        answer, _ = runner.communicate(timeout=60)
        ended = json.loads(answer)["state"]
        assert runner.returncode == {"COMPLETE": 0, "CANCELED": 130}[ended]
        assert canceler.returncode == {"COMPLETE": 4, "CANCELED": 0}[ended], err
        assert states(project)[0][-1] == ended
    sound(project)


def test_what_cannot_be_canceled(project) -> None:
    project.write("pipeline.py", QUICK)
    assert "there is no record" in project.tidemill("cancel", "latest", expect=3).stderr
    (project.folder / "go").touch()
    run = project.run()["run"]
    assert f"run {run} is COMPLETE already" in project.tidemill("cancel", run, expect=4).stderr
    assert "there is no run" in project.tidemill("cancel", "nothing", expect=4).stderr


def test_a_run_on_another_machine_is_asked_and_forced(project, sound) -> None:
    """Nobody can see whether its runner lives: it is asked; --force ends it without an answer."""
    project.write("pipeline.py", QUICK)
    project.tidemill("run", "pipeline.py", expect=None, TIDEMILL_CRASHPOINT="claim.after")
    database = project.folder / ".tidemill" / "metadata.db"
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE tidemill_run SET owner = 'elsewhere/boot/1/2'")
    connection.close()
    assert "--force" in project.tidemill("cancel", "latest").stdout
    assert states(project)[0] == ["RUNNING"]
    project.tidemill("cancel", "latest", "--force")
    assert states(project) == (["CANCELED"], ["CANCELED"])
    sound(project)


def test_interrupting_still_works(project, sound) -> None:
    """Ctrl-C, after another process has asked already."""
    project.write("pipeline.py", PIPELINE)
    runner = project.start("run", "pipeline.py")
    project.until(lambda: len(pids(project)) == 2)
    os.kill(runner.pid, signal.SIGINT)
    out, err = runner.communicate(timeout=60)
    assert runner.returncode == 130, out + err
    assert not any(alive(pid) for pid in pids(project))
    assert states(project) == (["CANCELED"], ["CANCELED"])
    sound(project)
