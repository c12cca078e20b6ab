"""What a task of Kubeflow Pipelines is told, and what it tells: facts, results, errors, what it loads."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tidemill.errors import ResolutionError, RunnerError
from tidemill.ir import codec
from tidemill.ir.model import EnvironmentIR, LoopIR, NodeIR, ParameterIR, PipelineIR, ResourcesIR, ScheduleIR
from tidemill.metadata.model import Artifact
from tidemill.metadata.sql import SqlStore, open_store
from tidemill.runners.kubeflow import names
from tidemill.runners.kubeflow.entry import main
from tidemill.runners.kubeflow.executor_io import ExecutorInput
from tidemill.runners.kubeflow.facts import pipeline_of, read_facts, run_of
from tidemill.runners.kubeflow.packing import pack
from tidemill.runners.kubeflow.results import iterations
from tidemill.runners.kubeflow.shown import Made, metrics, page
from tidemill.runtime.environment import identify
from tidemill.runtime.execute import CancelToken
from tidemill.runtime.making import Place
from tidemill.runtime.order import Order
from tidemill.runtime.plan import bind_parameters
from tidemill.types.parameter import Text

IR = PipelineIR(
    name="daily",
    nodes=(NodeIR(id="give", component="give", executor="m:give"),),
    parameters=(
        ParameterIR(name="count", type="int", default=1), ParameterIR(name="rate", type="float", default=0.5),
        ParameterIR(name="word", type="str", default=""), ParameterIR(name="deep", type="json", default={}),
    ),
)  # fmt: skip
OURS: dict[str, Any] = {names.NODE: "give", names.RUN: "8f5f-uuid", names.VERSION: codec.version(IR)}


def facts(**more: Any) -> Any:
    return read_facts(ExecutorInput(parameters={**OURS, **more}))


@pytest.fixture
def store() -> Iterator[SqlStore]:
    with closing(open_store("memory://")) as store:
        yield store


# --- facts ----------------------------------------------------------------------------------------


def test_numbers_come_as_doubles_and_become_what_was_declared() -> None:
    run = run_of(facts(count=3.0, rate=2, word="5", deep='{"a": [1]}'), IR)
    assert run.parameters == {"count": 3, "rate": 2.0, "word": "5", "deep": '{"a": [1]}'}
    assert [type(v) for v in run.parameters.values()] == [int, float, str, Text]
    assert bind_parameters(IR, run.parameters)["deep"] == {"a": [1]}, "KFP sends JSON as text"
    assert facts(**{names.ITERATION: 7.0}).iteration == 7


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"count": 2.5}, "count should be a whole number, and is 2.5"),
        ({names.ITERATION: "1"}, "tidemill_iteration should be a whole number, and is '1'"),
        ({names.ITERATION: True}, "tidemill_iteration should be a whole number, and is True"),
        ({names.SOFT: "yes"}, "tidemill_soft should be true or false, and is 'yes'"),
        ({names.SELECT: [1]}, "tidemill_select should be an object, and is [1]"),
        ({names.DATE: 5}, "tidemill_date should be a text, and is 5"),
        ({names.NODE: ""}, "the task has no input tidemill_node"),
        ({names.DATE: "2024-13-01"}, "'2024-13-01' is not a date"),
    ],
)
def test_a_wrong_input_is_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(RunnerError) as caught:
        run_of(facts(**given), IR)
    assert said in str(caught.value)


def test_the_run_has_kfps_id_and_no_process_as_owner() -> None:
    run = run_of(facts(**{names.SELECT: {"only": [], "from": [], "to": []}}), IR)
    assert (run.record_id, run.owner) == ("daily-8f5f-uuid", "kubeflow/daily/8f5f-uuid")
    assert (run.engine, run.date, run.selection) == ("kubeflow", "", {})


@pytest.mark.parametrize(
    ("due", "date"),
    [
        ("2026-03-02T00:00:00Z", "2026-03-01"),
        ("2026-03-02T00:00:07Z", "2026-03-01"),
        ("2026-03-01T23:30:00Z", "2026-03-01"),  # half past midnight in Berlin: the next day has begun
        ("2026-03-01T22:30:00Z", "2026-02-28"),
    ],
)
def test_the_date_is_that_of_the_interval_that_ended(due: str, date: str) -> None:
    ir = PipelineIR(name="d", nodes=(), schedule=ScheduleIR(cron="@daily", timezone="Europe/Berlin"))
    assert run_of(facts(**{names.SCHEDULE: due}), ir).date == date
    assert run_of(facts(**{names.SCHEDULE: due, names.DATE: "2024-01-01"}), ir).date == "2024-01-01"


def test_the_pipeline_is_carried_once_and_found_by_its_version_then(store: SqlStore) -> None:
    with pytest.raises(RunnerError, match="does not have pipeline version"):
        pipeline_of(store, facts())
    assert pipeline_of(store, facts(**{names.IR: pack(IR)})) == IR
    assert pipeline_of(store, facts()) == IR
    other = PipelineIR(name="other", nodes=())
    with pytest.raises(RunnerError, match="carries pipeline version"):
        pipeline_of(store, facts(**{names.IR: pack(other)}))
    with pytest.raises(RunnerError, match="damaged"):
        pipeline_of(store, facts(**{names.IR: pack(IR)[:-8]}))


# --- results --------------------------------------------------------------------------------------


def test_the_iterations_of_an_inner_loop_are_those_of_the_iteration_at_hand() -> None:
    ir = PipelineIR(
        name="loops",
        nodes=(
            NodeIR(id="outer", component="loop", executor="", kind="loop", loop=LoopIR(limit=5)),
            NodeIR(
                id="inner",
                component="loop",
                executor="",
                kind="loop",
                loop=LoopIR(limit=10),
                loops=("outer",),
            ),
        ),
    )
    assert iterations(ir, "outer", 0, 3) == [0, 1, 2]
    assert iterations(ir, "inner", 2, 3) == [20, 21, 22]
    assert iterations(ir, "inner", 2, 0) == []


def made(folder: Path, kind: str, file: str, content: Any, **custom: Any) -> Artifact:
    (folder / kind).mkdir()
    (folder / kind / file).write_text(json.dumps(content), encoding="utf-8")
    return Artifact(type=kind, uri=str(folder / kind), custom_properties=custom)


def test_an_evaluation_has_its_numbers_and_its_page_shown(tmp_path: Path) -> None:
    content: dict[str, Any] = {"format": "tidemill.evaluation/1", "rows": 10, "verdict": "BLESSED"}
    content |= {"model": {"auc": 0.9, "loss": None}, "baseline": None, "intervals": {}, "changes": []}
    content["slices"] = []
    found = made(tmp_path, "ModelEvaluation", "evaluation.json", content)
    blessing = made(tmp_path, "ModelBlessing", "blessing.json", {}, blessed=1)
    both = Made(outputs={"evaluation": [found], "blessing": [blessing]})
    assert metrics(both) == {"auc": 0.9, "blessed": 1.0}
    html = page(both, "evaluate[2]")
    assert html.startswith("<!doctype html>")
    assert "evaluate[2]" in html


def test_numbers_that_were_returned_are_metrics() -> None:
    value = Artifact(type="Float", uri="/nowhere", custom_properties={"value": 0.25})
    assert metrics(Made(outputs={"loss": [value]})) == {"loss": 0.25}


def test_what_cannot_be_shown_fails_nothing(tmp_path: Path) -> None:
    broken = made(tmp_path, "ExampleStatistics", "statistics.json", {"format": "other"})
    assert page(Made(outputs={"statistics": [broken]}), "stats") == ""
    assert page(Made(), "nothing") == ""
    gone = Artifact(type="ModelEvaluation", uri=str(tmp_path / "gone"))
    assert metrics(Made(outputs={"evaluation": [gone]})) == {}


# --- the command ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "given", "said"),
    [
        ({}, {}, "the container has no TIDEMILL_METADATA"),
        ({"TIDEMILL_METADATA": "memory://"}, {names.IR: pack(IR)}, "the container has no TIDEMILL_ROOT"),
        (
            {"TIDEMILL_METADATA": "memory://", "TIDEMILL_ROOT": "/r", "TIDEMILL_ISOLATION": "proces"},
            {names.IR: pack(IR)}, "did you mean",
        ),
        (
            {"TIDEMILL_METADATA": "memory://", "TIDEMILL_ROOT": "/r"}, {names.IR: pack(IR)},
            "is not in the metadata store",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_one_error_and_exit_code_1(
    environ: dict[str, str], given: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for name in ("TIDEMILL_METADATA", "TIDEMILL_ROOT", "TIDEMILL_ISOLATION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    text = json.dumps({"inputs": {"parameterValues": {**OURS, **given}}})
    assert main(["--executor_input", text]) == 1
    assert said in capsys.readouterr().out


LOADED = "import sys; import tidemill.runners.kubeflow.entry; print(len(sys.modules), *sorted(sys.modules))"
MOST_MODULES = 260
HEAVY = {
    "numpy",
    "pyarrow",
    "polars",
    "yaml",
    "sklearn",
    "fsspec",
    "click",
    "rich",
    "kfp",
    "google",
    "asyncio",
}


def test_the_entrypoint_loads_little() -> None:
    """Every task pays for it. Modules are counted, for times tell of the machine."""
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    count, *loaded = done.stdout.split()
    assert not {name.partition(".")[0] for name in loaded} & HEAVY
    assert int(count) <= MOST_MODULES


# --- images ---------------------------------------------------------------------------------------

ORDER = Order(executor="m:f", inputs={}, outputs={}, parameters={})
DIGEST = "sha256:" + "a" * 64


def test_a_node_inside_its_image_starts_no_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("TIDEMILL_INSIDE_IMAGE", f"a/b@{DIGEST}")
    place = Place(tmp_path, tmp_path / "log", CancelToken(), "")
    wanted = EnvironmentIR(image=f"a/b@{DIGEST}", python="python3")
    found = identify(wanted, place)
    assert found.command(ORDER, ResourcesIR(), "") == [], "the interpreter that runs already"
    assert found.facts()["tidemill.image"] == f"a/b@{DIGEST}"
    assert found.facts()["tidemill.environment"] == found.digest

    moved = identify_inside(monkeypatch, place, f"c/mirror@{DIGEST}")
    other = identify_inside(monkeypatch, place, "a/b@sha256:" + "b" * 64)
    assert moved.digest == found.digest, "the same image under another name"
    assert other.digest != found.digest

    monkeypatch.setenv("TIDEMILL_INSIDE_IMAGE", "a/other@sha256:1")
    with pytest.raises(ResolutionError, match="and runs in a/other"):
        identify(wanted, place)
    missing = EnvironmentIR(image="a/other@sha256:1", python="python9")
    with pytest.raises(ResolutionError, match="has no interpreter 'python9'"):
        identify(missing, place).command(ORDER, ResourcesIR(), "")


def identify_inside(monkeypatch: pytest.MonkeyPatch, place: Place, image: str) -> Any:
    monkeypatch.setenv("TIDEMILL_INSIDE_IMAGE", image)
    return identify(EnvironmentIR(image=image, python="python3"), place)
