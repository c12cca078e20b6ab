"""What holds of servers only: other people's tables, names that are too long, locks, round trips."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tidemill.errors import StoreError
from tidemill.metadata.model import Artifact, ArtifactType, ClaimRequest, NodeState, PropertyType, Publication
from tidemill.metadata.sql import SqlStore, open_store
from tidemill.metadata.sql.database import Transaction
from tidemill.metadata.sql.migrations import newest
from tidemill.metadata.sql.store import _dialect
from tidemill.testing.store_races import at_once
from tidemill.testing.store_stories import TYPES, claim_node, end_node, model, snapshot, start_run


@pytest.fixture
def name(server: Any) -> Iterator[str]:
    with server.database() as name:
        yield name


@pytest.fixture
def store(server: Any, name: str) -> Iterator[SqlStore]:
    store = open_store(server.url(name))
    yield store
    store.close()


def execute(store: SqlStore, *statements: str) -> None:
    with store.database.writing() as tx:
        for statement in statements:
            tx.execute(statement)


@pytest.fixture
def theirs(server: Any, name: str, store: SqlStore) -> Iterator[SqlStore]:
    """The tables as ml-metadata makes them on an untouched server: 32 bits, and what differs below."""
    tables = store.statistics()
    execute(store, *(f"DROP TABLE {table}" for table in tables if table.startswith("tidemill_")))
    if type(server).__name__ == "Mariadb":
        for table in (t for t in tables if not t.startswith("tidemill_")):
            execute(store, f"ALTER TABLE {table} CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
        execute(store, *(f"ALTER TABLE {o}Property MODIFY int_value INT" for o in _OWNERS))
    else:
        execute(store, *(f"ALTER TABLE {o}Property ALTER int_value TYPE INT" for o in _OWNERS))
        execute(
            store,
            "ALTER TABLE EventPath DROP COLUMN tidemill_order",
            "DROP INDEX idx_artifact_property_string",
            "CREATE INDEX idx_artifact_property_string ON ArtifactProperty "
            "(name, is_custom_property, string_value)",
        )
    found = open_store(server.url(name))
    yield found
    found.close()


_OWNERS = ("Artifact", "Execution", "Context")


def test_names_that_are_too_long_are_named(store: SqlStore) -> None:
    """Before the database refuses without saying which; nothing is recorded."""
    start_run(store, "r1")
    claim = claim_node(store, "r1", "a")
    before = snapshot(store, "r1")
    long = "n" * 256
    named = Publication(state=NodeState.COMPLETE, outputs={"x": [Artifact(type="Model", uri="u", name=long)]})
    owner = ClaimRequest(run_id="r1", node_id="b", component="Trainer", owner=long)
    for ask, word in (
        (lambda: start_run(store, long), "Context"),
        (lambda: start_run(store, "r2", pipeline=long), "Context"),
        (lambda: claim_node(store, "r1", long), "Execution"),
        (lambda: store.claim(owner), "owner"),
        (lambda: store.publish(claim, named), "name of Artifact"),
        (lambda: store.publish(claim, Publication(state=NodeState.COMPLETE, properties={long: 1})), "name"),
        (lambda: store.publish(claim, Publication(state=NodeState.COMPLETE, cache_key=long)), "255|longer"),
    ):
        with pytest.raises(StoreError, match=word):
            ask()
    assert snapshot(store, "r1") == before
    fits = Publication(
        state=NodeState.COMPLETE, outputs={"x": [Artifact(type="Model", uri="u", name="n" * 255)]}
    )
    store.publish(claim, fits)


def test_types_and_contexts_are_stored_once(store: SqlStore) -> None:
    """Runs that start at the same time register the same types; MLMD has no rule that forbids two."""
    kinds = [ArtifactType(name=f"T{i}", properties={"p": PropertyType.INT}) for i in range(5)]
    at_once([partial(start_run, store, f"r{i}", types=kinds[i % 3 :] + kinds[: i % 3]) for i in range(8)])
    at_once([partial(claim_node, store, f"r{i}", "a", component="New") for i in range(8)])
    assert len(store.get_runs()) == 8
    with store.database.reading() as tx:
        names = Counter(name for (name,) in tx.rows("SELECT name FROM Type"))
        declared = tx.rows("SELECT COUNT(*) FROM TypeProperty")
    assert set(names.values()) == {1}
    assert {"T0", "T4", "New", "node"} <= set(names)
    assert declared == [(5,)]
    assert store.statistics()["Context"] == 1 + 8 + 1


def test_transactions_that_wait_for_each_other(store: SqlStore) -> None:
    """A deadlock costs one of them another attempt; both changes are made."""
    for run in ("r1", "r2"):
        start_run(store, run)
    both = threading.Barrier(2)
    tries: Counter[str] = Counter()

    def change(tx: Transaction, first: str, second: str) -> None:
        tries[first] += 1
        for run in (first, second):
            assert tx.execute("UPDATE tidemill_run SET root = CONCAT(root, '+1') WHERE id = ?", (run,)) == 1
            if run == first and tries[first] == 1:
                both.wait()

    at_once(
        [
            lambda: store.database.write(lambda tx: change(tx, "r1", "r2")),
            lambda: store.database.write(lambda tx: change(tx, "r2", "r1")),
        ]
    )
    assert sorted(tries.values()) == [1, 2]
    assert {len(run.root) for run in store.get_runs()} == {len("file:///pipelines") + 4}


def test_round_trips_of_claim_and_publish(server: Any, name: str, store: SqlStore, proxy: Any) -> None:
    """At most as many as SQLite runs statements: each costs a way over the network here."""
    far = open_store(server.url(name, proxy.port))
    counts = []
    for run in ("r1", "r2"):
        start_run(far, run)
        given = end_node(far, run, "gen", outputs={"x": [model()]}).outputs["x"]
        publication = Publication(
            state=NodeState.COMPLETE,
            inputs={"x": [given[0].id]},
            outputs={"model": [Artifact(type="Model", uri="u", custom_properties={"digest": "d"})]},
            properties={"seconds": 1.0, "reason": "new", "parts": "{}"},
            cache_key="k",
        )
        counts = [proxy.round_trips]
        claim = claim_node(far, run, "trainer")
        counts.append(proxy.round_trips)
        far.publish(claim, publication)
        counts.append(proxy.round_trips)
    far.close()
    start, claimed, published = counts
    assert claimed - start <= 6
    assert published - claimed <= 13


def test_a_database_of_ml_metadata_becomes_ours(theirs: SqlStore) -> None:
    """Its rows and columns stay; text, order of paths and properties work as in a new one."""
    start_run(theirs, "r1")
    made = end_node(
        theirs, "r1", "a", outputs={"x": [model(), model()]}, properties={"p": -(2**31), "t": "ä€"}
    )
    ended = end_node(theirs, "r1", "b", inputs={"m": made.outputs["x"], "n": made.outputs["x"][:1]})
    (first, second) = theirs.get_events(execution_ids=[ended.execution_id])
    assert (first.path, second.path) == (("m", 0, "n", 0), ("m", 1))
    (execution,) = theirs.get_executions_by_id([made.execution_id])
    assert execution.custom_properties == {"p": -(2**31), "t": "ä€"}
    theirs.put_pipeline_version("v1", "taxi", "{}")
    assert [f for f in theirs.findings() if f.invariant != "ir-matches-version"] == []


def test_numbers_that_ml_metadata_cannot_keep(theirs: SqlStore) -> None:
    start_run(theirs, "r1")
    claim = claim_node(theirs, "r1", "a")
    before = snapshot(theirs, "r1")
    with pytest.raises(StoreError, match="32 bits") as caught:
        theirs.publish(claim, Publication(state=NodeState.COMPLETE, properties={"bytes": 2**31}))
    assert "BIGINT" in caught.value.hint
    assert snapshot(theirs, "r1") == before


def test_text_that_ml_metadatas_index_cannot_keep(theirs: SqlStore, server: Any) -> None:
    """PostgreSQL's alone; in a database that we made, text of any length is kept."""
    if type(server).__name__ == "Mariadb":
        pytest.skip("indexes of MariaDB take the first 255 characters")
    start_run(theirs, "r1")
    claim = claim_node(theirs, "r1", "a")
    text = "".join(chr(0x4E00 + i * 7919 % 20000) for i in range(5000))  # does not compress
    artifact = Artifact(type="Model", uri="u", custom_properties={"t": text})
    with pytest.raises(StoreError, match="too long for an index") as caught:
        theirs.publish(claim, Publication(state=NodeState.COMPLETE, outputs={"x": [artifact]}))
    assert "left(string_value, 255)" in caught.value.hint


@pytest.mark.parametrize(
    "text", ["", "x" * 100_000, "".join(chr(0x4E00 + i * 7919 % 20000) for i in range(9000))]
)
def test_text_of_any_length(store: SqlStore, text: str) -> None:
    start_run(store, "r1")
    artifact = Artifact(type="Model", uri="u", custom_properties={"t": text})
    ended = end_node(store, "r1", "a", outputs={"x": [artifact]}, properties={"t": text}, message=text)
    assert ended.only("x").custom_properties == {"t": text}
    assert store.get_nodes("r1")[0].message == text


@pytest.mark.parametrize(("one", "other"), [("r1", "R1"), ("r1", "r1 "), ("a\u0308", "\u00e4")])
def test_names_differ_when_their_bytes_do(store: SqlStore, one: str, other: str) -> None:
    for run in (one, other):
        start_run(store, run, pipeline=run)
        end_node(store, run, run, outputs={"x": [model()]}, cache_key=run)
    assert {r.id for r in store.get_runs()} == {one, other}
    for run in (one, other):
        assert [e.name for e in store.get_executions(run)] == [f"{run}/{run}/0/1"]
        assert len(store.find_cached(run)) == len(store.get_artifacts(pipeline=run)) == 1


def test_names_that_a_database_of_ml_metadata_mistakes(theirs: SqlStore, server: Any) -> None:
    """On MariaDB its tables ignore case and trailing spaces: said, and never the wrong run's record."""
    start_run(theirs, "r1")
    end_node(theirs, "r1", "a")
    if type(server).__name__ == "Postgresql":
        start_run(theirs, "R1")
        return
    for run in ("R1", "r1 "):
        with pytest.raises(StoreError, match="cannot be told from 'r1'"):
            start_run(theirs, run)
        with pytest.raises(StoreError, match="cannot be told"):
            theirs.get_executions(run)
    with pytest.raises(StoreError, match="contradicts"):
        claim_node(theirs, "r1", "A")
    assert theirs.get_run("R1") is None
    assert theirs.get_artifacts(type="model") == []
    start_run(theirs, "r2", types=[*TYPES, ArtifactType(name="model")])
    ended = end_node(theirs, "r2", "b", outputs={"x": [Artifact(type="model", uri="u")]})
    assert theirs.get_artifacts(type="model") == [ended.only("x")]
    assert theirs.get_artifacts(type="Model") == []


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 1.0])
def test_a_creation_that_was_interrupted_is_completed(
    server: Any, name: str, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where CREATE TABLE cannot be undone, the next to open goes on; where it can, it starts anew."""
    seen, stop_at = 0, 0
    dialect = type(_dialect(server.url(name), False))
    real = dialect.execute

    def stop(self: Any, *rest: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == stop_at:
            raise KeyboardInterrupt
        real(self, *rest)

    monkeypatch.setattr(dialect, "execute", stop)
    whole = open_store(server.url(name))
    statements = seen
    expected = whole.statistics()
    whole.close()
    server.drop(name)
    server.admin(f"CREATE DATABASE {name}")
    stop_at, seen = int(statements * share), 0
    with pytest.raises(KeyboardInterrupt):
        open_store(server.url(name))
    again = open_store(server.url(name))
    assert again.statistics() == expected
    start_run(again, "r1")
    again.close()


def test_what_cannot_be_opened_says_why(server: Any, name: str) -> None:
    with pytest.raises(StoreError, match="no tidemill record yet"):
        open_store(server.url(name), read_only=True)
    store = open_store(server.url(name))
    start_run(store, "r1")
    execute(store, "UPDATE MLMDEnv SET schema_version = 11")
    with pytest.raises(StoreError, match="schema version 11"):
        open_store(server.url(name))
    later = newest() + 1
    own = f"UPDATE tidemill_env SET schema_version = {later}"
    execute(store, "UPDATE MLMDEnv SET schema_version = 10", own)
    with pytest.raises(StoreError, match=f"tidemill schema version {later}"):
        open_store(server.url(name))
    execute(store, "DROP TABLE tidemill_env", "DROP TABLE EventPath")
    with pytest.raises(StoreError, match="lacks tables: EventPath"):
        open_store(server.url(name))
    execute(store, "DROP TABLE MLMDEnv")
    with pytest.raises(StoreError, match="belongs to something else"):
        open_store(server.url(name))
    store.close()
    with pytest.raises(StoreError, match="t404"):
        open_store(server.url("t404"))


def test_a_reader_changes_nothing(server: Any, name: str, store: SqlStore) -> None:
    start_run(store, "r1")
    reader = open_store(server.url(name), read_only=True)
    assert [r.id for r in reader.get_runs()] == ["r1"]
    with pytest.raises(StoreError, match="read-only"):
        claim_node(reader, "r1", "a")
    reader.close()


def test_a_wrong_password_is_not_repeated(server: Any, name: str) -> None:
    url = server.url(name, server.port).replace("open%3A", "wrong%3A")
    with pytest.raises(StoreError) as caught:
        open_store(url)
    said = f"{caught.value}{caught.value!r}{caught.value.__cause__}"
    assert "tidemill" in said
    assert "sesame" not in said


def test_tls_that_is_asked_for_is_not_left_out(server: Any, name: str) -> None:
    """These servers have none: then there is no connection, rather than one that anybody can read."""
    option = "sslmode=require" if type(server).__name__ == "Postgresql" else "ssl_verify_cert=true"
    with pytest.raises(StoreError, match="SSL"):
        open_store(f"{server.url(name, server.port)}?{option}")
