"""Supervisors at work: hung, greedy, noisy and fleeing executors, in real processes."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tidemill.dsl import heartbeat
from tidemill.runtime import supervise
from tidemill.runtime.execute import CancelToken
from tidemill.runtime.failure import FailureKind
from tidemill.runtime.limits import Limits
from tidemill.runtime.measure import Usage
from tidemill.runtime.order import Answer

EXECUTORS = '''
    import mmap, os, resource, signal, subprocess, sys, time
    from pathlib import Path
    from tidemill import heartbeat

    def quick():
        print("hello")

    def hang():
        while True:
            time.sleep(0.01)

    def stubborn():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        Path("started").touch()
        hang()

    def hold_the_lock():
        """One call into C that neither lets other threads run nor looks at signals."""
        sum(range(10**12))

    def beat():
        for _ in range(30):
            heartbeat()
            time.sleep(0.02)

    def beat_from_a_program():
        for _ in range(30):
            subprocess.run(["touch", os.environ["TIDEMILL_HEARTBEAT"]], check=True)
            time.sleep(0.02)

    def chatter():
        for i in range(30):
            print(i, flush=True)
            time.sleep(0.02)

    def note(pid):
        with open("pids", "a") as file:
            file.write(f"{pid}\\n")

    def fork_twice():
        """A daemon by the book: it has its own session, and its parent is gone."""
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                note(os.getpid())
                Path("forked").touch()
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
                hang()
            os._exit(0)
        while not Path("forked").exists():
            time.sleep(0.005)

    def nohup():
        """It keeps stdout open, which is the log."""
        code = "import time\\nwhile True: time.sleep(0.01)"
        child = subprocess.Popen(["nohup", sys.executable, "-c", code], start_new_session=True)
        note(child.pid)

    def forkers():
        """Processes that fork as long as they live."""
        if os.fork() == 0:
            while True:
                if os.fork():
                    os._exit(0)
        note(os.getpid())

    def flee_and_hang():
        fork_twice()
        nohup()
        hang()

    def flee_and_crash():
        fork_twice()
        os.kill(os.getpid(), signal.SIGKILL)

    def kill_supervisor():
        fork_twice()
        os.kill(os.getppid(), signal.SIGKILL)
        hang()

    def burn():
        end = time.process_time() + 0.5
        while time.process_time() < end:
            pass
        code = "import time\\nend = time.process_time() + 0.5\\nwhile time.process_time() < end: pass"
        subprocess.run([sys.executable, "-c", code], check=True)
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        Path("used").write_text(str(sum(u.ru_utime + u.ru_stime for u in used)))

    def share():
        """60 MiB in three processes, and a file of 200 MiB that is mapped and read."""
        held = bytearray(60 << 20)
        with open("large", "wb") as file:
            file.truncate(200 << 20)
        with open("large", "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            for child in range(2):
                if os.fork() == 0:
                    hang()
            for at in range(0, len(mapped), 4096):
                mapped[at]
            time.sleep(0.3)

    def eat():
        held = []
        while True:
            held.append(bytearray(8 << 20))

    def eat_in_a_child():
        if os.fork() == 0:
            eat()
        hang()

    def hold():
        held = bytearray(60 << 20)
        time.sleep(1.2)

    def flood():
        line = b"x" * (1 << 20)
        os.write(1, b"first\\n")
        for _ in range(200):
            os.write(1, line)
        os.write(1, b"\\nlast\\n")

    def slow_import():
        import executors_slow
'''

Bench = Any


@pytest.fixture
def made(bench: Bench) -> Bench:
    bench.write(EXECUTORS)
    return bench


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    pause, end = threading.Event(), time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came true"
        pause.wait(0.005)


def open_files(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def noted(bench: Bench) -> list[int]:
    return [int(word) for word in (bench.folder / "pids").read_text().split()]


def test_the_names_of_the_heartbeat_agree() -> None:
    assert supervise.HEARTBEAT_FILE == heartbeat.VARIABLE


# --- time ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "which"),
    [
        (Limits(run=0.2), "run"),
        (Limits(run=9.0, total=0.3), "total"),
        (Limits(run=30.0, heartbeat=0.2), "heartbeat"),
    ],
)
@pytest.mark.parametrize("executor", ["hang", "stubborn", "hold_the_lock"])
def test_a_hung_executor_is_stopped_and_told_why(
    made: Bench, executor: str, limits: Limits, which: str
) -> None:
    failure = made.fails(executor, limits)
    assert (failure.kind, failure.timeout) == (FailureKind.TIMEOUT, which)


def test_code_that_does_not_begin_has_a_limit_of_its_own(made: Bench) -> None:
    (made.folder / "executors_slow.py").write_text("import time\nwhile True: time.sleep(0.01)\n")
    text = (made.folder / f"{made.module}.py").read_text()
    (made.folder / f"{made.module}.py").write_text(text + "\nimport executors_slow\n")
    failure = made.fails("quick", Limits(start=0.3, run=0.1, heartbeat=0.1))
    assert (failure.kind, failure.timeout) == (FailureKind.TIMEOUT, "start")


@pytest.mark.parametrize("executor", ["beat", "beat_from_a_program", "chatter"])
def test_signs_of_life_keep_an_executor_alive(made: Bench, executor: str) -> None:
    """It takes longer than its heartbeat, and any of the three ways to give a sign is enough."""
    assert isinstance(made.run(executor, Limits(heartbeat=0.5)), Answer)


def test_a_heartbeat_outside_of_a_run_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(heartbeat.VARIABLE, raising=False)
    heartbeat.heartbeat()
    monkeypatch.setenv(heartbeat.VARIABLE, "nowhere/at all")
    heartbeat.heartbeat()


# --- process trees ---------------------------------------------------------------------------------


@pytest.mark.parametrize("fresh", [False, True], ids=["forked", "fresh"])
@pytest.mark.parametrize("executor", ["fork_twice", "nohup", "flee_and_crash", "flee_and_hang", "forkers"])
def test_nothing_that_an_executor_started_outlives_it(made: Bench, executor: str, fresh: bool) -> None:
    made.run(executor, Limits(run=5.0 if executor != "flee_and_hang" else 0.5), fresh=fresh)
    assert [pid for pid in noted(made) if alive(pid)] == []
    assert not tree_of(made)


def tree_of(bench: Bench) -> list[int]:
    """Every process that works in the folder of the test."""
    found = []
    for place in Path("/proc").iterdir():
        try:
            if place.name.isdigit() and alive(int(place.name)) and (place / "cwd").readlink() == bench.folder:
                found.append(int(place.name))
        except OSError:
            continue
    return found


def test_canceling_ends_the_tree_in_time(made: Bench) -> None:
    cancel = CancelToken()
    canceled: list[float] = []

    def watch() -> None:
        until((made.folder / "pids").exists)
        canceled.append(time.monotonic())
        cancel.cancel()

    watcher = threading.Thread(target=watch)
    watcher.start()
    failure = made.fails("flee_and_hang", cancel=cancel)
    ended = time.monotonic()
    watcher.join()
    assert failure.kind is FailureKind.CANCELED
    assert not tree_of(made)
    assert ended - canceled[0] < 5.0


def test_an_executor_that_kills_its_supervisor_gains_nothing(made: Bench) -> None:
    assert made.fails("kill_supervisor").kind is FailureKind.LOST
    until(lambda: not tree_of(made), 5.0)
    assert isinstance(made.run("quick"), Answer), "the next attempt gets another supervisor"


def test_everything_ends_when_the_launcher_is_killed(made: Bench) -> None:
    program = f"""
import sys
from pathlib import Path
from tidemill.runtime.execute import CancelToken, execute_in_child
from tidemill.runtime.order import Order
from tidemill.runtime.spawner import Spawner
order = Order(executor="{made.module}:flee_and_hang", inputs={{}}, outputs={{}}, parameters={{}},
              code_root="{made.folder}", workdir="{made.folder}")
execute_in_child(order, Path("{made.log}"), cancel=CancelToken(), spawner=Spawner())
"""
    launcher = subprocess.Popen([sys.executable, "-c", program])
    until((made.folder / "pids").exists)
    until(lambda: len(noted(made)) == 2)
    launcher.kill()
    launcher.wait()
    until(lambda: not tree_of(made), 5.0)


# --- memory, processor, log ------------------------------------------------------------------------


@pytest.fixture(params=["cgroup", "watchdog"])
def limited(request: pytest.FixtureRequest, made: Bench) -> Limits:
    """100 MiB, enforced in either way; the watchdog wherever control groups are hidden."""
    limits = Limits(memory=100 << 20, run=60.0)
    if request.param == "watchdog":
        return dataclasses.replace(limits, groups="")
    usage = Usage()
    made.run("quick", limits, usage=usage)
    if "cgroup" not in usage.enforcement:
        pytest.skip("this process may not make control groups here")
    return limits


@pytest.mark.parametrize("executor", ["eat", "eat_in_a_child"])
def test_memory_beyond_the_limit_is_not_to_be_had(made: Bench, executor: str, limited: Limits) -> None:
    usage = Usage()
    failure = made.fails(executor, limited, usage=usage)
    assert failure.kind is FailureKind.OUT_OF_MEMORY
    assert "more than its limit of 100.0 MiB" in failure.message
    assert usage.enforcement == "memory: watchdog" if not limited.groups else "cgroup" in usage.enforcement
    assert not tree_of(made)


def test_memory_below_the_limit_is_free(made: Bench, limited: Limits) -> None:
    """Mapped files and pages that processes share do not count twice, or at all."""
    usage = Usage()
    assert isinstance(made.run("share", limited, usage=usage), Answer)
    assert usage.rss_peak > 60 << 20


def test_what_an_attempt_uses_is_measured(made: Bench) -> None:
    """Against what the executor itself saw of its own use at its end."""
    usage = Usage(claimed=time.monotonic())
    assert isinstance(made.run("burn", usage=usage), Answer)
    ended = time.monotonic()
    seen = float((made.folder / "used").read_text())
    assert seen > 1.0
    assert usage.cpu == pytest.approx(seen, rel=0.05)
    found = usage.properties(ended)
    parts = [float(found[f"tidemill.{part}_seconds"]) for part in ("start", "run", "seal")]
    assert sum(parts) == pytest.approx(ended - usage.claimed, rel=0.01)
    assert isinstance(made.run("hold", usage=usage), Answer)
    assert 60 << 20 < usage.rss_peak < 120 << 20


def test_cores_are_limited_where_that_is_possible(made: Bench) -> None:
    usage = Usage()
    assert isinstance(made.run("burn", Limits(cpu=0.25), usage=usage), Answer)
    if usage.enforcement == "cpu: not enforced":
        pytest.skip("this process may not make control groups here")
    assert usage.seconds > 2 * usage.cpu, "a quarter of a core for a second of work"


def test_a_flood_is_cut_in_the_middle(made: Bench) -> None:
    assert isinstance(made.run("flood", Limits(log=1 << 20)), Answer)
    text = made.log.read_bytes()
    assert text.startswith(b"first\nxxx")
    assert text.endswith(b"xxx\nlast\n")
    assert len(text) < (1 << 20) + 100
    left_out = len("first\n") + (200 << 20) + len("\nlast\n") - (1 << 20)
    assert f"\n[tidemill: {left_out} bytes are left out here]\n".encode() in text


def test_a_program_may_take_the_place_of_the_fork(made: Bench) -> None:
    """What another environment's interpreter is started as; it is watched in the same way."""
    command = [sys.executable, "-m", "tidemill.runtime.child"]
    assert isinstance(made.run("quick", command=command), Answer)
    assert made.log.read_text() == "hello\n"
    assert made.fails("hang", Limits(run=0.2), command=command).timeout == "run"
    assert made.fails("flee_and_crash", command=command).kind is FailureKind.KILLED
    assert not tree_of(made)


def test_supervisors_are_used_again_and_end_with_their_helper(made: Bench) -> None:
    for _ in range(3):
        assert isinstance(made.run("quick"), Answer)
    pids = [process.pid for process in made.spawner.idle]
    assert len(pids) == len(set(pids))
    assert all(alive(pid) for pid in pids)
    before = open_files(pids[-1])
    for _ in range(5):
        made.run("quick")
        made.fails("hang", Limits(run=0.05))
    assert open_files(made.spawner.idle[-1].pid) == before, "a descriptor leaks"
    made.spawner.close()
    assert not any(alive(pid) for pid in pids)
    assert isinstance(made.run("quick"), Answer), "it starts anew"


def test_a_killed_executor_says_by_what(made: Bench) -> None:
    failure = made.fails("flee_and_crash")
    assert failure.kind is FailureKind.KILLED
    assert signal.SIGKILL.name in failure.message
