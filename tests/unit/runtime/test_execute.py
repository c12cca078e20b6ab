"""Executing orders: in this process, in a fresh one, and in one that the helper forked."""

from __future__ import annotations

import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tidemill.runtime.execute import CancelToken, execute_here, execute_in_child
from tidemill.runtime.failure import Failure, FailureKind
from tidemill.runtime.order import Answer, Order, OrderedArtifact, OrderedInput, OrderedOutput
from tidemill.runtime.spawner import Spawner

EXECUTORS = """
    import os, signal, sys, time
    from pathlib import Path
    from tidemill import DataError

    def good(source, model, *, rate, function, options):
        print("hello")
        os.system("echo from a child of it")
        (model.path / "weights").write_text(f"{source.value * rate} {function(2)} {options}")
        model.custom_properties["note"] = "n"
        return 2

    def twice(x):
        return 2 * x

    def wrong_type(source, model, **_):
        return "two"

    def raises(**_):
        raise KeyError("missing thing")

    def exits(**_):
        sys.exit(4)

    def data(**_):
        raise DataError("no rows", where="x.csv", hint="send it again")

    def forever(**_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        Path("started").touch()
        while True:
            time.sleep(0.001)

    def crashes(**_):
        os.kill(os.getpid(), signal.SIGSEGV)
"""
Execute = Callable[..., Answer | Failure]


@pytest.fixture(scope="module")
def spawner() -> Iterator[Spawner]:
    made = Spawner()
    yield made
    made.close()


@pytest.fixture(params=["here", "fresh", "forked"])
def execute(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Execute:
    """One way to execute; called with an executor's name."""
    module = f"executors_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{module}.py").write_text(textwrap.dedent(EXECUTORS))
    (tmp_path / "value.json").write_text("3")
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(name: str, *, timeout: float = 0.0, cancel: CancelToken | None = None) -> Answer | Failure:
        artifact = OrderedArtifact(
            type="Integer", python="tidemill.types.standard:Integer", uri=str(tmp_path)
        )
        model = OrderedArtifact(
            type="Model", python="tidemill.types.standard:Model", uri=str(tmp_path / "out" / name / "model")
        )
        result = OrderedArtifact(
            type="Integer", python="tidemill.types.standard:Integer",
            uri=str(tmp_path / "out" / name / "result"),
        )  # fmt: skip
        order = Order(
            executor=f"{module}:{name}",
            inputs={"source": OrderedInput(artifacts=(artifact,))},
            outputs={"model": OrderedOutput(artifact=model),
                     "result": OrderedOutput(artifact=result, returned=True)},
            parameters={"rate": 0.5, "function": {"$function": f"{module}:twice"},
                        "options": {"$plain": {"$x": 1}}},
            code_root=str(tmp_path),
            workdir=str(tmp_path),
        )  # fmt: skip
        log = tmp_path / "log.txt"
        if request.param == "here":
            return execute_here(order, log)
        helper = request.getfixturevalue("spawner") if request.param == "forked" else None
        return execute_in_child(order, log, timeout=timeout, cancel=cancel or CancelToken(), spawner=helper)

    run.isolated = request.param != "here"  # type: ignore[attr-defined]  # lets tests skip what needs a process
    return run


def failure(answer: Answer | Failure) -> Failure:
    assert isinstance(answer, Failure), answer
    return answer


def test_outputs_parameters_and_log(execute: Execute, tmp_path: Path) -> None:
    answer = execute("good")
    assert isinstance(answer, Answer)
    assert (tmp_path / "out/good/model/weights").read_text() == "1.5 4 {'$x': 1}"
    assert (tmp_path / "out/good/result/value.json").read_text() == "2"
    assert answer.outputs["model"].custom_properties == {"note": "n", "bytes": 15}
    assert answer.outputs["result"].custom_properties["value"] == 2
    assert len(answer.outputs["model"].digest) == 64
    assert sorted((tmp_path / "log.txt").read_text().split("\n")) == ["", "from a child of it", "hello"]


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("raises", FailureKind.EXCEPTION, "missing thing"),
        ("exits", FailureKind.EXCEPTION, "4"),
        ("data", FailureKind.DATA, "send it again"),
        ("wrong_type", FailureKind.INVALID_OUTPUT, "must be int, got str"),
        ("nowhere", FailureKind.EXCEPTION, "cannot be imported"),
    ],
)
def test_failures_of_user_code(
    execute: Execute, tmp_path: Path, name: str, kind: FailureKind, words: str
) -> None:
    found = failure(execute(name))
    assert found.kind is kind
    assert words in found.message
    assert "runtime/child.py" not in (tmp_path / "log.txt").read_text()


def test_late_and_canceled_executions_are_killed_even_if_they_ignore_it(
    execute: Execute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not execute.isolated:  # type: ignore[attr-defined]  # set by the fixture
        pytest.skip("only an isolated execution can be stopped")
    monkeypatch.setattr("tidemill.runtime.execute.GRACE", 0.1)
    assert failure(execute("forever", timeout=0.2)).kind is FailureKind.TIMEOUT
    # Under load the first one may have been stopped before it had even begun.
    (tmp_path / "out").rename(tmp_path / "first") if (tmp_path / "out").exists() else None
    (tmp_path / "started").unlink(missing_ok=True)
    cancel = CancelToken()
    watcher = threading.Thread(target=lambda: (_until((tmp_path / "started").exists), cancel.cancel()))
    watcher.start()
    assert failure(execute("forever", cancel=cancel)).kind is FailureKind.CANCELED
    watcher.join()


def test_a_process_that_dies_says_by_what(execute: Execute) -> None:
    if not execute.isolated:  # type: ignore[attr-defined]  # set by the fixture
        pytest.skip("it would be this process")
    found = failure(execute("crashes"))
    assert found.kind is FailureKind.KILLED
    assert "SIGSEGV" in found.message


def _until(holds: Callable[[], bool]) -> None:
    pause = threading.Event()
    while not holds():
        pause.wait(0.005)
