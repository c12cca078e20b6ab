"""Lineage: the right graph, bounded, and printed in ways that other tools read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidemill.errors import StoreError
from tidemill.metadata.lineage import Direction, Lineage, trace
from tidemill.metadata.model import Artifact, Event, EventType, Execution, NodeState
from tidemill.metadata.sql import SqlStore, open_store
from tidemill.testing.store_stories import Ended, end_node, examples, model, start_run


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    store = open_store(str(tmp_path / "metadata.db"))
    yield store
    store.close()


@pytest.fixture
def story(store: SqlStore) -> dict[str, Ended]:
    """gen -> trainer -> pusher, gen -> stats; a second run reuses gen and trains again."""
    start_run(store, "r1")
    gen = end_node(store, "r1", "gen", outputs={"x": [examples(1)]})
    stats = end_node(store, "r1", "stats", inputs={"x": gen.outputs["x"]}, outputs={"s": [model("s")]})
    trainer = end_node(store, "r1", "trainer", inputs={"x": gen.outputs["x"]}, outputs={"m": [model()]})
    pusher = end_node(store, "r1", "pusher", inputs={"m": trainer.outputs["m"]}, outputs={"p": [model("p")]})
    start_run(store, "r2")
    again = end_node(store, "r2", "gen", state=NodeState.CACHED, outputs=gen.outputs)
    second = end_node(store, "r2", "trainer", inputs={"x": gen.outputs["x"]}, outputs={"m": [model("m2")]})
    return {
        "gen": gen,
        "stats": stats,
        "trainer": trainer,
        "pusher": pusher,
        "again": again,
        "second": second,
    }


def nodes(found: Lineage, story: dict[str, Ended]) -> set[str]:
    names = {ended.execution_id: name for name, ended in story.items()}
    return {names[e.id] for e in found.executions}


def test_upstream_is_what_led_to_it(store: SqlStore, story: dict[str, Ended]) -> None:
    """Not what merely reused it, nor its siblings."""
    found = trace(store, artifact_id=story["pusher"].only("p").id, direction="upstream")
    assert nodes(found, story) == {"gen", "trainer", "pusher"}
    assert [a.uri for a in found.artifacts] == ["file:///examples", "file:///model", "p"]
    assert [(e.type, e.path[0]) for e in found.events] == [
        (EventType.OUTPUT, "x"), (EventType.INPUT, "x"), (EventType.OUTPUT, "m"), (EventType.INPUT, "m"),
        (EventType.OUTPUT, "p"),
    ]  # fmt: skip
    assert not found.truncated


def test_downstream_is_what_came_of_it(store: SqlStore, story: dict[str, Ended]) -> None:
    found = trace(store, artifact_id=story["gen"].only("x").id, direction="downstream")
    assert nodes(found, story) == {"stats", "trainer", "pusher", "second"}
    found = trace(store, artifact_id=story["trainer"].only("m").id, direction="downstream")
    assert nodes(found, story) == {"pusher"}


def test_both_is_the_union_not_everything_connected(store: SqlStore, story: dict[str, Ended]) -> None:
    found = trace(store, artifact_id=story["trainer"].only("m").id)
    assert nodes(found, story) == {"gen", "trainer", "pusher"}
    ends = {a.id for a in found.artifacts}, {e.id for e in found.executions}
    assert all(e.artifact_id in ends[0] and e.execution_id in ends[1] for e in found.events)


def test_a_run_with_a_reused_result_leads_back_to_the_run_that_made_it(
    store: SqlStore, story: dict[str, Ended]
) -> None:
    found = trace(store, run_id="r2", direction="upstream")
    assert nodes(found, story) == {"again", "second", "gen"}
    assert nodes(trace(store, run_id="r1", direction="upstream"), story) == {
        "gen", "stats", "trainer", "pusher",
    }  # fmt: skip


@pytest.mark.parametrize("direction", ["upstream", "downstream", "both"])
def test_a_run_has_what_it_put_out(store: SqlStore, story: dict[str, Ended], direction: Direction) -> None:
    """Its last results too, to which nothing leads on."""
    found = trace(store, run_id="r1", direction=direction)
    assert {a.uri for a in found.artifacts} >= {"file:///examples", "file:///model", "s", "p"}
    assert len([e for e in found.events if e.type is EventType.OUTPUT]) >= 4


def test_a_long_chain_is_followed_to_its_end(store: SqlStore) -> None:
    """Past the 100 hops at which MLMD stops silently."""
    start_run(store, "r1")
    last: list[Artifact] = []
    for i in range(150):
        last = list(end_node(store, "r1", f"n{i}", inputs={"x": last}, outputs={"x": [model()]}).outputs["x"])
    found = trace(store, artifact_id=last[0].id, direction="upstream")
    assert (len(found.artifacts), len(found.executions), len(found.events)) == (150, 150, 299)


@pytest.mark.parametrize("room", [1, 2, 3, 7])
def test_the_bound_keeps_the_nearest_and_says_so(store: SqlStore, story: dict[str, Ended], room: int) -> None:
    found = trace(store, artifact_id=story["pusher"].only("p").id, direction="upstream", max_nodes=room)
    assert len(found.artifacts) + len(found.executions) == min(room, 6)
    assert found.truncated is (room < 6)
    assert story["pusher"].only("p") in found.artifacts
    assert ("more" in found.to_mermaid()) is found.truncated
    assert ("more" in found.to_dot()) is found.truncated


def test_what_cannot_be_traced(store: SqlStore, story: dict[str, Ended]) -> None:
    for words, match in (
        ({"artifact_id": 999}, "no artifact 999"),
        ({"run_id": "r9"}, "no run 'r9'"),
        ({}, "one of them"),
        ({"artifact_id": 1, "run_id": "r1"}, "one of them"),
        ({"artifact_id": 1, "direction": "sideways"}, "sideways"),
    ):
        with pytest.raises(StoreError, match=match):
            trace(store, **words)


def test_json_is_plain_and_complete(store: SqlStore, story: dict[str, Ended]) -> None:
    found = trace(store, artifact_id=story["trainer"].only("m").id, direction="upstream")
    plain = json.loads(json.dumps(found.to_json()))
    assert [a["type"] for a in plain["artifacts"]] == ["Examples", "Model"]
    assert plain["artifacts"][0]["properties"] == {"span": 1, "version": 1}
    assert [e["state"] for e in plain["executions"]] == ["COMPLETE", "COMPLETE"]
    assert plain["events"][0] == {
        "artifact": 1, "execution": 1, "type": "OUTPUT", "path": ["x", 0], "time": found.events[0].time,
    }  # fmt: skip
    assert plain["truncated"] is False


GRAPH = Lineage(
    artifacts=(Artifact(id=7, type='Odd"type|]', uri="u", properties={"span": 3}),),
    executions=(Execution(id=2, type="Gen", name="r/gen/0/1"),),
    events=(
        Event(artifact_id=7, execution_id=2, type=EventType.OUTPUT, path=("x", 0)),
        Event(artifact_id=7, execution_id=2, type=EventType.INPUT),
    ),
)


def test_mermaid() -> None:
    assert GRAPH.to_mermaid().splitlines() == [
        "flowchart LR",
        '  a7(["Odd#34;type#124;#93; 7 span 3"])',
        '  e2["r/gen/0/1 UNKNOWN"]',
        "  e2 -->|x| a7",
        "  a7 --> e2",
    ]


def test_dot() -> None:
    assert GRAPH.to_dot().splitlines() == [
        "digraph lineage {",
        "  rankdir=LR;",
        '  a7 [shape=ellipse, label="Odd\\"type|] 7 span 3"];',
        '  e2 [shape=box, label="r/gen/0/1 UNKNOWN"];',
        '  e2 -> a7 [label="x"];',
        '  a7 -> e2 [label=""];',
        "}",
    ]


def test_dot_keeps_letters_of_all_languages() -> None:
    """Graphviz would show an escape like \\u00e4 as u00e4."""
    graph = Lineage(artifacts=(Artifact(id=1, type="Modäll 日", uri="u"),), executions=(), events=())
    assert '[shape=ellipse, label="Modäll 日 1"];' in graph.to_dot()
