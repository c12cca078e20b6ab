"""Retry policies, memory limits and causes of failures, as a user meets them."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import threading
import time
from pathlib import Path

import pytest

PIPELINE = """
    import os, signal, time
    from datetime import timedelta
    from pathlib import Path
    from tidemill import (
        Input, JsonValue, Model, NodeOptions, Output, PermanentError, Resources, Retry, Rule, TransientError,
        component, pipeline,
    )

    class Busy(Exception):
        pass

    def count() -> int:
        with open("journal.txt", "a") as file:
            file.write(f"{time.time()}\\n")
        return len(Path("journal.txt").read_text().split())

    def inner(how: str, n: int) -> None:
        if how == "raise":
            raise ValueError(f"attempt {n} of {os.getpid()}")
        if how == "transient":
            raise TransientError("not now")
        if how == "permanent":
            raise PermanentError("never")
        if how == "busy":
            raise Busy("status 503")
        if how == "refused":
            raise Busy("status 403")
        if how == "listed":
            raise KeyError("no help")

    @component
    def work(model: Output[Model], how: str, good_from: int) -> None:
        n = count()
        if how == "memory":
            limit = [64, 96, 144][n - 1] << 20
            held = bytearray(int(limit * (1.2 if n < 3 else 0.5)))
        elif how == "link":
            os.symlink("/", model.path / "link")
        elif n < good_from:
            inner(how, n)
        (model.path / "weights").write_bytes(bytes(1000))

    @pipeline
    def daily(how: str = "raise", good_from: int = 99):
        work(how=how, good_from=good_from).with_options(OPTIONS)
"""
RETRY = """
    retry=Retry(user=1, transient=2, memory=2, backoff=0.01, no_retry_on=[KeyError],
                rules=[Rule("Busy", match="503|429", backoff=0.001), Rule("Busy", treat="permanent")]),
    resources=Resources(memory="64Mi", memory_max="1Gi")
"""


def write(project, options: str = RETRY) -> None:
    project.write("pipeline.py", PIPELINE.replace("OPTIONS", options.strip()))


@pytest.mark.parametrize(
    ("how", "kind", "attempts"),
    [
        ("raise", "EXCEPTION", 2),
        ("transient", "TRANSIENT", 3),
        ("busy", "TRANSIENT", 3),
        ("refused", "PERMANENT", 1),
        ("permanent", "PERMANENT", 1),
        ("listed", "PERMANENT", 1),
        ("link", "INVALID_OUTPUT", 1),
    ],
)
def test_each_class_has_its_budget(project, sound, how: str, kind: str, attempts: int) -> None:
    write(project)
    answer = project.run("-p", f"how={how}", expect=1)
    assert answer["nodes"]["work"]["failure"] == kind
    assert answer["nodes"]["work"]["attempt"] == attempts == len(project.journal())
    sound(project)


def test_a_node_that_was_killed_for_memory_gets_more(project, sound) -> None:
    write(project)
    answer = project.run("-p", "how=memory")
    assert answer["nodes"]["work"]["attempt"] == 3
    attempts = json.loads(project.tidemill("runs", "show", "--resources", "--json").stdout)
    assert [a["memory_limit"] >> 20 for a in attempts] == [64, 96, 144]
    assert [a.get("failure") for a in attempts] == ["OUT_OF_MEMORY", "OUT_OF_MEMORY", None]
    assert all(a["enforcement"].startswith("memory: ") for a in attempts)
    sound(project)


def test_a_runner_that_resumes_regains_no_budget_and_waits_only_the_rest(project, sound) -> None:
    """Killed between two attempts: the next runner finds the count and the time in the record."""
    write(project, "retries=2, backoff=0.0")
    project.tidemill("run", "pipeline.py", expect=None, TIDEMILL_CRASHPOINT="publish.after:2")
    assert len(project.journal()) == 2
    ((due,),) = project.query("SELECT MAX(int_value) FROM ExecutionProperty WHERE name = 'tidemill.retry_at'")
    later = int(time.time() * 1000) + 3000
    with_time(project, due, later)
    answer = project.run(expect=1)
    assert answer["resumed"]
    assert answer["nodes"]["work"]["attempt"] == 3
    times = [float(word) for word in project.journal()]
    assert len(times) == 3
    assert later / 1000 <= times[2] < later / 1000 + 20
    sound(project)


def test_a_final_failure_stays_final_when_its_run_is_resumed(project, sound) -> None:
    write(project, "retries=1, backoff=0.0")
    project.tidemill("run", "pipeline.py", expect=None, TIDEMILL_CRASHPOINT="run.end.before")
    assert len(project.journal()) == 2
    answer = project.run(expect=1)
    assert answer["resumed"]
    assert answer["state"] == "FAILED"
    assert len(project.journal()) == 2
    assert not project.run(expect=1)["resumed"], "a new run has a new budget"
    assert len(project.journal()) == 4
    sound(project)


def test_an_attempt_whose_runner_was_killed_is_recorded_as_lost(project, sound) -> None:
    write(project, "retries=0")
    project.tidemill("run", "pipeline.py", expect=None, TIDEMILL_CRASHPOINT="publish.before")
    project.run("-p", "good_from=0", "--new")
    project.run(expect=1)
    kinds = project.query(
        "SELECT string_value FROM ExecutionProperty WHERE name = 'tidemill.failure' ORDER BY execution_id"
    )
    assert kinds == [("LOST",), ("EXCEPTION",)]
    sound(project)


def with_time(project, before: int, after: int) -> None:
    """Move the time of the next attempt, as if the backoff had been longer."""
    with sqlite3.connect(project.folder / ".tidemill" / "metadata.db") as database:
        database.execute(
            "UPDATE ExecutionProperty SET int_value = ? WHERE name = 'tidemill.retry_at' AND int_value = ?",
            (after, before),
        )
    database.close()


def test_failures_are_listed_by_cause(project) -> None:
    write(project, "retries=1, backoff=0.0")
    project.run("-p", "good_from=0")
    code = (project.folder / "pipeline.py").read_text()
    (project.folder / "pipeline.py").write_text(code.replace("def count", "# moved\n\n\ndef count"))
    for how in ("raise", "raise", "transient", "raise"):
        project.run("-p", f"how={how}", expect=1)
    found = json.loads(project.tidemill("failures", "list", "--json").stdout)
    assert [(f["class"], f["count"]) for f in found] == [("EXCEPTION", 3), ("TRANSIENT", 1)]
    assert len(found[0]["runs"]) == 3
    assert found[0]["message"].startswith("ValueError: attempt ")
    assert found[0]["new_in"] == "", "the first version did the same work"

    (project.folder / "pipeline.py").write_text(
        code.replace("raise ValueError(f", "raise TypeError(f'new' f")
    )
    project.run(expect=1)
    found = json.loads(project.tidemill("failures", "list", "--since", "1h", "--json").stdout)
    assert [f["count"] for f in found] == [1, 3, 1]
    assert found[0]["new_in"] == found[0]["versions"][0] != ""
    cause = found[1]["fingerprint"]
    shown = project.tidemill("failures", "show", cause[:6]).stdout
    assert cause in shown
    assert all(run in shown for run in found[1]["runs"])
    listed = project.tidemill("failures", "list").stdout
    assert "new in" in listed
    assert project.tidemill("failures", "list", "--pipeline", "other").stdout.count("\n") == 1
    done = project.tidemill("failures", "show", "zzz", expect=4)
    assert "is unknown" in done.stderr
    done = project.tidemill("failures", "list", "--since", "soon", expect=2)
    assert "neither an age" in done.stderr


def test_resources_of_a_run(project) -> None:
    """The parts of each attempt add up to its time on the record."""
    project.write(
        "pipeline.py",
        """
        import time
        from tidemill import Input, Model, Output, component, pipeline

        @component
        def burn(model: Output[Model]) -> None:
            end = time.process_time() + 1.0
            while time.process_time() < end:
                pass
            (model.path / "weights").write_bytes(bytes(5_000_000))

        @component
        def use(model: Input[Model]) -> None: ...

        @pipeline
        def daily():
            use(model=burn().outputs.model)
        """,
    )
    project.run()
    burn, use = json.loads(project.tidemill("runs", "show", "--resources", "--json").stdout)
    assert (burn["node"], use["node"]) == ("burn", "use")
    assert burn["bytes_out"] == use["bytes_in"] == 5_000_000
    assert burn["cpu_seconds"] == pytest.approx(1.0, abs=0.2)
    parts = sum(burn[f"{part}_seconds"] for part in ("start", "run", "seal"))
    assert parts == pytest.approx(burn["wall_seconds"], rel=0.05)
    assert burn["rss_peak"] > 5_000_000
    shown = project.tidemill("runs", "show", "--resources").stdout
    assert "RSS PEAK" in shown
    assert "4.8 MiB" in shown
    project.run()
    cached = json.loads(project.tidemill("runs", "show", "--resources", "--json").stdout)
    assert [a["cached"] for a in cached] == [True, True]
    assert all("run_seconds" not in a for a in cached)


NOISE = """
    import os
    from tidemill import NodeOptions, component, pipeline

    @component
    def noise() -> None:
        for _ in range(30):
            os.write(1, b"0123456789" * 100_000)
        os.write(1, b"\\n\\xff\\xfe\\x00binary \\x1b]0;title\\x07 \\x1b[31mred\\x1b[0m \\x1b[2J end\\n")

    @pipeline
    def daily():
        noise().with_options(log_limit="1Mi")
"""


def test_a_noisy_node_harms_neither_disk_nor_terminal(project) -> None:
    project.write("pipeline.py", NOISE)
    project.run()
    (log,) = (project.folder / ".tidemill" / "logs").rglob("*.log")
    assert log.stat().st_size < 1_100_000
    shown = project.tidemill("logs", "latest", "noise").stdout
    assert "bytes are left out here" in shown
    last = shown.splitlines()[-1]
    assert last == "\ufffd\ufffd\\x00binary \\x1b]0;title\\x07 red \\x1b[2J end"


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of 4 MB for the logs."""
    folder = tmp_path / ".tidemill" / "logs"
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a small file system here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_log_that_finds_no_room_is_a_failure_of_storage(project, small_disk: Path, sound) -> None:
    endless = NOISE.replace("range(30)", "iter(int, 1)").replace('"1Mi"', "0")
    project.write("pipeline.py", endless)
    answer = project.run(expect=1)
    assert answer["nodes"]["noise"]["failure"] == "STORAGE"
    assert "the disk is full" in answer["nodes"]["noise"]["message"]
    sound(project)


def test_canceling_leaves_no_process(project, sound) -> None:
    """Ctrl-C: the tree, with a daemon of its own session in it, is gone within five seconds."""
    project.write(
        "pipeline.py",
        """
        import os, signal, time
        from pathlib import Path
        from tidemill import component, pipeline

        @component
        def daemon() -> None:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if os.fork() == 0:
                os.setsid()
                Path("pid.txt").write_text(str(os.getpid()))
            while True:
                time.sleep(0.01)

        @pipeline
        def daily():
            daemon()
        """,
    )
    process = project.start("run", "pipeline.py")
    pause = threading.Event()
    pid = project.folder / "pid.txt"
    while not (pid.exists() and pid.read_text()):
        pause.wait(0.01)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert time.monotonic() - began < 5
    assert not Path(f"/proc/{pid.read_text()}").exists()
    sound(project)


def test_a_node_that_waits_too_long_for_its_turn_fails(project, sound) -> None:
    """One job at a time: while the first node works, the second one waits beyond its limit."""
    project.write(
        "pipeline.py",
        """
        import time
        from pathlib import Path
        from tidemill import component, pipeline

        @component
        def slow() -> None:
            time.sleep(0.8)

        @component
        def patient(n: int) -> None:
            Path("started.txt").touch()

        @pipeline
        def daily():
            slow()
            patient(n=1).with_options(queue_timeout=0.2, retries=1, backoff=0.0)
        """,
    )
    answer = project.run("--jobs", "1", expect=None)
    failures = project.query(
        "SELECT name, string_value FROM ExecutionProperty "
        "WHERE name IN ('tidemill.failure', 'tidemill.timeout')"
    )
    assert sorted(failures) == [("tidemill.failure", "TIMEOUT"), ("tidemill.timeout", "queue")]
    assert answer["nodes"]["patient"]["attempt"] == 2, "the retry found the machine free"
    assert answer["state"] == "COMPLETE"
    sound(project)
