"""Failures, retries, timeouts and process trees, as a user meets them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tidemill.runtime.call import NodeCall

FLAKY = """
    import os, signal, time
    from pathlib import Path
    from tidemill import DataError, NodeOptions, ValidationFailed, component, pipeline

    def count() -> int:
        with open("journal.txt", "a") as file:
            file.write("call\\n")
        return len(Path("journal.txt").read_text().split())

    @component
    def flaky(how: str, good_from: int) -> int:
        print("attempt", flush=True)
        n = count()
        if n < good_from:
            if how == "raise":
                raise ValueError("not yet")
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if how == "exit":
                os._exit(3)
            if how == "data":
                raise DataError("the file is empty", where="x.csv", hint="send it again")
            if how == "verdict":
                raise ValidationFailed("3 anomalies")
            while True:
                time.sleep(0.01)
        return n

    @component
    def after(value: int) -> None: ...

    @component
    def beside() -> None: ...

    @pipeline
    def daily(how: str, good_from: int):
        first = flaky(how=how, good_from=good_from)
        first.with_options(retries=RETRIES, backoff=0.01, timeout=TIMEOUT)
        after(value=first.outputs.result)
        beside()
"""


def write(project, retries: int, timeout: float | None = None) -> None:
    text = FLAKY.replace("RETRIES", str(retries)).replace("TIMEOUT", str(timeout))
    project.write("pipeline.py", text)


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ("raise", "EXCEPTION", "ValueError: not yet"),
        ("kill", "KILLED", "SIGKILL"),
        ("exit", "EXCEPTION", "status 3"),
        ("hang", "TIMEOUT", "longer than its timeout of 0.3 s"),
    ],
)
def test_failures_that_may_pass_are_tried_again(project, sound, how: str, kind: str, words: str) -> None:
    write(project, retries=2, timeout=0.3 if how == "hang" else None)
    answer = project.run("-p", f"how={how}", "-p", "good_from=3")
    assert answer["state"] == "COMPLETE"
    assert answer["nodes"]["flaky"]["attempt"] == 3
    assert project.journal() == ["call"] * 3
    failures = project.query(
        "SELECT string_value FROM ExecutionProperty WHERE name = 'tidemill.failure' ORDER BY execution_id"
    )
    assert failures == [(kind,)] * 2
    sound(project)

    answer = project.run("-p", f"how={how}", "-p", "good_from=99", expect=1)
    assert answer["state"] == "FAILED"
    assert project.states(answer) == {"flaky": "FAILED", "beside": "CACHED"}
    assert answer["blocked"] == ["after"]
    assert answer["nodes"]["flaky"]["failure"] == kind
    assert words in answer["nodes"]["flaky"]["message"]
    sound(project)


@pytest.mark.parametrize(("how", "kind"), [("data", "DATA"), ("verdict", "VALIDATION")])
def test_failures_that_cannot_pass_are_not_tried_again(project, sound, how: str, kind: str) -> None:
    write(project, retries=5)
    answer = project.run("-p", f"how={how}", "-p", "good_from=99", expect=1)
    assert answer["nodes"]["flaky"]["failure"] == kind
    assert answer["nodes"]["flaky"]["attempt"] == 1
    assert project.journal() == ["call"]
    sound(project)


def test_an_exception_is_shown_with_its_place_and_its_log_is_kept_per_attempt(project) -> None:
    write(project, retries=1)
    done = project.tidemill("run", "pipeline.py", "-p", "how=raise", "-p", "good_from=9", expect=1)
    assert "flaky failed (EXCEPTION)" in done.stdout
    assert "ValueError: not yet" in done.stdout
    line = next(i for i, text in enumerate(Path(project.folder / "pipeline.py").read_text().splitlines(), 1)
                if "not yet" in text)  # fmt: skip
    assert f"pipeline.py:{line}" in done.stdout
    last = project.tidemill("logs", "latest", "flaky").stdout
    first = project.tidemill("logs", "latest", "flaky", "--attempt", "1").stdout
    for log in (first, last):
        assert log.startswith("attempt\n")
        assert "Traceback" in log
        assert "tidemill/runtime" not in log


def test_what_an_executor_started_ends_with_it(project) -> None:
    project.write(
        "pipeline.py",
        """
        import subprocess, sys
        from pathlib import Path
        from tidemill import component, pipeline

        @component
        def leave_behind() -> None:
            code = "import time\\nwhile True: time.sleep(0.01)"
            child = subprocess.Popen([sys.executable, "-c", code])
            Path("pid.txt").write_text(str(child.pid))

        @pipeline
        def daily():
            leave_behind()
        """,
    )
    project.run()
    pid = (project.folder / "pid.txt").read_text()
    stat = Path(f"/proc/{pid}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_user_code_is_never_imported_by_the_runner(project) -> None:
    project.write(
        "pipeline.py",
        """
        import os
        from pathlib import Path
        from tidemill import component, pipeline

        with open(Path(__file__).parent / "journal.txt", "a") as file:
            file.write(f"{os.getpid()}\\n")

        @component
        def who() -> int:
            return os.getppid()

        @pipeline
        def daily():
            who()
        """,
    )
    process = project.start("run", "pipeline.py", "--json")
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert str(process.pid) not in project.journal()
    assert len(set(project.journal())) == 2  # one process compiled it, another ran it


def test_independent_nodes_run_at_the_same_time(project) -> None:
    """Each of the two waits for the other: one after another they would never end."""
    project.write(
        "pipeline.py",
        """
        import time
        from pathlib import Path
        from tidemill import NodeOptions, component, pipeline

        @component
        def meet(me: str, other: str) -> None:
            Path(me).touch()
            while not Path(other).exists():
                time.sleep(0.005)

        @pipeline(options=NodeOptions(timeout=60))
        def daily():
            meet(me="a", other="b").with_id("a")
            meet(me="b", other="a").with_id("b")
        """,
    )
    assert project.run("--jobs", "2")["state"] == "COMPLETE"


def test_the_runtime_command_launches_one_node_of_a_run(project, sound) -> None:
    """The command that other runners will run, on a run that a killed runner left behind."""
    project.write("pipeline.py", FLAKY.replace("RETRIES", "0").replace("TIMEOUT", "None"))
    words = ("-p", "how=raise", "-p", "good_from=0")
    project.tidemill("run", "pipeline.py", *words, expect=None, TIDEMILL_CRASHPOINT="run.created")
    ((run_id,),) = project.query("SELECT id FROM tidemill_run")
    store = f"sqlite:///{project.folder}/.tidemill/metadata.db"
    call = NodeCall(metadata=store, run_id=run_id, node_id="flaky", code_root=str(project.folder),
                    workdir=str(project.folder))  # fmt: skip
    done = subprocess.run(call.argv(), capture_output=True, text=True, check=True, cwd=project.folder)
    assert json.loads(done.stdout)["state"] == "COMPLETE"
    again = subprocess.run(call.argv(), capture_output=True, text=True, check=True, cwd=project.folder)
    assert json.loads(again.stdout)["execution"] == json.loads(done.stdout)["execution"]
    assert project.journal() == ["call"]
    answer = project.run(*words)
    assert answer["resumed"]
    assert project.journal() == ["call"]
    sound(project)
