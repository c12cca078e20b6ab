"""Why a task is killed: what is asked and when. Airflow's part is in tests/conformance."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from tidemill.runners.airflow import killing
from tidemill.runners.airflow.asking import still_runs
from tidemill.runners.airflow.killing import Doubt


def never(_: bool) -> None:
    raise AssertionError("nobody asked")


@pytest.mark.parametrize(("runs", "wanted"), [(True, False), (False, True)])
def test_only_what_airflow_does_not_run_any_more_is_wanted(runs: bool, wanted: bool) -> None:
    told: list[bool] = []
    with Doubt(lambda: runs, told.append) as doubt:
        assert not doubt.is_wanted(), "nobody asked yet, and this does not wait"
        doubt.ask()
        doubt.ask()  # a group and a supervisor may both send the signal
        assert doubt.is_wanted() is wanted
    assert told == [wanted]


def test_without_a_kill_nothing_is_asked() -> None:
    asked: list[bool] = []
    with Doubt(lambda: bool(asked.append(True)), never):
        pass
    assert asked == []


def test_an_airflow_that_fails_or_is_silent_wants_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks() -> bool:
        raise EOFError("the supervisor is gone")

    silence = threading.Event()
    monkeypatch.setattr(killing, "PATIENCE", 0.05)
    for answer in (breaks, lambda: not silence.wait(60)):
        told: list[bool] = []
        with Doubt(answer, told.append) as doubt:
            doubt.ask()
            assert not doubt.is_wanted()
        assert told == [False]
    silence.set()


@pytest.mark.parametrize(
    ("index", "states", "runs"),
    [
        (-1, {"hold": "running", "hold_0": "failed"}, True),
        (0, {"hold_0": "running", "hold": None}, True),
        (None, {"hold": "running"}, True),
        (-1, {"hold": "failed"}, False),
        (-1, {"hold": "restarting"}, False),
        (-1, {"hold": None}, False),
        (-1, {}, False),
    ],
)
def test_the_state_is_that_of_this_very_task(index: int | None, states: dict[str, Any], runs: bool) -> None:
    def answer(**given: Any) -> dict[str, Any]:
        assert given == {"dag_id": "line", "task_ids": ["hold"], "run_ids": ["manual"]}
        return {"manual": states} if states else {}

    ti = SimpleNamespace(
        dag_id="line", task_id="hold", run_id="manual", map_index=index, get_task_states=answer
    )
    assert still_runs({"ti": ti}) is runs
