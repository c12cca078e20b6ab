"""Executing on a thread of this process: output, failures, lateness, cancelling, one at a time."""

from __future__ import annotations

import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tidemill.runtime.execute import CancelToken
from tidemill.runtime.failure import Failure, FailureKind
from tidemill.runtime.here import execute_on_thread
from tidemill.runtime.order import Answer, Order

EXECUTORS = """
    import sys
    import threading
    from pathlib import Path

    inside = threading.Event()
    together = []

    def say():
        print("hello")
        print("careful", file=sys.stderr)

    def fail():
        raise KeyError("thing")

    def loop():
        inside.set()
        while True:
            pass

    def stubborn():
        seen = 0
        inside.set()
        while seen < 2:
            try:
                while True:
                    pass
            except BaseException:
                seen += 1
        raise KeyboardInterrupt

    def alone():
        together.append(threading.get_ident())
        assert len(together) == 1
        inside.wait(0.05)
        together.remove(threading.get_ident())
"""
Execute = Callable[..., Answer | Failure]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"here_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(EXECUTORS))
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


@pytest.fixture
def execute(tmp_path: Path, module: str) -> Execute:
    def run(name: str, *, timeout: float = 0.0, cancel: CancelToken | None = None) -> Answer | Failure:
        order = Order(executor=f"{module}:{name}", inputs={}, outputs={}, parameters={})
        log = tmp_path / f"{name}.log"
        return execute_on_thread(order, log, timeout=timeout, cancel=cancel or CancelToken())

    return run


def test_what_the_thread_prints_goes_to_the_log_and_what_others_print_does_not(
    execute: Execute, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sys.stdout, sys.stderr
    assert isinstance(execute("say"), Answer)
    print("beside")
    assert (tmp_path / "say.log").read_text() == "hello\ncareful\n"
    assert capsys.readouterr().out == "beside\n"
    assert (sys.stdout, sys.stderr) == before


def test_a_failure_is_told_with_its_traceback_in_the_log(execute: Execute, tmp_path: Path) -> None:
    found = execute("fail")
    assert isinstance(found, Failure)
    assert (found.kind, found.exception) == (FailureKind.EXCEPTION, "KeyError")
    assert "in fail" in (tmp_path / "fail.log").read_text()


def test_late_ones_are_stopped(execute: Execute) -> None:
    found = execute("loop", timeout=0.2)
    assert isinstance(found, Failure)
    assert found.kind is FailureKind.TIMEOUT


@pytest.mark.parametrize("name", ["loop", "stubborn"])
def test_canceled_ones_are_stopped_even_if_they_swallow_it_first(
    execute: Execute, module: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidemill.runtime.here._AGAIN", 0.05)
    import importlib

    inside = importlib.import_module(module).inside
    cancel = CancelToken()
    watcher = threading.Thread(target=lambda: (inside.wait(), cancel.cancel()))
    watcher.start()
    found = execute(name, cancel=cancel)
    watcher.join()
    assert isinstance(found, Failure)
    assert found.kind is FailureKind.CANCELED
    assert isinstance(execute("say"), Answer)


def test_one_runs_at_a_time_and_a_waiting_one_can_be_canceled(execute: Execute, module: str) -> None:
    found: list[Answer | Failure] = []
    threads = [threading.Thread(target=lambda: found.append(execute("alone"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(isinstance(answer, Answer) for answer in found), found

    import importlib

    inside = importlib.import_module(module).inside
    first, second = CancelToken(), CancelToken()
    long = threading.Thread(target=lambda: execute("loop", cancel=first))
    long.start()
    inside.wait()
    second.cancel()
    waiting = execute("say", cancel=second)
    assert isinstance(waiting, Failure)
    assert waiting.kind is FailureKind.CANCELED
    first.cancel()
    long.join()
