"""Which outputs are assets, what they are called, what a run is given by what arrived. Without Airflow."""

from __future__ import annotations

import pytest

from tidemill.errors import DefinitionError
from tidemill.ir.model import (
    AllArrivals,
    AssetArrival,
    FilesArrival,
    InputIR,
    NodeIR,
    OutputIR,
    OutputRef,
    OutputValue,
    PipelineIR,
    ScheduleIR,
)
from tidemill.runners.airflow import names
from tidemill.runners.airflow.outputs import chosen
from tidemill.runners.base.arrivals import Arrived, date_of, files_arrived, parameters_of


def node(name: str, *taken: str, loops: tuple[str, ...] = (), value_of: str = "") -> NodeIR:
    return NodeIR(
        id=name, component="c", executor="m:f", loops=loops,
        inputs=tuple(InputIR(name=f"i{t}", type="T", sources=(OutputRef(t, "made"),)) for t in taken),
        outputs=(OutputIR(name="made", type="T"), OutputIR(name="said", type="T")),
        parameters={"v": OutputValue(value_of, "said")} if value_of else {},
    )  # fmt: skip


IR = PipelineIR(
    name="p",
    nodes=(
        node("a"), node("b", "a"), node("g.c", "b"), node("d", value_of="a"), node("e", "d", loops=("l",)),
        NodeIR(id="f", component="c", executor="m:f"),
    ),
)  # fmt: skip


def test_results_are_what_no_other_node_takes() -> None:
    assert chosen(IR) == {"g.c": ("made", "said")}
    assert list(chosen(IR, "all")) == ["a", "b", "g.c", "d", "e"]
    assert chosen(IR, "none") == {}
    assert chosen(IR, ["e", "a.said", "a.said"]) == {"a": ("said",), "e": ("made", "said")}
    assert chosen(IR, "g.c.made") == {"g.c": ("made",)}


def test_names_that_are_not_there_are_listed() -> None:
    with pytest.raises(DefinitionError) as error:
        chosen(IR, ["a.mad", "a", "f", "everything"])
    assert [p.what for p in error.value.problems] == [
        "assets: there is no output 'a.mad'", "assets: there is no output 'f'",
        "assets: there is no output 'everything'",
    ]  # fmt: skip
    assert "did you mean 'a.made'?" in error.value.problems[0].hint
    assert all(p.hint for p in error.value.problems)


def test_assets_have_stable_names_and_hold_no_secret() -> None:
    assert names.asset_uri("My.p", "g.c", "made") == "x-tidemill://My.p/g.c/made"
    assert names.files_uri("p", "in/{SPAN}") == "x-tidemill://p/files--d6a29daa1fc1dc1e"
    assert names.without_secret("postgresql://me:pw@host/db") == ""
    assert names.without_secret("postgresql://me@host/db") == "postgresql://me@host/db"


def test_what_arrived_says_the_date_and_the_parameters() -> None:
    waits = PipelineIR(
        name="w",
        nodes=(),
        schedule=ScheduleIR(
            on=AllArrivals((AssetArrival("x"), FilesArrival("{SPAN}.csv", parameter="span"))),
        ),
    )
    arrived = [
        Arrived(name="x", facts={"date": "2024-02-01"}),
        Arrived(name="x", facts={"date": "yesterday", "span": 99}),
        Arrived(name="f", facts=files_arrived("{SPAN}.csv", 4)),
        Arrived(name="f", facts=files_arrived("{SPAN}.csv", 3)),
    ]
    assert date_of(arrived) == "2024-02-01"
    assert date_of(arrived[1:]) == ""
    assert parameters_of(waits, arrived) == {"span": 4}
    assert parameters_of(waits, arrived[:2]) == {}
    assert parameters_of(IR, arrived) == {}
    assert files_arrived("{YYYY}{MM}{DD}", 19781)["date"] == "2024-02-28"


def test_of_the_facts_of_others_only_those_that_we_know_are_kept() -> None:
    arrived = Arrived(name="x", time="t", facts={"token": "s", "run": "r", "artifact": 3, "digest": ["odd"]})
    assert arrived.to_json() == {"name": "x", "time": "t", "run": "r", "artifact": 3}
