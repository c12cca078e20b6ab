"""Schedules, assets and arriving data on Airflow: its own timetables, its own backfill, `dag.test()`.

As in test_runner_airflow.py, TIDEMILL_AIRFLOW_PYTHON names the interpreter; without it the tests are skipped.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.ir import codec
from tidemill.metadata.sql import open_store

PYTHON = os.environ.get("TIDEMILL_AIRFLOW_PYTHON", "")
PROGRAM = Path(__file__).with_name("airflow_data_program.py")

pytestmark = pytest.mark.skipif(
    not PYTHON, reason="TIDEMILL_AIRFLOW_PYTHON names no interpreter with Airflow"
)


_numbers = itertools.count()
"""Modules of one name would be one to Python."""


class Airflow:
    """A process that has Airflow. Each question is a pipeline's text and what to do with it."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process, self.folder = process, folder
        self.metadata = f"sqlite:///{folder}/metadata.db"

    def ask(self, do: str, **order: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": do, **order}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer["answer"]

    def put_module(self, name: str, text: str) -> None:
        """A module that Airflow can import."""
        self.ask("importable", name=name, text=text)

    def dag(self, name: str, text: str) -> dict[str, str]:
        """The IR of the pipeline `name` that `text` defines, and where its tasks find everything."""
        file = self.folder / f"{name}_{next(_numbers)}.py"
        file.write_text(f"from tidemill import *\n{COMPONENTS}\n{text}", encoding="utf-8")
        ir = file.with_suffix(".json")
        ir.write_text(codec.dumps(compile_pipeline(load_pipeline(str(file))[0])), encoding="utf-8")
        return {
            "ir": str(ir), "code_root": str(self.folder), "metadata": self.metadata, "root": str(self.folder)
        }  # fmt: skip


@pytest.fixture(scope="module")
def process() -> Iterator[subprocess.Popen[str]]:
    with tempfile.TemporaryDirectory() as home:
        settings = {
            "AIRFLOW_HOME": home, "AIRFLOW__CORE__DAGS_FOLDER": f"{home}/dags",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR", "PYTHONWARNINGS": "ignore",
        }  # fmt: skip
        with subprocess.Popen(
            [PYTHON, str(PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **settings},
        ) as running:  # fmt: skip
            yield running
            assert running.stdin is not None
            running.stdin.close()


@pytest.fixture
def airflow(process: subprocess.Popen[str], tmp_path: Path) -> Airflow:
    return Airflow(process, tmp_path)


COMPONENTS = """
@component
def read(source: FileSet, numbers: Output[JsonValue]) -> None:
    "The rows of the files."
    import json, pathlib
    rows = [line for file in source.files for line in pathlib.Path(file.uri).read_text().split()]
    pathlib.Path(numbers.path, "rows.json").write_text(json.dumps(rows))

@component
def count(numbers: Input[JsonValue]) -> int:
    "How many there are."
    import json, pathlib
    return len(json.loads(pathlib.Path(numbers.path, "rows.json").read_text()))

@component
def tell(number: int) -> int:
    "The number."
    return number
"""
DAILY = """
@pipeline(schedule=Schedule("@daily", start="2024-03-29", timezone="Europe/Berlin", catch_up=True))
def daily() -> None:
    "Counts a day's rows."
    count(read(source=files("in/{YYYY}-{MM}-{DD}.csv", date=run.date)).outputs["numbers"])
"""


def test_each_day_has_one_run_at_the_midnight_that_ends_it_also_when_the_clocks_change(
    airflow: Airflow,
) -> None:
    def runs(text: str, first: str, count: int) -> Any:
        return airflow.ask("scheduled", dag=airflow.dag("daily", text), now="", first=first, count=count)

    assert runs(DAILY, "2024-03-30T00:00", 3) == [
        ["2024-03-31T00:00:00+01:00", "2024-03-30"],
        ["2024-04-01T00:00:00+02:00", "2024-03-31"],
        ["2024-04-02T00:00:00+02:00", "2024-04-01"],
    ]
    assert runs(DAILY, "2024-10-26T00:00", 3) == [
        ["2024-10-27T00:00:00+02:00", "2024-10-26"],
        ["2024-10-28T00:00:00+01:00", "2024-10-27"],
        ["2024-10-29T00:00:00+01:00", "2024-10-28"],
    ]
    night = DAILY.replace('"@daily"', '"30 2 * * *"')  # a time of day that one day does not have
    found = runs(night, "2024-03-29T00:00", 4)
    assert [date for _, date in found] == ["2024-03-29", "2024-03-30", "2024-03-31", "2024-04-01"]


def test_a_run_at_midnight_reads_the_span_of_the_day_before(airflow: Airflow) -> None:
    (airflow.folder / "in").mkdir()
    for day, rows in (("2024-03-30", "a"), ("2024-03-31", "a b"), ("2024-04-01", "a b c")):
        (airflow.folder / "in" / f"{day}.csv").write_text(rows)
    dag = airflow.dag("daily", DAILY)
    for midnight, day, rows in (
        ("2024-03-31T00:00+01:00", "2024-03-30", 1),
        ("2024-04-01T00:00+02:00", "2024-03-31", 2),
    ):
        assert airflow.ask("run", dag=dag, logical_date=midnight, conf={}, more={}) == "success"
        assert newest(airflow) == (day, {"rows": rows})


def newest(airflow: Airflow) -> tuple[str, dict[str, Any]]:
    """Date of the newest run, and how many rows it counted."""
    with closing(open_store(airflow.metadata)) as store:
        (run,) = store.get_runs(limit=1)
        (record,) = store.get_nodes(run.id, [("count", None)])
        (artifact,) = store.get_outputs([record.execution_id])[record.execution_id]["result"]
        return run.date, {"rows": json.loads(Path(artifact.uri, "value.json").read_text())}


def test_a_backfill_of_airflows_own_has_one_run_for_each_date(airflow: Airflow) -> None:
    (airflow.folder / "in").mkdir()
    (airflow.folder / "in" / "2024-01-01.csv").write_text("a")
    dag = airflow.dag("back", DAILY.replace("def daily", "def back"))
    found = airflow.ask(
        "backfilled", dag=dag, first="2024-03-29T00:00", last="2024-04-02T00:00", reverse=True
    )
    assert found == ["2024-04-02", "2024-04-01", "2024-03-31", "2024-03-30", "2024-03-29"]


def test_a_run_by_hand_without_a_logical_date_has_the_date_it_is_given_or_none(airflow: Airflow) -> None:
    (airflow.folder / "in").mkdir()
    (airflow.folder / "in" / "2024-02-03.csv").write_text("a b")
    dag = airflow.dag("hand", DAILY.replace("def daily", "def hand"))
    conf = {"tidemill_date": "2024-02-03"}
    assert airflow.ask("run", dag=dag, logical_date=None, conf=conf, more={}) == "success"
    assert newest(airflow) == ("2024-02-03", {"rows": 2})
    plain = airflow.dag("plain", "@pipeline\ndef plain() -> None:\n    tell(number=1)\n")
    assert airflow.ask("run", dag=plain, logical_date=None, conf={}, more={}) == "success"
    with closing(open_store(airflow.metadata)) as store:
        assert store.get_runs(pipeline="plain")[0].date == ""


def test_a_connection_holds_the_store_and_the_token_of_a_metadata_server(airflow: Airflow) -> None:
    found = airflow.ask(
        "stores",
        connections=[
            "http://:s%2Fcret@host:8080",
            json.dumps({"conn_type": "http", "host": "host", "port": 8080, "password": "s/cret"}),
            json.dumps({"conn_type": "tidemill", "password": "grpcs://:s%2Fcret@host:8080?ca=a.pem"}),
            json.dumps({"conn_type": "tidemill", "password": "http://host:8080"}),
            "postgres://me:s%2Fcret@host:5432/db",
            "sqlite:////srv/a.db",
        ],
    )
    assert [(url, token) for url, token, _ in found] == [
        ("http://host:8080", "s/cret"),
        ("http://host:8080", "s/cret"),
        ("grpcs://host:8080?ca=a.pem", "s/cret"),
        ("http://host:8080", ""),
        ("postgresql://me:s%2Fcret@host:5432/db", ""),
        ("sqlite:////srv/a.db", ""),
    ]
    assert {shown for _, _, shown in found} == {"Known()"}


def test_a_time_after_which_airflow_skips_exit_nodes_is_refused(airflow: Airflow) -> None:
    why = airflow.ask("refusal", dag=airflow.dag("daily", DAILY), seconds=60)
    assert "exit nodes" in why
    assert "total_timeout" in why


TYPED = """
@pipeline
def typed(
    mode: Literal["fast", "5"] = "fast", days: list[int] = [1], most: Annotated[int, Allowed(maximum=9)] = 3,
    until: Annotated[str, Allowed(date=True)] = "2024-01-01", name: str | None = "null",
) -> None:
    tell(number=most)
"""


def test_what_does_not_fit_a_parameter_is_refused_before_a_run_begins(airflow: Airflow) -> None:
    dag = airflow.dag("typed", "from typing import Annotated, Literal\n" + TYPED)
    good = [{}, {"mode": "5", "days": [], "most": 9, "name": None, "tidemill_date": "2024-02-29"}]
    good.append({"tidemill_select": {"only": ["tell"]}, "tidemill_date": None})
    bad = {
        "mode": "slow", "days": ["1"], "most": 10, "until": "2023-02-29", "name": 5,
        "tidemill_date": "yesterday", "tidemill_select": {"onyl": ["tell"]},
    }  # fmt: skip
    wrong = [{name: value} for name, value in bad.items()]
    found = airflow.ask("refused", dag=dag, confs=[*good, *wrong])
    assert found[:3] == [""] * 3
    for (name, value), why in zip(bad.items(), found[3:], strict=True):
        assert name in why, (name, value, why)
    for conf in good[:2]:  # a text that is JSON as well stays text
        assert airflow.ask("run", dag=dag, logical_date=None, conf=conf, more={}) == "success"
    with closing(open_store(airflow.metadata)) as store:
        second, first = store.get_runs(pipeline="typed")
    assert (first.parameters["name"], second.parameters["mode"]) == ("null", "5")
    conf = {"tidemill_select": {"only": ["tel"]}}
    assert airflow.ask("run", dag=dag, logical_date=None, conf=conf, more={}) == "failed"
    assert airflow.ask("tries", dag="typed") == {"tell": 1, "run--end": 1}, (
        "no other try would be given another"
    )


MAKES = """
@pipeline
def {name}(skip: bool = False) -> None:
    "Two results, one of them only sometimes."
    first = tell(number=1).with_id("first")
    count(read(source=files("in/{{YYYY}}-{{MM}}-{{DD}}.csv", date=run.date)).outputs["numbers"])
    with When(first.outputs["result"] > 0):
        tell(number=2).with_id("second")
    with When(first.outputs["result"] > 1):
        tell(number=3).with_id("third")
"""


def test_outputs_are_events_of_assets_unless_they_were_skipped(airflow: Airflow) -> None:
    (airflow.folder / "in").mkdir()
    (airflow.folder / "in" / "2024-02-03.csv").write_text("a b")
    dag = airflow.dag("makes", MAKES.format(name="makes"))
    conf = {"tidemill_date": "2024-02-03"}
    for _ in range(2):
        assert airflow.ask("run", dag=dag, logical_date=None, conf=conf, more={}) == "success"
    told = airflow.ask("events", uri_part="x-tidemill://makes/")
    fresh, again = [extra for uri, extra in told if uri == "x-tidemill://makes/count/result"]
    others = [(uri, extra["state"]) for uri, extra in told if extra not in (fresh, again)]
    second = "x-tidemill://makes/second/result"
    assert others == [(second, "COMPLETE"), (second, "CACHED")], "third was skipped"
    with closing(open_store(airflow.metadata)) as store:
        second, first = store.get_runs(pipeline="makes")
        (record,) = store.get_nodes(first.id, [("count", None)])
        (artifact,) = store.get_outputs([record.execution_id])[record.execution_id]["result"]
    assert fresh == {
        "pipeline": "makes", "node": "count", "output": "result", "run": first.id, "date": "2024-02-03",
        "state": "COMPLETE", "artifact": artifact.id, "artifact_uri": artifact.uri, "type": "Integer",
        "digest": artifact.custom_properties["digest"],
    }  # fmt: skip
    assert again == {**fresh, "run": second.id, "state": "CACHED"}


def test_which_outputs_are_assets_is_a_choice(airflow: Airflow) -> None:
    dag = airflow.dag("choose", MAKES.format(name="choose"))
    at = "x-tidemill://choose/"
    for wanted, found in (
        ("results", {"count": ["count/result"], "second": ["second/result"], "third": ["third/result"]}),
        ("none", {}),
        (["read.numbers", "first"], {"read": ["read/numbers"], "first": ["first/result"]}),
    ):
        shape = airflow.ask("shape", dag=dag, more={"assets": wanted})
        assert shape["outlets"] == {task: [at + name for name in names] for task, names in found.items()}
    everything = airflow.ask("shape", dag=dag, more={"assets": "all"})["outlets"]
    assert sorted(everything) == ["count", "first", "read", "second", "third"]


WAITS = """
@pipeline(schedule=Schedule(
    {cron}
    on=(OnArtifact("makes", "read", "numbers") & OnAsset("s3://lake/rates", "rates"))
    | OnFiles("in/{{YYYY}}-{{MM}}-{{DD}}.csv", every=5) | OnFiles("more/{{SPAN}}/*.csv", parameter="span"),
    timezone="Europe/Berlin",
))
def {name}(span: int = 0) -> None:
    "Waits for data."
    tell(number=span)
"""


def test_a_pipeline_that_waits_for_data_is_scheduled_on_assets(airflow: Airflow) -> None:
    dag = airflow.dag("waits", WAITS.format(name="waits", cron=""))
    shape = airflow.ask("shape", dag=dag | {"metadata": "postgresql://me:secret@host/db"}, more={})
    assert shape["timetable"] == "AssetTriggeredTimetable"
    own = [uri for uri in shape["waits"] if uri.startswith("x-tidemill://waits/files--")]
    assert shape["waits"] == sorted(["s3://lake/rates", "x-tidemill://makes/read/numbers", *own])
    assert len(own) == 2
    assert "secret" not in shape["kept"]
    both = airflow.ask("shape", dag=airflow.dag("both", WAITS.format(name="both", cron='"@daily",')), more={})
    assert both["timetable"] == "AssetOrTimeSchedule"
    assert len(both["waits"]) == 4


def test_what_arrived_gives_the_run_its_date_and_parameters_and_is_recorded(airflow: Airflow) -> None:
    dag = airflow.dag("given", WAITS.format(name="given", cron='"@daily",'))
    rates = {"extra": {"date": "2024-02-01", "token": "secret"}, "uri": "s3://lake/rates"}
    span = {"from_trigger": True, "payload": {"pattern": "more/{SPAN}/*.csv", "span": 7}}
    answer = airflow.ask(
        "arrived",
        dag=dag,
        happened=[
            {"uri": "x-tidemill://given/files--1", "extra": span, "time": "2024-02-03T05:00:00+00:00"},
            {**rates, "time": "2024-02-02T04:00:00+00:00"},
        ],
    )
    assert answer == {
        "date": "2024-02-01",
        "parameters": {"span": 7},
        "arrived": [
            {"name": "s3://lake/rates", "time": "2024-02-02T04:00:00+00:00", "date": "2024-02-01"},
            {
                "name": "x-tidemill://given/files--1", "time": "2024-02-03T05:00:00+00:00",
                "pattern": "more/{SPAN}/*.csv", "span": 7,
            },
        ],
    }  # fmt: skip


def test_the_trigger_tells_of_each_new_span_once_and_keeps_no_secret(airflow: Airflow) -> None:
    text = """
@pipeline(schedule=Schedule(on=OnFiles("in/{YYYY}-{MM}-{DD}/*.csv", every=5)))
def watches() -> None:
    tell(number=1)
"""
    old = airflow.folder / "in" / "2024-02-28" / "a.csv"
    old.parent.mkdir(parents=True)
    old.write_text("x")
    dag = airflow.dag("watches", text)
    later = str(airflow.folder / "in" / "2024-02-29" / "a.csv")
    answer = airflow.ask("watched", dag=dag, later=later)
    pattern = "in/{YYYY}-{MM}-{DD}/*.csv"
    assert answer["told"] == [
        {"pattern": pattern, "span": 19781, "date": "2024-02-28"},
        {"pattern": pattern, "span": 19782, "date": "2024-02-29"},
    ]
    path, arguments = answer["kept"]
    assert path == "tidemill.runners.airflow.watcher.SpanTrigger"
    assert arguments["metadata"] == airflow.metadata


FAILS = """
@component
def fail(number: int) -> None:
    "Fail."
    raise ValueError("out of numbers")

@pipeline
def fails(good: bool = False) -> None:
    with When(tell(number=4).outputs["result"] > 3):
        fail(number=1) if not {good} else tell(number=2).with_id("other")
"""
NOTIFIER = '''
import json, pathlib
from airflow.sdk import BaseNotifier

class Writes(BaseNotifier):
    """Writes a line of what it was told."""
    template_fields = ("text",)

    def __init__(self, place, text="{{ tidemill.message }}"):
        super().__init__()
        self.place, self.text = place, text

    def notify(self, context):
        with pathlib.Path(self.place).open("a") as file:
            file.write(json.dumps([self.text, context["tidemill"]]) + "\\n")
'''


@pytest.mark.parametrize("good", [False, True])
def test_notifiers_are_told_once_how_a_run_ended(airflow: Airflow, good: bool) -> None:
    airflow.put_module("told_notifiers", NOTIFIER)
    name = f"fails_{good}"
    dag = airflow.dag(name, FAILS.replace("def fails", f"def {name}").replace("{good}", str(good)))
    alerts = {
        occasion: [{"notifier": "told_notifiers.Writes", "place": str(airflow.folder / occasion)}]
        for occasion in ("failure", "success")
    }
    state = airflow.ask("run", dag=dag, logical_date=None, conf={}, more={"alerts": alerts})
    occasion = "success" if good else "failure"
    assert state == ("success" if good else "failed")
    ((text, facts),) = map(json.loads, (airflow.folder / occasion).read_text().splitlines())
    assert not (airflow.folder / ("failure" if good else "success")).exists()
    with closing(open_store(airflow.metadata)) as store:
        (run,) = store.get_runs(limit=1)
    assert (facts["run"], facts["state"]) == (run.id, "COMPLETE" if good else "FAILED")
    assert text == facts["message"]
    assert [(f["node"], f["class"]) for f in facts["failures"]] == ([] if good else [("fail", "EXCEPTION")])
    assert facts["link"].endswith(f"/tidemill/dags/{name}/runs/{run.id}")


def test_a_deadline_counts_from_the_end_of_the_interval(airflow: Airflow) -> None:
    text = DAILY.replace("catch_up=True", "catch_up=True, deadline=5400").replace("def daily", "def late")
    alerts = {"deadline": [{"notifier": "told_notifiers.Writes", "place": "x"}]}
    given = airflow.dag("late", text) | {"metadata": "postgresql://me:secret@host/db"}
    if airflow.ask("version") < [3, 3]:  # there is no such deadline in public
        with pytest.raises(AssertionError, match=r"take Airflow 3[.]3 or newer, or pass deadline=None"):
            airflow.ask("shape", dag=given, more={"alerts": alerts})
        assert airflow.ask("shape", dag=given, more={"alerts": alerts, "deadline": None})["catchup"] is True
        return
    answer = airflow.ask("deadline", dag=given, more={"alerts": alerts})
    assert answer == {
        "scheduled": "2024-04-01T00:30:00+02:00",
        "backfill": "2026-01-02T04:30:00+01:00",
        "manual": "2026-01-02T04:30:00+01:00",
        "kept": {"alerts": alerts["deadline"], "metadata": ""},
    }


def test_the_pages_are_for_those_who_may_see_the_dag(airflow: Airflow) -> None:
    dag = airflow.dag("seen", FAILS.replace("def fails", "def seen").replace("{good}", "True"))
    assert airflow.ask("run", dag=dag, logical_date=None, conf={}, more={}) == "success"
    with closing(open_store(airflow.metadata)) as store:
        (run,) = store.get_runs(limit=1)
    page = f"/tidemill/dags/seen/runs/{run.id}"
    paths = [page, f"{page}/lineage.json", f"{page}/lineage.mmd", f"{page}?node=other"]
    beside = [
        f"/tidemill/dags/others/runs/{run.id}",
        "/tidemill/dags/seen/runs/none",
        "/tidemill/openapi.json",
    ]
    found = airflow.ask("pages", metadata=airflow.metadata, paths=[*paths, *beside])
    assert [code for code, _ in found["without"]] == [401] * 6 + [404]
    assert [code for code, _ in found["wrong"]] == [403] * 6 + [404]
    assert [code for code, _ in found["nobody"]] == [403] * 6 + [404]
    for who in ("viewer", "browser"):
        assert [code for code, _ in found[who]] == [200] * 4 + [404] * 3
    (_, text), (_, lineage), (_, mermaid), (_, node) = found["viewer"][:4]
    assert "<h2>Nodes</h2>" in text
    assert {e["type"] for e in json.loads(lineage)["executions"]} == {"tell"}
    assert mermaid.startswith("flowchart LR")
    assert "<h2>other</h2>" in node
