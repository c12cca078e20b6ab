"""Databases of every version of ML Metadata's schema: read, opened in place, upgraded, brought back."""

from __future__ import annotations

import importlib.util
import logging
import re
import shutil
import stat
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tidemill.errors import StoreError
from tidemill.metadata.model import ArtifactState, ExecutionState
from tidemill.metadata.sql import SqlStore, migrations, open_store, schema, sqlite, upkeep
from tidemill.metadata.sql.catalog import read_catalog
from tidemill.metadata.sql.store import open_database
from tidemill.testing.store_stories import end_node, model, start_run


def _by_hand() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "mlmd_versions", Path(__file__).with_name("mlmd_versions.py")
    )
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


BY_HAND = _by_hand()
ALL, IN_PLACE, OLD = range(11), range(6, 10), range(6)
AGAIN = (
    "INSERT INTO Event VALUES (3, 1, 1, 3, 9)",
    "INSERT INTO EventPath (event_id, is_index_step, step_key) VALUES (3, FALSE, 'again')",
)
"""An event that says what event 1 says."""


def execute(path: Path, *statements: str) -> list[Any]:
    """Run statements; the rows of the last one."""
    found: list[Any] = []
    with sqlite.driver().connect(path) as db:
        for statement in statements:
            found = db.execute(statement).fetchall()
    db.close()
    return found


def make(path: Path, version: int) -> Path:
    execute(path, *BY_HAND.statements(version))
    return path


def shape(path: Path, *, own: bool = False) -> dict[str, Any]:
    """The catalogue, with the text of indexes, as it is told whoever made them."""
    database = open_database(str(path), read_only=True)
    found = database.read(read_catalog)
    database.close()
    return {
        name: (
            table.columns,
            table.rules if own else {n: r for n, r in table.rules.items() if "tidemill_" not in n},
            {
                n: re.sub(r"[`\s()]", "", r.made.lower())
                for n, r in table.rules.items()
                if own or "tidemill_" not in n
            },
        )
        for name, table in found.items()
        if own or not name.startswith("tidemill_")
    }


def content(path: Path, version: int) -> dict[str, list[dict[str, Any]]]:
    """The rows that a version has place for, without MLMD's own types and the row of versions."""
    found = {}
    names = BY_HAND.columns(version)
    for table in names:
        if table == "MLMDEnv":
            continue
        rows = []
        kept = list(dict.fromkeys(names[table]))
        for row in execute(path, f"SELECT {', '.join(kept)} FROM {table} ORDER BY rowid"):
            values = dict(zip(kept, row, strict=True))
            if not str(values.get("name")).startswith("mlmd."):
                rows.append({n: v for n, v in values.items() if v is not None and (v or "_since_" not in n)})
        if rows:
            found[table] = rows
    return found


def expected(version: int, seen_in: int) -> dict[str, list[dict[str, Any]]]:
    """The rows of a version as a later one shows them."""
    found = BY_HAND.rows(version)
    if version < 2 <= seen_in:
        for row in found["Type"]:
            row["type_kind"] = row.pop("is_artifact_type")
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metadata.db"


@pytest.fixture
def newest(tmp_path: Path) -> dict[str, Any]:
    """The shape of a new store."""
    open_store(str(tmp_path / "new.db")).close()
    return shape(tmp_path / "new.db", own=True)


def test_the_newest_written_by_hand_is_ours(path: Path, newest: dict[str, Any], tmp_path: Path) -> None:
    make(path, 10)
    assert shape(path) == shape(tmp_path / "new.db")


@pytest.mark.parametrize("version", IN_PLACE)
def test_opened_in_place(
    path: Path, newest: dict[str, Any], version: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Brought to the newest version, nothing lost, and said once."""
    make(path, version)
    with caplog.at_level(logging.WARNING):
        store = open_store(str(path))
    check_read(store)
    start_run(store, "r1")
    end_node(store, "r1", "a", outputs={"x": [model()]})
    assert store.get_artifacts()[0].id == 3
    store.close()
    assert shape(path, own=True) == newest
    assert [f"from ML Metadata schema version {version} to 10" in r.getMessage() for r in caplog.records] == [
        True
    ]
    caplog.clear()
    open_store(str(path)).close()
    assert caplog.records == []
    assert execute(path, "SELECT COUNT(*) FROM Type WHERE name LIKE 'mlmd.%'") == [(9,)]


@pytest.mark.parametrize("version", ALL)
def test_upgraded(path: Path, newest: dict[str, Any], version: int) -> None:
    make(path, version)
    before = path.read_bytes()
    told = upkeep.outlook(str(path))
    assert (told.version, told.to, told.lost) == (version, 10, 0)
    assert path.read_bytes() == before, "telling changes nothing"
    backup = upkeep.upgrade(str(path))
    assert backup == f"{path}.v{version}-backup"
    assert content(path, version if version >= 2 else 2) == expected(version, 10)
    assert shape(path, own=True) == newest
    assert content(Path(backup), version) == BY_HAND.rows(version)
    assert shape(Path(backup)) == shape(make(path.with_name("same.db"), version))
    assert upkeep.outlook(str(path)).changes == ()


@pytest.mark.parametrize("version", IN_PLACE)
def test_read_as_it_is(path: Path, version: int) -> None:
    """Without writing a byte: as if it had what later versions brought, and no runs."""
    make(path, version)
    path.chmod(0o444)
    before, listing = path.read_bytes(), sorted(path.parent.iterdir())
    store = open_store(str(path), read_only=True)
    check_read(store)
    assert store.get_runs() == []
    assert store.get_run("r1") is None
    assert store.find_cached("k") == []
    assert store.statistics()["tidemill_run"] == 0
    assert store.findings() == []
    with pytest.raises(StoreError, match="read-only"):
        start_run(store, "r1")
    store.close()
    assert path.read_bytes() == before
    assert sorted(path.parent.iterdir()) == listing


def check_read(store: SqlStore) -> None:
    """What the rows of mlmd_versions say, through our own reading."""
    second, first = store.get_artifacts()
    assert (first.type, first.uri, first.name, first.state) == (
        "Examples",
        "/data/ä",
        "day 1",
        ArtifactState.LIVE,
    )
    assert (first.properties, first.custom_properties) == ({"span": 3, "split": "träin"}, {})
    assert (first.create_time, first.update_time) == (1_600_000_000_001, 1_600_000_000_002)
    assert (second.type, second.name, second.custom_properties) == ("Model", "", {"loss": 0.25})
    (execution,) = store.get_executions_by_id([1])
    assert (execution.name, execution.state) == ("run 1", ExecutionState.COMPLETE)
    assert execution.custom_properties == {"steps": -7}
    used, made = store.get_events(execution_ids=[1])
    assert (used.artifact_id, used.path, used.time) == (1, ("examples", 0), 1_600_000_000_007)
    assert (made.artifact_id, made.path, made.time) == (2, ("model",), 1_600_000_000_008)
    (context,) = store.get_contexts_by_execution(1)
    assert (context.type, context.name, context.custom_properties) == ("pipeline", "taxi", {"note": "n"})


@pytest.mark.parametrize("version", OLD)
@pytest.mark.parametrize("read_only", [False, True])
def test_older_ones_are_upgraded_on_request_only(path: Path, version: int, read_only: bool) -> None:
    before = make(path, version).read_bytes()
    with pytest.raises(StoreError, match=f"schema version {version}") as caught:
        open_store(str(path), read_only=read_only)
    assert "tidemill metadata upgrade" in caught.value.hint
    assert path.read_bytes() == before


@pytest.mark.parametrize("version", [6, 7])
def test_what_loses_something_is_not_done_unasked(path: Path, version: int) -> None:
    """Events that say the same: one of them may stay in version 8."""
    make(path, version)
    execute(path, *AGAIN)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="recorded again later, 1 of them") as caught:
        open_store(str(path))
    assert "tidemill metadata upgrade" in caught.value.hint
    assert path.read_bytes() == before
    assert upkeep.outlook(str(path)).lost == 1
    upkeep.upgrade(str(path), backup=False)
    assert execute(path, "SELECT id, milliseconds_since_epoch FROM Event ORDER BY id") == [
        (2, 1_600_000_000_008), (3, 9),
    ]  # fmt: skip
    assert execute(path, "SELECT event_id, step_key FROM EventPath ORDER BY event_id") == [
        (2, "model"),
        (3, "again"),
    ]
    assert not path.with_name("metadata.db.v7-backup").exists()


@pytest.mark.parametrize("version", range(10))
def test_brought_back(path: Path, newest: dict[str, Any], version: int, tmp_path: Path) -> None:
    """The form is that of the version, whatever it cannot hold is gone, and the way up is open again."""
    open_store(str(make(path, 10))).close()
    told = upkeep.outlook(str(path), version)
    assert (told.version, told.to) == (10, version)
    backup = upkeep.downgrade(str(path), version)
    assert backup == f"{path}.v10-backup"
    assert shape(path) == shape(make(tmp_path / "same.db", version))
    assert content(path, version) == BY_HAND.rows(version)
    again = upkeep.downgrade(str(path), version, backup=False)
    assert (again, shape(path)) == ("", shape(tmp_path / "same.db"))
    upkeep.upgrade(str(path), backup=False)
    assert shape(path, own=True) == newest
    assert content(path, max(version, 2)) == expected(version, 10)


def test_what_an_older_version_cannot_hold_is_counted(path: Path) -> None:
    """And rows that keep no value do not stay: MLMD leaves them and cannot read them."""
    store = open_store(str(path))
    start_run(store, "r1")
    end_node(store, "r1", "a", properties={"yes": True, "whole": 3})
    store.close()
    told = upkeep.outlook(str(path), 9)
    assert told.lost == 1
    upkeep.downgrade(str(path), 9)
    assert execute(path, "SELECT name, int_value FROM ExecutionProperty") == [("whole", 3)]
    store = open_store(str(path))
    (execution,) = store.get_executions("r1")
    assert execution.custom_properties == {"whole": 3}
    assert [r.id for r in store.get_runs()] == ["r1"], "our own tables stayed"
    store.close()
    with pytest.raises(StoreError, match="refers to what") as caught:
        upkeep.outlook(str(path), 5)
    assert "--drop-tidemill" in caught.value.hint


def test_our_own_tables_go_when_asked(path: Path, tmp_path: Path) -> None:
    store = open_store(str(path))
    start_run(store, "r1")
    store.close()
    assert upkeep.outlook(str(path), 10, drop_own=True).lost == 1
    upkeep.downgrade(str(path), 10, drop_own=True, backup=False)
    assert shape(path, own=True) == shape(make(tmp_path / "same.db", 10), own=True)
    store = open_store(str(path))
    assert store.get_runs() == []
    assert len(store.statistics()) == len(schema.MLMD_TABLES) + len(schema.OWN_TABLES)
    store.close()


def test_rows_without_a_value_that_mlmd_left(path: Path) -> None:
    make(path, 9)
    execute(path, "INSERT INTO ArtifactProperty (artifact_id, name, is_custom_property) VALUES (1, 'b', 0)")
    store = open_store(str(path))
    check_read(store)
    store.close()


def test_an_id_is_given_once(path: Path) -> None:
    """Also when tables were rebuilt after the newest rows had been deleted."""
    make(path, 6)
    execute(
        path, "DELETE FROM Artifact WHERE id = 2", "DELETE FROM Event WHERE id = 2", "DELETE FROM Context"
    )
    store = open_store(str(path))
    start_run(store, "r1")
    made = end_node(store, "r1", "a", outputs={"x": [model()]})
    assert made.only("x").id == 3
    assert execute(path, "SELECT MIN(id) FROM Context") == [(3,)]
    store.close()


def test_what_others_added_stays(path: Path) -> None:
    """Tables and indexes of somebody else; a column in a table that must be rebuilt is refused."""
    make(path, 8)
    mine = "CREATE INDEX mine ON Artifact (uri, state) WHERE state = 2"
    execute(path, "CREATE TABLE notes (id INT)", mine, "CREATE INDEX other ON EventPath (step_key)")
    open_store(str(path)).close()
    kept = {sql for (sql,) in execute(path, "SELECT sql FROM sqlite_master WHERE name IN ('mine', 'other')")}
    assert kept == {mine, "CREATE INDEX other ON EventPath (step_key)"}
    other = path.with_name("other.db")
    make(other, 8)
    execute(other, "ALTER TABLE Artifact ADD COLUMN mine INT", "ALTER TABLE EventPath ADD COLUMN mine INT")
    before = other.read_bytes()
    with pytest.raises(StoreError, match=r"Artifact has columns that neither .* made: mine"):
        open_store(str(other))
    assert other.read_bytes() == before


def test_backups_never_replace_each_other(path: Path) -> None:
    make(path, 5)
    path.chmod(0o600)
    places = []
    for _ in range(2):
        shutil.copy(path, path.with_name("copy.db"))
        path.with_name("copy.db").chmod(0o600)
        places.append(Path(upkeep.upgrade(str(path.with_name("copy.db")))))
    assert [p.name for p in places] == ["copy.db.v5-backup", "copy.db.v5-backup.2"]
    assert {stat.S_IMODE(p.stat().st_mode) for p in places} == {0o600}
    assert not list(path.parent.glob("*.part"))


def test_a_backup_that_cannot_be_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nothing is upgraded."""
    before = make(path, 5).read_bytes()
    monkeypatch.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(StoreError, match="backup cannot be written: No space left"):
        upkeep.upgrade(str(path))
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("version", "to", "word"),
    [(10, 11, "no ML Metadata schema version 11"), (7, 8, "older than 8"), (7, -1, "-1")],
)
def test_ways_that_lead_nowhere(path: Path, version: int, to: int, word: str) -> None:
    before = make(path, version).read_bytes()
    for act in (upkeep.outlook, upkeep.downgrade):
        if to <= 10 or act is upkeep.downgrade:
            with pytest.raises(StoreError, match=word):
                act(str(path), to)
    assert path.read_bytes() == before


def test_nothing_is_made_where_nothing_is(tmp_path: Path) -> None:
    for act in (upkeep.status, upkeep.outlook, upkeep.upgrade):
        with pytest.raises(StoreError, match="no metadata store"):
            act(str(tmp_path / "none.db"))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "empty.db").touch()
    with pytest.raises(StoreError, match="holds no record yet"):
        upkeep.status(str(tmp_path / "empty.db"))


@pytest.mark.parametrize("version", ALL)
def test_status(path: Path, version: int) -> None:
    before = make(path, version).read_bytes()
    found = upkeep.status(str(path))
    assert (found.mlmd, found.own, found.oldest_client, found.kind) == (version, 0, 0, "SQLite")
    assert found.facts["journal_mode"] == "delete"
    assert (found.rows["Artifact"], found.rows["tidemill_run"]) == (2, 0)
    assert found.pending
    assert path.read_bytes() == before
    upkeep.upgrade(str(path), backup=False)
    found = upkeep.status(str(path))
    own, oldest = migrations.newest(), migrations.oldest_client()
    assert (found.mlmd, found.own, found.oldest_client, found.pending) == (10, own, oldest, ())
    assert [(s, v) for s, v, _ in found.history] == [("tidemill", own), ("mlmd", 10)]
    assert all(time > 1_700_000_000_000 for _, _, time in found.history)
