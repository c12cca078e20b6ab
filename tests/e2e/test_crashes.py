"""kill -9 at every named point, then the same command again: nothing is lost, nothing is done twice."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tidemill.runtime.crashpoint import POINTS

PIPELINE = """
    import os
    from pathlib import Path
    from tidemill import Input, JsonValue, Model, NodeOptions, Output, component, pipeline

    def note(name: str) -> None:
        with open(Path(__file__).parent / "journal.txt", "a") as file:
            file.write(name + "\\n")

    @component
    def make(name: str, size: int = 3) -> list[int]:
        note(name)
        return list(range(size))

    @component
    def fit(numbers: Input[JsonValue], other: Input[JsonValue], model: Output[Model]) -> float:
        note("fit")
        (model.path / "weights.txt").write_text(str(sum(numbers.value)))
        return 0.5

    @component
    def report(model: Input[Model], loss: float) -> None:
        note("report")

    @pipeline(options=NodeOptions(cache=False))
    def daily():
        left = make(name="left").with_id("left")
        right = make(name="right", size=4).with_id("right")
        fitted = fit(numbers=left.outputs.result, other=right.outputs.result)
        report(model=fitted.outputs.model, loss=fitted.outputs.result)
"""
NODES = ["left", "right", "fit", "report"]
IN_CHILD = [point for point in POINTS if point.startswith("child.")]
ONCE = [point for point in POINTS if point.startswith("run.")]
CASES = [(point, nth) for point in POINTS for nth in ((1,) if point in ONCE + IN_CHILD else (1, 2, 4))]


@pytest.mark.parametrize(("point", "nth"), CASES, ids=[f"{p}-{n}" for p, n in CASES])
def test_the_same_command_finishes_what_a_killed_runner_began(
    project, sound: Callable[..., None], point: str, nth: int
) -> None:
    project.write("pipeline.py", PIPELINE)
    killed = project.tidemill("run", "pipeline.py", expect=None, TIDEMILL_CRASHPOINT=f"{point}:{nth}")
    assert killed.returncode == (1 if point in IN_CHILD else -signal.SIGKILL), killed.stderr
    sound(project)
    finished = {n for (n,) in project.query("SELECT node_id FROM tidemill_node WHERE state = 'COMPLETE'")}
    before = project.journal()

    answer = project.run()

    assert answer["state"] == "COMPLETE"
    sound(project)
    again = project.journal()[len(before) :]
    over = point == "run.end.after"
    if point not in IN_CHILD and not over:
        # The run goes on: what was published stays, what was not is done exactly once more.
        assert answer["resumed"]
        assert sorted(again) == sorted(set(NODES) - finished)
        assert len(project.query("SELECT id FROM tidemill_run")) == 1
    else:
        # The first run had ended (failed or complete), so the same command is a new run.
        assert not answer["resumed"]
        assert sorted(again) == sorted(NODES)
    complete = project.query("SELECT node_id, state FROM tidemill_node WHERE run_id = ?", answer["run"])
    assert sorted(complete) == sorted((node, "COMPLETE") for node in NODES)


def test_a_killed_runner_takes_its_executors_with_it(project) -> None:
    """An executor whose runner died must end too; its lifeline is the order pipe."""
    project.write(
        "pipeline.py",
        """
        import os, time
        from pathlib import Path
        from tidemill import component, pipeline

        @component
        def hang() -> None:
            Path("pid.txt.tmp").write_text(str(os.getpid()))
            os.rename("pid.txt.tmp", "pid.txt")
            while True:
                time.sleep(0.01)

        @pipeline
        def hanging():
            hang()
        """,
    )
    process = project.start("run", "pipeline.py")
    pid_file = project.folder / "pid.txt"
    wait_until(lambda: pid_file.exists())
    process.kill()
    process.communicate()
    pid = int(pid_file.read_text())
    wait_until(lambda: not is_running(pid))


def test_an_equal_run_that_lives_is_not_started_twice(project) -> None:
    project.write("pipeline.py", HANGING)
    process = project.start("run", "pipeline.py")
    wait_until(lambda: (project.folder / "started").exists())
    second = project.tidemill("run", "pipeline.py", expect=4)
    assert "does the same work right now" in second.stderr
    assert "--new" in second.stderr
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, out + err


HANGING = """
    import time
    from pathlib import Path
    from tidemill import component, pipeline

    @component
    def hang() -> None:
        Path("started").touch()
        while True:
            time.sleep(0.01)

    @component
    def after() -> None: ...

    @pipeline
    def hanging():
        hang() >> after()
"""


def test_interrupt_cancels_cleanly(project, sound: Callable[..., None]) -> None:
    project.write("pipeline.py", HANGING)
    process = project.start("run", "pipeline.py")
    wait_until(lambda: (project.folder / "started").exists())
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, out + err
    assert "CANCELED" in out
    assert project.query("SELECT state FROM tidemill_run") == [("CANCELED",)]
    assert project.query("SELECT node_id, state FROM tidemill_node") == [("hang", "CANCELED")]
    sound(project)


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for another process to get somewhere; the test's own timeout ends a wait in vain."""
    import select

    while not holds():
        select.select([], [], [], 0.01)


def is_running(pid: int) -> bool:
    from pathlib import Path

    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
