"""Assets, arriving files, alerts, deadlines and the plugin's pages under Airflow's own processes.

On demand only, as test_airflow_scheduler.py: TIDEMILL_AIRFLOW_PYTHON and TIDEMILL_AIRFLOW_SCHEDULER are set.
"""

from __future__ import annotations

import json
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.metadata.model import Run
from tidemill.metadata.sql import open_store
from tidemill.runners.airflow.alerting import alerts_of
from tidemill.runners.airflow.files import dag_files

PYTHON = os.environ.get("TIDEMILL_AIRFLOW_PYTHON", "")
WANTED = bool(PYTHON and os.environ.get("TIDEMILL_AIRFLOW_SCHEDULER"))

pytestmark = [
    pytest.mark.skipif(
        not WANTED, reason="TIDEMILL_AIRFLOW_PYTHON and TIDEMILL_AIRFLOW_SCHEDULER are not both set"
    ),
    pytest.mark.timeout(900),
]

PIPELINES = """
from tidemill import *

@component
def tell(number: int) -> int:
    "The number."
    return number

@component
def fail(number: int) -> None:
    "Fail."
    raise ValueError("out of numbers")

@component
def wait_for(place: str) -> None:
    "Wait until somebody was told."
    import pathlib, threading
    while not pathlib.Path(place).exists():
        threading.Event().wait(0.2)

@pipeline
def upstream(number: int = 1) -> None:
    tell(number=number)

@pipeline(schedule=Schedule(on=OnArtifact("upstream", "tell", "result")))
def downstream() -> None:
    tell(number=2)

@pipeline(schedule=Schedule(on=OnFiles("in/{{YYYY}}-{{MM}}-{{DD}}.csv", every=1), catch_up=True))
def on_files() -> None:
    tell(number=3)

@pipeline
def failing() -> None:
    fail(number=tell(number=4).outputs["result"])

@pipeline(schedule=Schedule(on=OnAsset("nowhere"), deadline=1))
def slow() -> None:
    wait_for(place="{folder}/deadline")
"""
NOTIFIER = '''
import json, pathlib
from airflow.sdk import BaseNotifier

class Writes(BaseNotifier):
    """Writes what it was told to a file, whole."""
    template_fields = ("text",)

    def __init__(self, place, text="{{ tidemill.message }}"):
        super().__init__()
        self.place, self.text = place, text

    def notify(self, context):
        path = pathlib.Path(self.place)
        path.with_suffix(".new").write_text(json.dumps([self.text, context["tidemill"]]))
        path.with_suffix(".new").rename(path)
'''


class Place:
    """An Airflow, a record, and the pipelines above as DAGs."""

    def __init__(self, site: Any, folder: Path) -> None:
        self.site, self.folder = site, folder
        self.metadata = f"sqlite:///{folder}/metadata.db"

    def dag(self, name: str, **alerts: str) -> str:
        """The DAG of a pipeline in the dags folder; its id. `alerts`: occasion -> file to write."""
        file = self.folder / f"{name}_of_site.py"
        head, *rest = PIPELINES.format(folder=self.folder).split("\n@pipeline")
        own = next(text for text in rest if f"def {name}(" in text)
        file.write_text(f"{head}\n@pipeline{own}", encoding="utf-8")
        ir = compile_pipeline(load_pipeline(str(file))[0])
        told = {
            occasion: [{"notifier": "told.Writes", "place": str(self.folder / place)}]
            for occasion, place in alerts.items()
        }
        files = dag_files(
            ir, code_root=str(self.folder), metadata=self.metadata, root=str(self.folder / "root"),
            workdir=str(self.folder), alerts=alerts_of(told, "test") if told else None,
        )  # fmt: skip
        for file_name, text in reversed(files.items()):
            (self.site.dags / file_name).write_text(text, encoding="utf-8")
        return ir.name

    def known(self, name: str) -> None:
        """Wait until Airflow knows a DAG."""
        place = f"/api/v2/dags/{name}"
        self.site.wait(lambda: self.site.ask("GET", place, missing=True), 120, f"DAG {name} to be read")

    def runs(self, pipeline: str) -> list[Run]:
        with closing(open_store(self.metadata)) as store:
            return [run for run in store.get_runs(pipeline=pipeline) if run.state.ended]

    def told(self, place: str) -> tuple[str, dict[str, Any]]:
        """What a notifier wrote."""
        file = self.folder / place
        self.site.wait(file.exists, 120, f"{place} to be written")
        text, facts = json.loads(file.read_text())
        return text, facts

    def status(self, path: str, token: str = "") -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = path if path.startswith("http") else self.site.url + path
        try:
            request = urllib.request.Request(url, headers=headers)
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


@pytest.fixture(scope="module")
def place(beside: Callable[[str], Any], airflow_database: str) -> Iterator[Place]:
    """One Airflow for all tests."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name,
        pytest.MonkeyPatch.context() as patch,
    ):
        folder = Path(name).resolve()
        (folder / "in").mkdir()
        (folder / "lib").mkdir()
        (folder / "lib" / "told.py").write_text(NOTIFIER, encoding="utf-8")
        patch.setenv("PYTHONPATH", str(folder / "lib"))
        patch.setenv(
            "AIRFLOW_CONN_RECORDS",
            f"tidemill://:{'sqlite%3A%2F%2F%2F'}{str(folder).replace('/', '%2F')}%2Fmetadata.db@",
        )
        patch.setenv("TIDEMILL_METADATA", "airflow://records")
        with beside("airflow_site").Site(
            PYTHON, folder / "home", database=airflow_database, triggerer=True
        ) as site:
            yield Place(site, folder)


def test_an_artifact_of_one_pipeline_starts_another(place: Place) -> None:
    place.dag("downstream")
    name = place.dag("upstream")
    place.known("downstream")
    ended = place.site.run(name, {"tidemill_date": "2024-02-03", "number": 7})
    assert ended["state"] == "success"
    place.site.wait(lambda: place.runs("downstream"), 120, "the other pipeline to run")
    first, second = place.runs("upstream")[0], place.runs("downstream")[0]
    assert (second.state.value, second.date) == ("COMPLETE", "2024-02-03")
    (arrived,) = second.settings["arrivals"]
    assert arrived["name"] == "x-tidemill://upstream/tell/result"
    assert (arrived["run"], arrived["date"], arrived["state"]) == (first.id, "2024-02-03", "COMPLETE")


def test_files_of_each_new_day_start_a_run_of_that_day(place: Place) -> None:
    for day in ("2024-02-28", "2024-02-29"):
        (place.folder / "in" / f"{day}.csv").write_text("x")
    place.dag("on_files")
    place.site.wait(lambda: len(place.runs("on_files")) == 2, 240, "a run for each of two days")
    (place.folder / "in" / "2024-03-01.csv").write_text("x")
    place.site.wait(lambda: len(place.runs("on_files")) == 3, 240, "a run for the third")
    found = place.runs("on_files")[::-1]
    assert [run.date for run in found] == ["2024-02-28", "2024-02-29", "2024-03-01"]
    assert [run.settings["arrivals"][0]["span"] for run in found] == [19781, 19782, 19783]


def test_who_is_to_be_told_of_a_failure_or_success_is_told_what_the_record_says(place: Place) -> None:
    name = place.dag("failing", failure="failure", success="never")
    assert place.site.run(name, {})["state"] == "failed"
    text, facts = place.told("failure")
    (run,) = place.runs("failing")
    assert (facts["run"], facts["state"], facts["failed"]) == (run.id, "FAILED", 1)
    (failure,) = facts["failures"]
    assert (failure["node"], failure["class"]) == ("fail", "EXCEPTION")
    assert "out of numbers" in failure["message"]
    assert text == facts["message"]
    assert text.startswith(f"failing is FAILED (run {run.id}): fail failed [EXCEPTION]")
    assert facts["link"] == f"{place.site.url}/tidemill/dags/failing/runs/{run.id}"
    assert not (place.folder / "never").exists()


def test_who_is_to_be_told_of_a_late_run_is_told_while_it_runs(place: Place) -> None:
    name = place.dag("slow", deadline="deadline", success="success")
    assert place.site.run(name, {})["state"] == "success"
    text, facts = place.told("deadline")
    assert facts["state"] in ("RUNNING", "UNKNOWN"), "UNKNOWN: Airflow had not started the first task yet"
    assert text == facts["message"]
    assert text.startswith("late: ")
    assert "slow-manual" in text
    assert place.told("success")[1]["state"] == "COMPLETE"


def test_tasks_and_runs_lead_to_the_pages_of_the_record(place: Place) -> None:
    place.dag("failing")
    run = place.runs("failing")[0]
    token = place.site.token
    page = f"/tidemill/dags/failing/runs/{run.id}"
    code, text = place.status(page, token)
    assert (code, "out of numbers" in text, "flowchart LR" in text) == (200, True, True)
    assert json.loads(place.status(f"{page}/lineage.json", token)[1])["executions"]
    assert place.status(f"/tidemill/dags/upstream/runs/{run.id}", token)[0] == 404, "a run of another DAG"
    runs = place.site.ask("GET", "/api/v2/dags/failing/dagRuns")["dag_runs"]
    of_airflow = urllib.request.pathname2url(runs[0]["dag_run_id"])
    assert place.status(f"/tidemill/dags/failing/runs/{of_airflow}", token)[0] == 200, "by Airflow's own id"
    asked = f"/api/v2/dags/failing/dagRuns/{of_airflow}/taskInstances/fail/links"
    (link,) = place.site.ask("GET", asked)["extra_links"].values()
    assert link == f"{place.site.url}{page}?node=fail"
    code, text = place.status(link, token)
    assert (code, text.count("<h2>fail</h2>")) == (200, 1)


def test_the_connection_is_one_that_airflow_can_test(place: Place) -> None:
    (found,) = [
        c for c in place.site.ask("GET", "/ui/connections/hook_meta") if c["connection_type"] == "tidemill"
    ]
    assert found["standard_fields"]["password"]["title"] == "Metadata URL"
    assert found["standard_fields"]["host"]["hidden"] is True
