"""What a run says of itself: its page, its lineage, the facts in an alert."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.metadata.model import Run
from tidemill.metadata.sql import open_store
from tidemill.metadata.store import MetadataStore
from tidemill.runners.base import task
from tidemill.runners.base.arrivals import Arrived
from tidemill.runners.base.facts import facts_of
from tidemill.runners.base.run_page import lineage_of_run, run_page
from tidemill.runners.base.task import EngineRun, Failed, Settings
from tidemill.runtime.execute import CancelToken

TEXT = """
from tidemill import *

@component
def tell(number: int) -> int:
    "The number."
    return number

@component
def fail(number: int) -> None:
    "Fail."
    raise ValueError("<b>out of numbers</b>")

@pipeline
def failing_pages() -> None:
    fail(number=tell(number=4).outputs["result"]) >> tell(number=5).with_id("never")
"""
FACTS = {"date": "2024-02-03", "run": "other-1", "artifact": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def store(folder: Path) -> Iterator[MetadataStore]:
    with closing(open_store(f"sqlite:///{folder}/metadata.db")) as opened:
        yield opened


@pytest.fixture(scope="module")
def run(folder: Path, store: MetadataStore) -> Run:
    """A run of an engine in which the second node failed and the third was not started."""
    (folder / "failing_pages.py").write_text(TEXT, encoding="utf-8")
    found, code_root = load_pipeline(str(folder / "failing_pages.py"))
    settings = Settings(
        ir=compile_pipeline(found), metadata=f"sqlite:///{folder}/metadata.db", root=str(folder / "root"),
        code_root=str(code_root),
    )  # fmt: skip
    engine = EngineRun(
        record_id="failing_pages-1", owner="engine/1", date="2024-02-03",
        arrived=(Arrived(name="x-tidemill://other/a/b", time="2024-02-04T01:00:00+00:00", facts=FACTS),),
    )  # fmt: skip
    task.launch_node(settings, engine, "tell", store=store, cancel=CancelToken())
    with pytest.raises(Failed):
        task.launch_node(settings, engine, "fail", store=store, cancel=CancelToken())
    task.end_run(store, settings, engine)
    ended = store.get_run("failing_pages-1")
    assert ended is not None
    return ended


def test_what_arrived_is_recorded_with_the_run(run: Run) -> None:
    assert run.settings["arrivals"] == [
        {"name": "x-tidemill://other/a/b", "time": "2024-02-04T01:00:00+00:00", **FACTS}
    ]


def test_the_page_shows_nodes_attempts_artifacts_and_what_started_the_run(
    store: MetadataStore, run: Run
) -> None:
    text = run_page(store, run, "fail")
    assert text == run_page(store, run, "fail"), "the same bytes for the same record"
    for part in (
        "failing_pages: failing_pages-1", "2024-02-03", '<span class="badge bad">FAILED</span>',
        "&lt;b&gt;out of numbers&lt;/b&gt;", "Not started: never", "x-tidemill://other/a/b", "flowchart LR",
        "<h2>fail</h2>", "EXCEPTION", "result: Integer 1",
    ):  # fmt: skip
        assert part in text, part
    assert "<b>out of numbers" not in text
    assert "It was not started in this run." in run_page(store, run, "never")
    assert "<h2>fail</h2>" not in run_page(store, run)


def test_the_lineage_is_that_of_the_run_alone(store: MetadataStore, run: Run) -> None:
    graph = lineage_of_run(store, run)
    assert [e.type for e in graph.executions] == ["tell", "fail"]
    assert [(e.artifact_id, e.execution_id) for e in graph.events] == [(1, 1)], "a value is no input"


def test_an_alert_says_what_failed_and_why(store: MetadataStore, run: Run) -> None:
    facts = facts_of(store, run.id)
    assert (facts["state"], facts["date"], facts["failed"]) == ("FAILED", "2024-02-03", 1)
    (failure,) = facts["failures"]
    assert (failure["node"], failure["class"], failure["attempt"]) == ("fail", "EXCEPTION", 1)
    assert facts["message"].startswith(
        "failing_pages of 2024-02-03 is FAILED (run failing_pages-1): fail failed [EXCEPTION] "
    )
    unknown = facts_of(store, "nowhere-1")
    assert (unknown["state"], unknown["failures"]) == ("UNKNOWN", [])
    assert set(unknown) == set(facts)
