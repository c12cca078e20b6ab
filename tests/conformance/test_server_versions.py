"""Versions of the schema on servers: opened in place, upgraded, brought back, interrupted, met by others."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tidemill.errors import StoreError
from tidemill.metadata.sql import migrations, open_store, upkeep
from tidemill.metadata.sql.catalog import Shape, read_catalog
from tidemill.metadata.sql.migrations import STEPS, Step
from tidemill.metadata.sql.store import SqlStore, open_database
from tidemill.testing.store_races import at_once
from tidemill.testing.store_stories import claim_node, end_node, model, start_run

OPEN = "import sys; from tidemill.metadata.sql import open_store; open_store(sys.argv[1]).close()"


def _by_hand() -> ModuleType:
    path = Path(__file__).parents[1] / "unit" / "metadata" / "mlmd_versions.py"
    spec = importlib.util.spec_from_file_location("mlmd_versions", path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


BY_HAND = _by_hand()


@pytest.fixture
def name(server: Any) -> Iterator[str]:
    with server.database() as name:
        yield name


@pytest.fixture
def url(server: Any, name: str) -> str:
    return str(server.url(name))


def kind_of(server: Any) -> str:
    return type(server).__name__.lower()


def execute(url: str, *statements: str) -> list[Any]:
    """Run statements on whatever database; the rows of the last one."""
    database = open_database(url)
    found: list[Any] = []
    try:
        with database.writing() as tx:
            for statement in statements:
                if statement.startswith("SELECT"):
                    found = tx.rows(statement)
                else:
                    tx.execute(statement)
    finally:
        database.close()
    return found


def make(server: Any, url: str, version: int) -> None:
    execute(url, *BY_HAND.statements(version, kind_of(server)))


def shapes(url: str) -> dict[str, Any]:
    """The catalogue: columns in any order (ALTER TABLE adds at the end), rules by what they say.

    Integers of properties have 64 bits in a database that we made, and 32 in MLMD's.
    """
    database = open_database(url, read_only=True)
    found: dict[str, Shape] = database.read(read_catalog)
    database.close()
    told = {}
    for name, table in found.items():
        columns = {n: c for n, c in table.columns.items() if n not in ("int_value", "tidemill_order")}
        rules = sorted((n if n.startswith(("idx_", "tidemill_")) else "", r.unique, r.columns)
                       for n, r in table.rules.items())  # fmt: skip
        told[name] = (columns, rules)
    return told


def mlmds(found: dict[str, Any]) -> dict[str, Any]:
    """MLMD's part of a catalogue."""
    return {
        name: (columns, [r for r in rules if not r[0].startswith("tidemill_")])
        for name, (columns, rules) in found.items()
        if not name.startswith("tidemill_")
    }


@pytest.fixture
def newest(server: Any) -> dict[str, Any]:
    """The shapes of a new store."""
    with server.database() as name:
        open_store(server.url(name)).close()
        return shapes(server.url(name))


def check_read(store: SqlStore) -> None:
    second, first = store.get_artifacts()
    assert (first.type, first.uri, first.name) == ("Examples", "/data/ä", "day 1")
    assert first.properties == {"span": 3, "split": "träin"}
    assert (second.type, second.custom_properties) == ("Model", {"loss": 0.25})
    (execution,) = store.get_executions_by_id([1])
    assert (execution.name, execution.custom_properties) == ("run 1", {"steps": -7})
    used, made = store.get_events(execution_ids=[1])
    assert (used.path, made.path) == (("examples", 0), ("model",))
    (context,) = store.get_contexts_by_execution(1)
    assert (context.type, context.name, context.custom_properties) == ("pipeline", "taxi", {"note": "n"})


@pytest.mark.parametrize("version", range(6, 11))
def test_opened_in_place(server: Any, url: str, newest: dict[str, Any], version: int) -> None:
    """Read-only as it is, then brought to the newest form."""
    make(server, url, version)
    before = shapes(url)
    reader = open_store(url, read_only=True)
    check_read(reader)
    assert reader.get_runs() == []
    assert reader.find_cached("k") == []
    assert reader.statistics()["tidemill_node"] == 0
    assert reader.findings() == []
    with pytest.raises(StoreError, match="read-only"):
        start_run(reader, "r1")
    reader.close()
    assert shapes(url) == before
    assert len(upkeep.status(url).pending) > 5
    store = open_store(url)
    check_read(store)
    start_run(store, "r1")
    end_node(store, "r1", "a", outputs={"x": [model()]})
    assert store.get_artifacts()[0].id == 3
    store.close()
    assert shapes(url) == newest
    assert upkeep.status(url).pending == ()


@pytest.mark.parametrize("version", [0, 1, 3, 5])
def test_upgraded_on_request(server: Any, url: str, newest: dict[str, Any], version: int) -> None:
    make(server, url, version)
    before = shapes(url)
    with pytest.raises(StoreError, match=f"schema version {version}") as caught:
        open_store(url)
    assert "tidemill metadata upgrade" in caught.value.hint
    told = upkeep.outlook(url)
    assert (told.version, told.lost, told.can_copy) == (version, 0, False)
    assert shapes(url) == before
    assert upkeep.upgrade(url) == ""
    assert shapes(url) == newest
    store = open_store(url)
    assert [a.uri for a in store.get_artifacts()] == ["/model", "/data/ä"]
    start_run(store, "r1")
    store.close()


@pytest.mark.parametrize("version", [9, 7, 6, 4, 2, 0])
def test_brought_back(server: Any, url: str, newest: dict[str, Any], version: int) -> None:
    make(server, url, 10)
    open_store(url).close()
    assert upkeep.downgrade(url, version) == ""
    assert upkeep.status(url).mlmd == version
    with server.database() as other:
        make(server, server.url(other), version)
        assert mlmds(shapes(url)) == mlmds(shapes(server.url(other)))
    upkeep.upgrade(url)
    assert shapes(url) == newest
    assert [uri for (uri,) in execute(url, "SELECT uri FROM Artifact ORDER BY id")] == ["/data/ä", "/model"]


def test_our_own_tables_go_when_asked(server: Any, url: str) -> None:
    make(server, url, 10)
    before = shapes(url)
    store = open_store(url)
    start_run(store, "r1")
    store.close()
    with pytest.raises(StoreError, match="refers to what"):
        upkeep.downgrade(url, 5)
    upkeep.downgrade(url, 10, drop_own=True)
    assert shapes(url) == before


def test_long_text_has_no_room_in_older_versions(server: Any, url: str) -> None:
    """MariaDB's alone. Nothing is cut, and nothing is changed before that is known."""
    if kind_of(server) == "postgresql":
        pytest.skip("text of PostgreSQL has one length in all versions")
    make(server, url, 10)
    before = shapes(url)
    execute(
        url, f"UPDATE ArtifactProperty SET string_value = '{'x' * 65_536}' WHERE string_value IS NOT NULL"
    )
    for act in (upkeep.outlook, upkeep.downgrade):
        with pytest.raises(StoreError, match="1 values are too long to let string_value of ArtifactProperty"):
            act(url, 6)
    assert shapes(url) == before
    execute(
        url, f"UPDATE ArtifactProperty SET string_value = '{'x' * 65_535}' WHERE string_value IS NOT NULL"
    )
    upkeep.downgrade(url, 6)
    assert execute(url, "SELECT MAX(LENGTH(string_value)) FROM ArtifactProperty") == [(65_535,)]


def to_first(url: str) -> None:
    """Bring our own tables of a database back to their first version."""
    database = open_database(url)
    with database.writing() as tx:
        for index in ("tidemill_association_execution", "tidemill_attribution_artifact"):
            table = "Association" if "association" in index else "Attribution"
            tx.execute(tx.dialect.drop_index(table, index))
        tx.execute("DROP TABLE tidemill_migration")
    database.close()


def test_a_new_database_is_the_sum_of_the_steps(url: str, newest: dict[str, Any]) -> None:
    store = open_store(url)
    start_run(store, "r1")
    store.close()
    to_first(url)
    assert shapes(url) != newest
    store = open_store(url)
    assert [r.id for r in store.get_runs()] == ["r1"]
    store.close()
    assert shapes(url) == newest
    assert upkeep.status(url).own == len(STEPS) + 1


def test_an_earlier_client_works_on_a_later_schema(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while a later one migrates beside it."""
    older = open_store(url)
    start_run(older, "r1")
    assert claim_node(older, "r1", "a").granted
    later = migrations.newest() + 1
    with monkeypatch.context() as newer:
        newer.setattr(migrations, "STEPS", (*STEPS, Step(later, "a test")))
        at_once(
            [lambda: open_store(url).close(), lambda: [claim_node(older, "r1", f"b{i}") for i in range(20)]]
        )
        assert upkeep.status(url).own == later
    open_store(url).close()
    end_node(older, "r1", "c", outputs={"x": [model()]})
    assert len(older.get_nodes("r1")) == 22
    older.close()


@pytest.mark.parametrize("version", [7, 10])
def test_processes_that_open_an_old_database_at_once(
    server: Any, url: str, newest: dict[str, Any], version: int
) -> None:
    make(server, url, version)
    running = [
        subprocess.Popen([sys.executable, "-c", OPEN, url], stderr=subprocess.PIPE, text=True)
        for _ in range(5)
    ]
    for process in running:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    assert shapes(url) == newest
    assert execute(url, "SELECT subject, version FROM tidemill_migration ORDER BY id") == [
        ("tidemill", migrations.newest()), ("mlmd", 10),
    ]  # fmt: skip


# Opens or upgrades; dies before its N-th statement.
DIE = """
import os, signal, sys
from tidemill.metadata.sql import upkeep
from tidemill.metadata.sql.store import _dialect
url, kill_at = sys.argv[1], int(sys.argv[2])
kind = type(_dialect(url, False))
real, seen = kind.execute, 0
def execute(self, cursor, sql, values, before):
    global seen
    seen += 1
    if seen == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
    real(self, cursor, sql, values, before)
kind.execute = execute
upkeep.downgrade(url, int(sys.argv[3])) if len(sys.argv) > 3 else upkeep.upgrade(url)
print(seen)
"""


def die(url: str, kill_at: int, *to: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", DIE, url, str(kill_at), *to]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("version", [0, 6, 9])
def test_killed_in_the_middle_of_an_upgrade(
    server: Any, name: str, url: str, newest: dict[str, Any], version: int
) -> None:
    """Where changes of tables cannot be undone, the next to ask goes on from there."""
    make(server, url, version)
    done = die(url, 0)
    assert done.returncode == 0, done.stderr
    statements = int(done.stdout)
    for share in (0.4, 0.6, 0.75, 0.9, 1.0):
        server.drop(name)
        server.admin(f"CREATE DATABASE {name}")
        make(server, url, version)
        assert die(url, int(statements * share)).returncode == -signal.SIGKILL
        upkeep.upgrade(url)
        assert shapes(url) == newest
        assert execute(url, "SELECT uri FROM Artifact ORDER BY id") == [("/data/ä",), ("/model",)]
        assert execute(url, "SELECT schema_version FROM MLMDEnv") == [(10,)]


def test_killed_in_the_middle_of_a_downgrade(server: Any, name: str, url: str) -> None:
    """It can be asked for again, and the way up is open."""
    make(server, url, 10)
    done = die(url, 0, "6")
    assert done.returncode == 0, done.stderr
    statements, expected = int(done.stdout), shapes(url)
    for share in (0.4, 0.6, 0.8, 1.0):
        server.drop(name)
        server.admin(f"CREATE DATABASE {name}")
        make(server, url, 10)
        assert die(url, int(statements * share), "6").returncode == -signal.SIGKILL
        store = open_store(url, read_only=True)
        check_read(store)
        store.close()
        upkeep.downgrade(url, 6)
        assert shapes(url) == expected


def test_an_open_transaction_keeps_nobody_waiting_for_ever(server: Any, url: str) -> None:
    """Tables cannot be changed while somebody uses them; the change waits, and then is made."""
    make(server, url, 9)
    other = open_database(url)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with other.writing() as tx:
            tx.rows("SELECT * FROM ArtifactProperty")
            held.set()
            done.wait(1.0)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    open_store(url).close()
    done.set()
    holder.join()
    other.close()
    assert upkeep.status(url).pending == ()
