"""What needs Airflow's own processes: its page of approvals, its triggerer, clearing the tasks of a run,
runs that wait for each other.

On demand only, for it takes minutes: TIDEMILL_AIRFLOW_PYTHON names the interpreter, and
TIDEMILL_AIRFLOW_SCHEDULER is set to anything.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.metadata.model import Decision, Run
from tidemill.metadata.sql import open_store
from tidemill.runners.airflow.files import dag_files

PYTHON = os.environ.get("TIDEMILL_AIRFLOW_PYTHON", "")
WANTED = bool(PYTHON and os.environ.get("TIDEMILL_AIRFLOW_SCHEDULER"))

pytestmark = [
    pytest.mark.skipif(
        not WANTED, reason="TIDEMILL_AIRFLOW_PYTHON and TIDEMILL_AIRFLOW_SCHEDULER are not both set"
    ),
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def site(beside: Callable[[str], Any], airflow_database: str) -> Iterator[Any]:
    """One Airflow for all of them, whose connection `records` is the store."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home, pytest.MonkeyPatch.context() as env:
        env.setenv("AIRFLOW_CONN_RECORDS", f"sqlite:///{home}/records.db")
        env.setenv("AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT", "60")  # a busy machine is no failure
        folder = Path(home) / "airflow"
        made = beside("airflow_site").Site(PYTHON, folder, database=airflow_database, triggerer=True)
        with made as running:
            running.metadata = f"sqlite:///{home}/records.db"
            yield running


def install(site: Any, folder: Path, name: str, text: str) -> str:
    """Put a pipeline into the dags folder; its name."""
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    ir = compile_pipeline(load_pipeline(str(folder / f"{name}.py"))[0])
    files = dag_files(ir, code_root=str(folder), metadata="airflow://records", root=str(folder / "root"))
    for file, written in reversed(files.items()):
        (site.dags / file).write_text(written, encoding="utf-8")
    return str(ir.name)


def record(site: Any, pipeline: str) -> tuple[list[Run], dict[str, str], list[Decision]]:
    """Runs, newest first; the places of the newest and their states; its decisions."""
    with closing(open_store(site.metadata)) as store:
        runs = store.get_runs(pipeline=pipeline)
        nodes = store.get_nodes(runs[0].id)
        decisions = store.get_decisions(runs[0].id)
    return runs, {f"{n.node_id}{n.iteration or ''}": n.state.value for n in nodes}, decisions


def state_of(site: Any, place: str, task: str) -> str:
    """What Airflow says of a task of a run; nothing while it does not answer."""
    try:
        return str(site.ask("GET", f"{place}/taskInstances/{task}")["state"])
    except TimeoutError:  # a busy machine
        return ""


def waits(site: Any, place: str, task: str) -> None:
    """Return once a task is deferred; AssertionError when its run ends before."""

    def deferred() -> bool:
        state = state_of(site, place, task)
        assert state not in ("success", "failed", "upstream_failed"), state
        return state == "deferred"

    site.wait(deferred, 240, f"{task} to wait")


GATED = """
from tidemill import approval, component, pipeline

@component
def after() -> None:
    "Whatever was approved."

@pipeline
def PIPELINE() -> None:
    "A gate."
    approval(message="Is it a *good* one?").with_id("gate") >> after()
"""


@pytest.mark.parametrize("way", ["page", "command"])
def test_an_approval_is_given_on_the_page_or_by_the_command(site: Any, tmp_path: Path, way: str) -> None:
    dag = install(site, tmp_path, f"gated_{way}", GATED.replace("PIPELINE", f"gated_{way}"))
    place = site.start(dag, {})
    waits(site, place, "gate")
    asked = site.ask("GET", f"{place}/taskInstances/gate/-1/hitlDetails")
    assert asked["body"] == "Is it a *good* one?"
    assert asked["options"] == ["Approve", "Reject"]
    if way == "page":
        answer = {"chosen_options": ["Reject"], "params_input": {"comment": "not today"}}
        site.ask("PATCH", f"{place}/taskInstances/gate/-1/hitlDetails", answer)
    else:
        (run,), _, _ = record(site, dag)
        with closing(open_store(site.metadata)) as store:
            store.put_decision(Decision(run_id=run.id, node_id="gate", granted=True, by="ann"))
    assert site.ended(place)["state"] == ("failed" if way == "page" else "success")
    (run,), states, (decision,) = record(site, dag)
    if way == "page":
        assert (run.state.value, states) == ("FAILED", {"gate": "FAILED"})
        assert (decision.granted, decision.comment) == (False, "not today")
        assert decision.by.lower() not in ("", "airflow"), "who answered, as Airflow knows them"
    else:
        assert (run.state.value, states) == ("COMPLETE", {"gate": "COMPLETE", "after": "COMPLETE"})
        assert decision.by == "ann"


AGAIN = """
from tidemill import ForEach, component, on_exit, pipeline

@component
def give() -> int:
    "A number."
    return 1

@component
def each(number: int, place: str) -> None:
    "Fails for 1 until there is a file."
    import pathlib
    if number == 1 and not pathlib.Path(place, "mended").exists():
        raise ValueError("not yet")

@component
def tell() -> None:
    "Say that it is over."

@pipeline
def doing_again(place: str = "") -> None:
    "Three turns."
    first = give()
    with ForEach([0, 1, 2], name="turns") as turn:
        first >> each(number=turn, place=place)
    on_exit(tell())
"""


def test_failed_tasks_that_are_cleared_are_a_run_of_their_own(site: Any, tmp_path: Path) -> None:
    dag = install(site, tmp_path, "doing_again", AGAIN)
    place = site.start(dag, {"place": str(tmp_path)})
    ended = site.ended(place)
    assert ended["state"] == "failed"
    (first,), states, _ = record(site, dag)
    assert first.state.value == "FAILED"
    assert states == {
        "give": "COMPLETE", "turns": "COMPLETE", "each": "COMPLETE", "each1": "FAILED", "each2": "COMPLETE",
        "tell": "COMPLETE",
    }  # fmt: skip
    (tmp_path / "mended").touch()
    common = {"dry_run": False, "dag_run_id": ended["dag_run_id"], "reset_dag_runs": True}
    site.ask("POST", f"/api/v2/dags/{dag}/clearTaskInstances", {**common, "only_failed": True})
    assert site.ended(place)["state"] == "success"
    (second, old), states, _ = record(site, dag)
    assert old == first, "what ended stays as it ended"
    assert (second.state.value, second.base_run, second.id) == ("COMPLETE", first.id, f"{first.id}.again-2")
    assert states == {
        "give": "CACHED", "turns": "CACHED", "each": "CACHED", "each1": "COMPLETE", "each2": "CACHED",
    }  # fmt: skip
    alone = {**common, "task_ids": ["give"], "only_failed": False}
    site.ask("POST", f"/api/v2/dags/{dag}/clearTaskInstances", alone)
    site.ended(place)
    assert state_of(site, place, "give") == "failed", "nothing would ever end what it starts"
    assert len(record(site, dag)[0]) == 2


WAITING = """
from tidemill import Retry, component, pipeline

@component
def fails_once(place: str) -> None:
    "Succeeds in the second attempt."
    import pathlib
    mark = pathlib.Path(place, "tried")
    if not mark.exists():
        mark.touch()
        raise ValueError("once")

@pipeline
def waiting(place: str = "") -> None:
    "A long wait between two attempts."
    fails_once(place=place).with_options(retry=Retry(user=1, backoff=1e6, cap=1e6))
"""


def test_the_time_of_a_retry_is_waited_for_by_the_triggerer_until_a_cancel(site: Any, tmp_path: Path) -> None:
    dag = install(site, tmp_path, "waiting", WAITING)
    place = site.start(dag, {"place": str(tmp_path)})
    waits(site, place, "fails_once")
    (run,), states, _ = record(site, dag)
    assert states == {"fails_once": "FAILED"}
    with closing(open_store(site.metadata)) as store:
        store.request_cancel(run.id)
    assert site.ended(place)["state"] == "failed"
    assert record(site, dag)[0][0].state.value == "CANCELED"


POOLED = """
from tidemill import component, pipeline

@component
def hold(place: str, name: str) -> str:
    "Say when it has the slot and when it gives it back; the first one waits until it may."
    import pathlib, threading
    folder = pathlib.Path(place)
    with (folder / "slots").open("a") as slots:
        slots.write(f"{name} takes\\n")
    while not (folder / "go").exists():
        threading.Event().wait(0.1)
    threading.Event().wait(0.5)  # longer than a second one would need to come in
    with (folder / "slots").open("a") as slots:
        slots.write(f"{name} gives\\n")
    return name

@pipeline
def PIPELINE(place: str = "") -> None:
    "A node that needs the only slot."
    hold(place=place, name="PIPELINE").with_options(pool="one", slots=1)
"""


def test_runs_of_several_pipelines_share_the_one_slot_of_a_pool(site: Any, tmp_path: Path) -> None:
    with closing(open_store(site.metadata)) as store:
        store.put_pool("one", 1)
    names = ["pooled_a", "pooled_b", "pooled_c"]
    dags = [install(site, tmp_path, name, POOLED.replace("PIPELINE", name)) for name in names]
    slots, conf = tmp_path / "slots", {"place": str(tmp_path)}
    places = [site.start(dags[0], conf)]
    site.wait(slots.exists, 240, "the first node to have the slot")
    places += [site.start(dag, conf) for dag in dags[1:]]
    for place in places[1:]:
        waits(site, place, "hold")
    with closing(open_store(site.metadata)) as store:
        assert [(p.slots, p.held) for p in store.get_pools() if p.name == "one"] == [(1, 1)]
    assert state_of(site, places[0], "hold") == "running"
    (tmp_path / "go").touch()
    assert [site.ended(place)["state"] for place in places] == ["success"] * 3
    took = [line.split() for line in slots.read_text().splitlines()]
    assert [verb for _, verb in took] == ["takes", "gives"] * 3, "never two at a time"
    assert took[0][0] == "pooled_a"
    assert all(first == then for (first, _), (then, _) in zip(took[::2], took[1::2], strict=True))
    assert {name for name, _ in took} == {*names}
    with closing(open_store(site.metadata)) as store:
        assert [p.held for p in store.get_pools() if p.name == "one"] == [0]


EQUAL = """
from tidemill import component, pipeline

@component
def make(place: str) -> int:
    "Begins once, and ends when it may."
    import pathlib, threading
    with pathlib.Path(place, "begun").open("a") as begun:
        begun.write("x")
    while not pathlib.Path(place, "go").exists():
        threading.Event().wait(0.1)
    return 7

@pipeline
def equal(place: str = "") -> None:
    "One node."
    make(place=place)
"""


def test_the_second_of_two_equal_runs_waits_and_takes_what_the_first_one_made(
    site: Any, tmp_path: Path
) -> None:
    dag, conf = install(site, tmp_path, "equal", EQUAL), {"place": str(tmp_path)}
    first = site.start(dag, conf)
    site.wait((tmp_path / "begun").exists, 240, "the first run to be at it")
    second = site.start(dag, conf)
    waits(site, second, "make")
    assert len(record(site, dag)[0]) == 1, "the second one is none yet"
    (tmp_path / "go").touch()
    assert [site.ended(place)["state"] for place in (first, second)] == ["success", "success"]
    (newest, oldest), states, _ = record(site, dag)
    assert [newest.state.value, oldest.state.value, states] == ["COMPLETE", "COMPLETE", {"make": "CACHED"}]
    assert (tmp_path / "begun").read_text() == "x"


PATIENT = GATED.replace('with_id("gate")', 'with_id("gate").with_options(timeout=8)')


def test_an_approval_that_nobody_gives_ends_its_run_when_its_time_is_over(site: Any, tmp_path: Path) -> None:
    dag = install(site, tmp_path, "gated_late", PATIENT.replace("PIPELINE", "gated_late"))
    place = site.start(dag, {})
    waits(site, place, "gate")
    assert site.ended(place)["state"] == "failed"
    (run,), states, decisions = record(site, dag)
    assert (run.state.value, states, decisions) == ("FAILED", {"gate": "FAILED"}, [])
    with closing(open_store(site.metadata)) as store:
        (execution,) = store.get_executions(run.id, "gate")
    assert execution.custom_properties["tidemill.failure"] == "TIMEOUT", execution
