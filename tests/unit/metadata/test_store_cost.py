"""What claims, publications and questions cost: statements, commits, and growth with history."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tidemill.metadata.lineage import trace
from tidemill.metadata.model import Artifact, NodeState, Publication
from tidemill.metadata.sql import SqlStore, open_store
from tidemill.testing.store_stories import claim_node, end_node, examples, model, start_run, train_and_judge


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    store = open_store(str(tmp_path / "metadata.db"))
    yield store
    store.close()


@contextmanager
def counted(store: SqlStore) -> Iterator[list[str]]:
    """The statements that SQLite runs inside the block."""
    statements: list[str] = []
    connection = store.database.connection()
    connection.set_trace_callback(statements.append)
    yield statements
    connection.set_trace_callback(None)


def test_statements_of_claim_and_publish(store: SqlStore) -> None:
    """Of a node whose component and context are known: the usual case from the second run on."""
    for run in ("r1", "r2"):
        start_run(store, run)
        given = end_node(store, run, "gen", outputs={"x": [examples(1)]}).outputs["x"]
        with counted(store) as claiming:
            claim = claim_node(store, run, "trainer")
        publication = Publication(
            state=NodeState.COMPLETE,
            inputs={"x": [given[0].id]},
            outputs={"model": [Artifact(type="Model", uri="u", custom_properties={"digest": "d"})]},
            properties={"seconds": 1.0, "reason": "new", "parts": "{}"},
            cache_key="k",
        )
        with counted(store) as publishing:
            store.publish(claim, publication)
    assert len(claiming) <= 6, claiming
    assert len(publishing) <= 12, publishing
    assert [s for s in claiming + publishing if s == "COMMIT"] == ["COMMIT"] * 2


def test_statements_do_not_grow_with_inputs_outputs_and_properties(store: SqlStore) -> None:
    start_run(store, "r1")
    given = end_node(store, "r1", "gen", outputs={"x": [examples(i) for i in range(20)]}).outputs["x"]
    counts = []
    for node, inputs, outputs, properties in (("small", 1, 1, 1), ("large", 20, 15, 15)):
        with counted(store) as claiming:
            claim = claim_node(store, "r1", node)
        publication = Publication(
            state=NodeState.COMPLETE,
            inputs={"x": [a.id for a in given[:inputs]]},
            outputs={"model": [model() for _ in range(outputs)]},
            properties={f"p{i}": i for i in range(properties)},
        )
        with counted(store) as statements:
            store.publish(claim, publication)
        assert len(claiming) <= 10, claiming
        counts.append(len(statements))
    assert counts[0] == counts[1] <= 13


def test_a_taken_claim_writes_nothing(store: SqlStore) -> None:
    start_run(store, "r1")
    claim_node(store, "r1", "a", attempt=1)
    with counted(store) as statements:
        claim_node(store, "r1", "a", attempt=1)
    assert len(statements) == 3, statements


def steps(store: SqlStore, ask: object) -> int:
    """Steps of SQLite's machine, in tens, that a question takes: what it reads, whatever the clock says."""
    count = [0]

    def step() -> int:
        count[0] += 1
        return 0

    connection = store.database.connection()
    connection.set_progress_handler(step, 10)
    assert callable(ask)
    ask()
    connection.set_progress_handler(None, 10)
    return count[0]


def test_questions_of_the_launcher_do_not_slow_down_with_history(store: SqlStore) -> None:
    """After six times as many runs they may read a tenth more (deeper trees), not six times as much."""
    questions = {
        "latest_blessed": lambda: store.latest_blessed("taxi", "trainer", "model"),
        "get_window": lambda: store.get_window("taxi", "gen", "x", spans=3, until=10_000, passed="check"),
        "find_cached": lambda: store.find_cached("same key"),
        "last_cache_key": lambda: store.last_cache_key("taxi", "gen"),
        "claim": lambda: claim_node(store, "open", "never"),
    }
    start_run(store, "open")
    claim_node(store, "open", "never")
    found: list[dict[str, int]] = []
    for first, last in ((0, 10), (10, 60)):
        for i in range(first, last):
            run = f"r{i:03}"
            train_and_judge(store, run, blessed=1, date=f"2024-01-{i:02}")
            end_node(store, run, "gen", outputs={"x": [examples(i)]}, cache_key="same key")
            end_node(store, run, "check")
        found.append({name: steps(store, ask) for name, ask in questions.items()})
    assert all(count > 0 for count in found[0].values())
    grown = {name: (found[0][name], found[1][name]) for name in questions}
    assert all(after <= before * 1.1 + 5 for before, after in grown.values()), grown


def test_tracing_asks_once_per_level_and_kind(store: SqlStore) -> None:
    """A fan of 50 costs as many statements as a fan of 5."""
    counts = []
    for run, width in (("narrow", 5), ("wide", 50)):
        start_run(store, run)
        made = end_node(store, run, "gen", outputs={"x": [examples(1)]}).only("x")
        for i in range(width):
            end_node(store, run, f"n{i}", inputs={"x": [made]}, outputs={"m": [model()]})
        with counted(store) as statements:
            found = trace(store, artifact_id=made.id)
        assert len(found.executions) == width + 1
        counts.append(len(statements))
    assert counts[0] == counts[1]


def test_a_list_of_ids_is_whole_however_many_values_stand_beside_it(store: SqlStore) -> None:
    """A filter may bring more values than one portion of ids has room for."""
    ids = set(range(1, 10))
    for others in (0, 899, 900, 901, 2000):
        marks = ", ".join("?" * others) or "NULL"
        sql = f"SELECT id FROM Type WHERE name NOT IN (SELECT '' WHERE '' IN ({marks})) AND id IN ({{ids}})"
        with store.database.reading() as tx:
            found = tx.rows_in(sql, ids, ["x"] * others)
        assert {row[0] for row in found} == ids
