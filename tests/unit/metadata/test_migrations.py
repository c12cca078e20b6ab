"""tidemill's own tables: numbered steps, clients of other versions, processes that meet or die in between."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tidemill.errors import StoreError
from tidemill.metadata.sql import migrations, open_store, schema, sqlite
from tidemill.metadata.sql.catalog import Shape, read_catalog
from tidemill.metadata.sql.migrations import STEPS, Step, newest
from tidemill.metadata.sql.store import open_database
from tidemill.testing.store_stories import claim_node, end_node, model, start_run

VERSION_1 = (
    "CREATE TABLE tidemill_env (schema_version INTEGER PRIMARY KEY)",
    (
        "CREATE TABLE tidemill_pipeline_version (version VARCHAR(255) NOT NULL, "
        "pipeline VARCHAR(255) NOT NULL, ir TEXT NOT NULL, "
        "create_time INT NOT NULL DEFAULT 0, PRIMARY KEY (version))"
    ),
    (
        "CREATE TABLE tidemill_run (id VARCHAR(255) NOT NULL, pipeline VARCHAR(255) NOT NULL, "
        "version VARCHAR(255) NOT NULL, state VARCHAR(255) NOT NULL, root TEXT NOT NULL, "
        "parameters TEXT NOT NULL, date VARCHAR(255) NOT NULL, owner VARCHAR(255) NOT NULL, "
        "context_id INT NOT NULL, create_time INT NOT NULL DEFAULT 0, "
        "end_time INT NOT NULL DEFAULT 0, PRIMARY KEY (id))"
    ),
    "CREATE INDEX tidemill_run_pipeline ON tidemill_run (pipeline, context_id)",
    "CREATE INDEX tidemill_run_date ON tidemill_run (pipeline, date)",
    "CREATE INDEX tidemill_run_context ON tidemill_run (context_id)",
    (
        "CREATE TABLE tidemill_node (run_id VARCHAR(255) NOT NULL, node_id VARCHAR(255) NOT NULL, "
        "iteration INT NOT NULL, state VARCHAR(255) NOT NULL, attempt INT NOT NULL, fence INT NOT NULL, "
        "execution_id INT NOT NULL, first_execution_id INT NOT NULL, owner VARCHAR(255) NOT NULL, "
        "cache_key VARCHAR(255) NOT NULL, message TEXT NOT NULL, start_time INT NOT NULL DEFAULT 0, "
        "end_time INT NOT NULL DEFAULT 0, PRIMARY KEY (run_id, node_id, iteration))"
    ),
    "CREATE INDEX tidemill_node_cache_key ON tidemill_node (cache_key, execution_id)",
    "CREATE INDEX tidemill_node_execution ON tidemill_node (execution_id)",
    "INSERT INTO tidemill_env VALUES (1)",
)
"""Our tables as the first version made them, on SQLite."""

OPEN = "import sys; from tidemill.metadata.sql import open_store; open_store(sys.argv[1]).close()"

# Opens; dies before its N-th statement.
DIE = """
import os, signal, sys
from tidemill.metadata.sql import open_store, sqlite
path, kill_at = sys.argv[1], int(sys.argv[2])
seen = committed = 0
def die(statement):
    global seen, committed
    seen += 1
    if statement == "COMMIT":
        committed = seen
    if seen == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
connect = sqlite.SqliteDialect.connect
def traced(self):
    connection = connect(self)
    connection.set_trace_callback(die)
    return connection
sqlite.SqliteDialect.connect = traced
open_store(path).close()
print(committed)
"""


MIGRATED = [*(("tidemill", step.version) for step in STEPS), ("mlmd", 10)]
"""What is written down when a database of our first version is brought to the newest."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metadata.db"


@pytest.fixture
def first(path: Path) -> Path:
    """A database of our first version, with a run."""
    store = open_store(str(path))
    start_run(store, "r1")
    end_node(store, "r1", "a", outputs={"x": [model()]})
    old = {t.name: ", ".join(t.kinds()) for t in migrations.own_form(1).tables}
    rows = {t: execute(path, f"SELECT {old[t]} FROM {t}") for t in ("tidemill_run", "tidemill_node")}
    store.close()
    execute(path, *(f"DROP TABLE {t.name}" for t in schema.OWN_TABLES))
    own = [i.name for i in schema.OWN_INDEXES if not i.table.startswith("tidemill_")]
    execute(path, *(f"DROP INDEX {name}" for name in own), *VERSION_1)
    for table, stored in rows.items():
        for row in stored:
            execute(path, f"INSERT INTO {table} ({old[table]}) VALUES {row}")
    return path


def execute(path: Path, *statements: str) -> list[Any]:
    found: list[Any] = []
    with sqlite.driver().connect(path) as db:
        for statement in statements:
            found = db.execute(statement).fetchall()
    db.close()
    return found


def shapes(path: Path) -> dict[str, Shape]:
    database = open_database(str(path), read_only=True)
    found = database.read(read_catalog)
    database.close()
    return found


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, Shape]:
    """The shapes of a new store."""
    open_store(str(tmp_path / "new.db")).close()
    return shapes(tmp_path / "new.db")


def pretend(monkeypatch: pytest.MonkeyPatch, *steps: Step) -> None:
    """Be a client that knows these steps."""
    monkeypatch.setattr(migrations, "STEPS", steps)


def test_a_new_database_is_the_sum_of_the_steps(first: Path, whole: dict[str, Shape]) -> None:
    assert shapes(first) != whole
    store = open_store(str(first))
    assert [r.id for r in store.get_runs()] == ["r1"]
    store.close()
    assert shapes(first) == whole
    assert execute(first, "SELECT subject, version FROM tidemill_migration ORDER BY id") == MIGRATED


def test_the_first_version_is_read_as_it_is(first: Path) -> None:
    before = first.read_bytes()
    store = open_store(str(first), read_only=True)
    assert [r.id for r in store.get_runs()] == ["r1"]
    assert (store.statistics()["tidemill_node"], store.statistics()["tidemill_migration"]) == (1, 0)
    store.close()
    assert first.read_bytes() == before


@pytest.mark.parametrize("known", range(len(STEPS)))
def test_each_version_leads_to_the_newest(
    path: Path, whole: dict[str, Shape], known: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made by a client that knows fewer steps, completed by this one."""
    with monkeypatch.context() as earlier:
        form = migrations.own_form(known + 1)
        pretend(earlier, *STEPS[:known])
        earlier.setattr(migrations, "OWN_TABLES", form.tables)
        earlier.setattr(migrations, "OWN_INDEXES", form.indexes)
        if migrations.LOG not in {table.name for table in form.tables}:
            earlier.setattr(migrations, "log", lambda *_: None)
        open_store(str(path)).close()
        assert shapes(path) != whole
    open_store(str(path)).close()
    assert shapes(path) == whole


def test_steps_are_in_order_and_name_what_there_is() -> None:
    """A step may add tables, columns that old rows can do without, and indexes."""
    assert [s.version for s in STEPS] == list(range(2, len(STEPS) + 2))
    tables = {t.name: t for t in schema.OWN_TABLES}
    indexes = {i.name for i in schema.OWN_INDEXES}
    for step in STEPS:
        assert set(step.tables) <= tables.keys()
        assert set(step.indexes) <= indexes
        assert step.why
        assert 1 <= step.oldest_client <= step.version
        for column in step.columns:
            table, _, name = column.partition(".")
            kind = sqlite.COLUMN_TYPES[tables[table].kinds()[name]]
            assert "NOT NULL" not in kind or "DEFAULT" in kind


def test_an_earlier_client_works_on_a_later_schema(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """N-1 on N: it opens, claims and publishes beside the newer one, and changes nothing of the schema."""
    with monkeypatch.context() as later:
        pretend(later, *STEPS, Step(newest() + 1, "a test"))
        newer = open_store(str(path))
        start_run(newer, "r1")
    before = shapes(path)
    older = open_store(str(path))
    assert claim_node(older, "r1", "a").granted
    end_node(older, "r1", "b", outputs={"x": [model()]})
    older.close()
    assert claim_node(newer, "r1", "c").granted
    assert len(newer.get_artifacts()) == 1
    newer.close()
    assert shapes(path) == before
    assert migrations.newest() == len(STEPS) + 1, "steps are numbered without a gap"


def test_a_later_client_adds_what_it_needs_and_earlier_ones_go_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a step that brings a table, a column and an index; the earlier client stays open."""
    earlier = open_store(str(path))
    start_run(earlier, "r1")
    with monkeypatch.context() as later:
        more = Step(newest() + 1, "a test", tables=("tidemill_more",), columns=("tidemill_run.end2",),
                    indexes=("tidemill_run_end2",))  # fmt: skip
        pretend(later, *STEPS, more)
        tables = tuple(
            replace(t, columns=f"{t.columns}, end2 time") if t.name == "tidemill_run" else t
            for t in schema.OWN_TABLES
        )
        indexes = (*schema.OWN_INDEXES, schema.Index("tidemill_run_end2", "tidemill_run", "end2"))
        later.setattr(migrations, "OWN_TABLES", (*tables, schema.Table("tidemill_more", "id id, text text!")))
        later.setattr(migrations, "OWN_INDEXES", indexes)
        open_store(str(path)).close()
        found = shapes(path)
        assert "end2" in found["tidemill_run"].columns
        assert "tidemill_run_end2" in found["tidemill_run"].rules
        assert "tidemill_more" in found
    assert execute(path, "SELECT MAX(schema_version) FROM tidemill_env") == [(migrations.oldest_client(),)]
    start_run(earlier, "r2")
    earlier.close()
    again = open_store(str(path))
    assert len(again.get_runs()) == 2
    again.close()
    assert shapes(path) == found, "an earlier client takes nothing away"


def test_a_step_that_earlier_clients_cannot_live_with(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_store(str(path)).close()
    with monkeypatch.context() as later:
        pretend(later, *STEPS, Step(newest() + 1, "a test", oldest_client=newest() + 1))
        open_store(str(path)).close()
        open_store(str(path)).close()
    for read_only in (False, True):
        versions = f"tidemill schema version {newest() + 1}, and this release knows {newest()}"
        with pytest.raises(StoreError, match=versions) as caught:
            open_store(str(path), read_only=read_only)
        assert "update tidemill" in caught.value.hint


@pytest.fixture
def together() -> Iterator[Any]:
    """Starts processes that all run one program on a path at once; they have ended when it returns."""
    with ExitStack() as stack:

        def run(program: str, path: Path, count: int) -> None:
            command = [sys.executable, "-c", program, str(path)]
            running = [
                stack.enter_context(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
                for _ in range(count)
            ]
            for process in running:
                _, said = process.communicate(timeout=120)
                assert process.returncode == 0, said

        yield run


def test_processes_that_open_an_old_database_at_once(
    first: Path, whole: dict[str, Shape], together: Any
) -> None:
    """One of them migrates; all of them can use it."""
    together(OPEN, first, 6)
    assert shapes(first) == whole
    assert execute(first, "SELECT subject, version FROM tidemill_migration") == MIGRATED


def test_killed_before_each_statement(first: Path, whole: dict[str, Shape], tmp_path: Path) -> None:
    """The database is as it was, and the next to open it completes the migration."""
    before, bytes_before = shapes(first), first.read_bytes()

    def open_and_die(kill_at: int) -> subprocess.CompletedProcess[str]:
        first.write_bytes(bytes_before)
        first.with_name(f"{first.name}-journal").unlink(missing_ok=True)
        command = [sys.executable, "-c", DIE, str(first), str(kill_at)]
        return subprocess.run(command, capture_output=True, text=True)

    done = open_and_die(0)
    assert done.returncode == 0, done.stderr
    statements = int(done.stdout)
    assert statements > 12
    for kill_at in [*range(8, statements, statements // 10), statements]:
        assert open_and_die(kill_at).returncode == -signal.SIGKILL
        assert shapes(first) == before
        store = open_store(str(first))
        assert [r.id for r in store.get_runs()] == ["r1"]
        store.close()
        assert shapes(first) == whole
