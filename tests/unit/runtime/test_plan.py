"""The plan: parameters bound, the date chosen, every step after what it waits for."""

from __future__ import annotations

import math
from datetime import UTC, datetime, tzinfo
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.component import Output, component
from tidemill.dsl.pipeline import Pipeline
from tidemill.errors import RunnerError
from tidemill.ir import codec
from tidemill.ir.model import InputIR, NodeIR, OptionsIR, OutputRef, ParameterIR, PipelineIR, ScheduleIR
from tidemill.runtime import plan as plans
from tidemill.runtime.plan import Step, bind_parameters, make_plan, run_date
from tidemill.types.parameter import Text
from tidemill.types.standard import Model

PARAMETERS = PipelineIR(
    name="p",
    nodes=(),
    parameters=(
        ParameterIR(name="count", type="int", required=True),
        ParameterIR(name="rate", type="float", default=1),
        ParameterIR(name="title", type="str", default="x"),
        ParameterIR(name="fast", type="bool", default=False),
        ParameterIR(name="weights", type="json", default={"a": 1}),
    ),
)


def test_defaults_fill_what_is_not_given() -> None:
    bound = bind_parameters(PARAMETERS, {"count": 3})
    assert bound == {"count": 3, "rate": 1.0, "title": "x", "fast": False, "weights": {"a": 1}}
    assert list(bound) == [p.name for p in PARAMETERS.parameters]


def test_texts_are_read_as_on_a_command_line() -> None:
    given = {"count": "3", "rate": "2", "title": "7", "fast": "yes", "weights": Text("[1, 2]")}
    bound = bind_parameters(PARAMETERS, given)
    assert bound == {"count": 3, "rate": 2.0, "title": "7", "fast": True, "weights": [1, 2]}
    assert bind_parameters(PARAMETERS, given | {"weights": "[1, 2]"})["weights"] == "[1, 2]", "JSON as it is"


@pytest.mark.parametrize("rate", [1, 1.0, "1", None])
def test_one_is_one_however_it_is_given(rate: object) -> None:
    """Equal parameters must have equal cache keys, and those tell 1 from 1.0."""
    given = {"count": 1} if rate is None else {"count": 1, "rate": rate}
    assert repr(bind_parameters(PARAMETERS, given)["rate"]) == "1.0"


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ({}, "runtime parameter 'count' has no value", "pass --param count=..."),
        ({"cuont": 1}, "pipeline 'p' has no runtime parameter 'cuont'", "did you mean 'count'?"),
        ({"count": "many"}, "runtime parameter count='many' is not a valid int: invalid literal", ""),
        ({"count": 1.5}, "runtime parameter 'count': expected int, got float 1.5", ""),
        ({"count": True}, "runtime parameter 'count': expected int, got bool True", ""),
        ({"count": 1, "rate": math.nan}, "runtime parameter 'rate': value is nan, which JSON cannot", ""),
        ({"count": 1, "rate": "inf"}, "runtime parameter 'rate': value is inf, which JSON cannot", ""),
        ({"count": 1, "title": 7}, "runtime parameter 'title': expected str, got int 7", ""),
        ({"count": 1, "fast": "2"}, "runtime parameter fast='2' is not a valid bool: write true or", ""),
        ({"count": 1, "weights": {1}}, "runtime parameter 'weights': value is a set, which is not", ""),
        ({"count": 1, "weights": Text("[NaN]")}, "runtime parameter 'weights': value[0] is nan", ""),
    ],
)
def test_wrong_parameters_are_refused(given: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(RunnerError) as caught:
        bind_parameters(PARAMETERS, given)
    assert caught.value.message.startswith(message)
    assert caught.value.hint == hint


# --- date -----------------------------------------------------------------------------------------


def pipeline(timezone: str = "") -> PipelineIR:
    schedule = ScheduleIR(cron="@daily", timezone=timezone) if timezone else None
    return PipelineIR(name="p", nodes=(), schedule=schedule)


@pytest.mark.parametrize("given", ["2024-02-29", "20240229", "2024-W09-4"])
def test_a_given_date_is_written_in_one_way(given: str) -> None:
    assert run_date(pipeline(), given) == "2024-02-29"
    assert run_date(pipeline("Asia/Tokyo"), given) == "2024-02-29"


@pytest.mark.parametrize("given", ["2023-02-29", "29.2.2024", "today", "2024-02-29T00:00", " "])
def test_what_is_no_date_is_refused(given: str) -> None:
    with pytest.raises(RunnerError) as caught:
        run_date(pipeline(), given)
    assert (caught.value.message, caught.value.hint) == (f"{given!r} is not a date", "write YYYY-MM-DD")


def test_without_a_schedule_there_is_no_date() -> None:
    assert run_date(pipeline()) == ""


@pytest.mark.parametrize(
    ("timezone", "now", "date"),
    [
        ("UTC", datetime(2024, 3, 1, 0, 0, tzinfo=UTC), "2024-02-29"),
        ("UTC", datetime(2024, 2, 29, 23, 59, tzinfo=UTC), "2024-02-28"),
        ("Asia/Tokyo", datetime(2024, 2, 29, 15, 0, tzinfo=UTC), "2024-02-29"),
        ("Asia/Tokyo", datetime(2024, 2, 29, 14, 59, tzinfo=UTC), "2024-02-28"),
        ("America/New_York", datetime(2024, 3, 1, 4, 59, tzinfo=UTC), "2024-02-28"),
        ("Europe/Berlin", datetime(2024, 3, 31, 22, 30, tzinfo=UTC), "2024-03-31"),
        ("Europe/Berlin", datetime(2024, 3, 30, 22, 30, tzinfo=UTC), "2024-03-29"),
    ],
)
def test_a_scheduled_run_has_the_previous_day_of_its_time_zone(
    monkeypatch: pytest.MonkeyPatch, timezone: str, now: datetime, date: str
) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # a datetime will do
            return now.astimezone(tz)

    monkeypatch.setattr(plans, "datetime", Clock)
    assert run_date(pipeline(timezone)) == date


# --- order ----------------------------------------------------------------------------------------


@component
def work(model: Output[Model]) -> None:
    """A node of a graph whose edges are orders."""


graphs = st.integers(1, 12).flatmap(
    lambda size: st.tuples(
        st.permutations(range(size)),
        st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)), max_size=3 * size),
    )
)


@settings(max_examples=100)
@given(graphs)
def test_every_step_follows_its_upstream(graph: tuple[list[int], list[tuple[int, int]]]) -> None:
    """For any acyclic graph, in whatever order its nodes were defined."""
    defined, pairs = graph
    nodes = {i: work().with_id(f"n{i}") for i in defined}
    edges = {(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]}
    for before, after in sorted(edges):
        nodes[before] >> nodes[after]
    made = make_plan(compile_pipeline(Pipeline("p", list(nodes.values()))), {})
    place = {step.node_id: i for i, step in enumerate(made.steps)}
    assert len(place) == len(nodes)
    for step in made.steps:
        wanted = {f"n{before}" for before, after in edges if f"n{after}" == step.node_id}
        assert set(step.upstream) == wanted
        assert all(place[before] < place[step.node_id] for before in wanted)
    if not edges:
        assert [step.node_id for step in made.steps] == [f"n{i}" for i in defined]


def test_a_plan_says_what_will_be_done() -> None:
    options = OptionsIR(retries=2)
    wired = InputIR(name="model", type="Model", sources=(OutputRef("train", "model"),))
    ir = PipelineIR(
        name="p",
        nodes=(
            NodeIR(id="train", component="Train", executor="m:f", options=options),
            NodeIR(id="check", component="Check", executor="m:g", inputs=(wired,), after=("train",)),
        ),
        parameters=(ParameterIR(name="rate", type="float", default=0.5),),
    )
    made = make_plan(ir, {"rate": "2"}, "2024-02-29")
    assert (made.pipeline, made.version, made.date) == ("p", codec.version(ir), "2024-02-29")
    assert made.parameters == {"rate": 2.0}
    assert made.steps == (
        Step(node_id="train", component="Train", upstream=(), options=options),
        Step(node_id="check", component="Check", upstream=("train",), options=OptionsIR()),
    )
