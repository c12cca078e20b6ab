"""Opening a store: addresses, files that are none, versions, permissions, locks, full disks."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidemill.errors import StoreError
from tidemill.metadata.model import NodeState, Publication
from tidemill.metadata.sql import SqlStore, open_store, sqlite
from tidemill.testing.store_stories import claim_node, end_node, model, snapshot, start_run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metadata.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqlStore]:
    store = open_store(str(path))
    yield store
    store.close()


def execute(path: Path, *statements: str) -> None:
    with sqlite.driver().connect(path) as db:
        for statement in statements:
            db.execute(statement)
    db.close()


def test_relative_absolute_and_plain_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url, file in (
        ("sqlite:///a/relative.db", "a/relative.db"),
        (f"sqlite:///{tmp_path}/absolute.db", "absolute.db"),
        ("b/plain.db", "b/plain.db"),
        ("odd ?#%41 name.db", "odd ?#%41 name.db"),
    ):
        open_store(url).close()
        assert (tmp_path / file).is_file()


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("oracle://user:secret@host/db", "oracle is not supported"),
        ("mysql+pymysql://host/db", "pymysql is not supported"),
        ("sqlite://", "does not name a file"),
        ("sqlite://relative.db", "does not name a file"),
        ("sqlite:///", "does not name a file"),
        ("sqlite:///:memory:", "does not name a file"),
        (":memory:", "does not name a file"),
        ("", "does not name a file"),
    ],
)
def test_other_addresses_name_what_is_supported(url: str, word: str) -> None:
    with pytest.raises(StoreError, match=word.replace("+", r"\+")) as caught:
        open_store(url)
    assert "sqlite:///" in caught.value.hint
    assert "secret" not in str(caught.value)


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is a folder"):
        open_store(str(tmp_path))


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made"):
        open_store(str(tmp_path / "file" / "metadata.db"))


def test_a_file_that_is_no_database(path: Path) -> None:
    path.write_bytes(b"span,rows\n1,2\n" * 100)
    with pytest.raises(StoreError, match="not a SQLite database"):
        open_store(str(path))
    assert path.read_bytes().startswith(b"span,rows")


def test_an_empty_file_becomes_a_store(path: Path) -> None:
    path.write_bytes(b"")
    open_store(str(path)).close()
    open_store(str(path), read_only=True).close()


def test_the_database_of_something_else_is_left_alone(path: Path) -> None:
    execute(path, "CREATE TABLE customer (id INT)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="belongs to something else") as caught:
        open_store(str(path))
    assert "customer" in caught.value.hint
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("table", "version", "word"),
    [
        ("MLMDEnv", 5, "tidemill metadata upgrade"),
        ("MLMDEnv", 11, "newer version"),
        ("tidemill_env", 99, "update tidemill"),
    ],
)
def test_other_schema_versions_are_refused(
    store: SqlStore, path: Path, table: str, version: int, word: str
) -> None:
    store.close()
    execute(path, f"UPDATE {table} SET schema_version = {version}")
    with pytest.raises(StoreError, match=f"schema version {version}") as caught:
        open_store(str(path))
    assert word in caught.value.hint


def test_a_damaged_schema_is_refused(store: SqlStore, path: Path) -> None:
    store.close()
    execute(path, "DROP TABLE EventPath")
    with pytest.raises(StoreError, match="lacks tables: EventPath"):
        open_store(str(path))


def test_a_read_only_store_answers_and_refuses(store: SqlStore, path: Path) -> None:
    start_run(store, "r1")
    end_node(store, "r1", "a", outputs={"x": [model()]})
    reader = open_store(str(path), read_only=True)
    assert snapshot(reader, "r1") == snapshot(store, "r1")
    with pytest.raises(StoreError, match="read-only"):
        claim_node(reader, "r1", "b")
    reader.close()


def test_read_only_creates_nothing(tmp_path: Path, path: Path) -> None:
    with pytest.raises(StoreError, match="no metadata store"):
        open_store(str(tmp_path / "new" / "metadata.db"), read_only=True)
    assert not (tmp_path / "new").exists()
    path.write_bytes(b"")
    with pytest.raises(StoreError, match="no tidemill record"):
        open_store(str(path), read_only=True)
    assert path.read_bytes() == b""


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A folder of root's that everybody may enter, seen by a user who may not write there."""
    folder = Path(tempfile.mkdtemp())
    open_store(str(folder / "metadata.db")).close()
    (folder / "metadata.db").chmod(stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)
    folder.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield folder
    os.seteuid(user)
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_a_file_that_may_not_be_written(as_nobody: Path) -> None:
    with pytest.raises(StoreError, match="may not be written") as caught:
        open_store(str(as_nobody / "metadata.db"))
    assert "read_only=True" in caught.value.hint
    with pytest.raises(StoreError, match="cannot be opened"):
        open_store(str(as_nobody / "other.db"))
    if sqlite.wal_is_safe(sqlite.driver().sqlite_version_info):
        with pytest.raises(StoreError, match="write-ahead log") as caught:
            open_store(str(as_nobody / "metadata.db"), read_only=True)
        assert "copy" in caught.value.hint
    else:
        reader = open_store(str(as_nobody / "metadata.db"), read_only=True)
        assert reader.get_runs() == []
        reader.close()


def test_permission_lost_later(path: Path) -> None:
    """The driver finds out at the first write."""
    open_store(str(path)).close()
    store = open_store(str(path))
    store.database.connection().execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match="may not be written"):
        start_run(store, "r1")
    store.close()


def test_a_lock_that_stays_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    store = open_store(str(path))
    start_run(store, "r1")
    before = snapshot(store, "r1")
    other = sqlite.driver().connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match=r"locked: another process kept it for more than 0\.05 s"):
        claim_node(store, "r1", "a")
    assert snapshot(store, "r1") == before, "reading goes on"
    other.execute("ROLLBACK")
    other.close()
    assert claim_node(store, "r1", "a").granted
    store.close()


def test_a_short_lock_is_waited_for(store: SqlStore, path: Path) -> None:
    start_run(store, "r1")
    other = sqlite.driver().connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.1, lambda: other.execute("ROLLBACK"))
    release.start()
    assert claim_node(store, "r1", "a").granted
    release.join()
    other.close()


def test_a_full_disk_is_named_and_leaves_nothing(store: SqlStore) -> None:
    """The limit on pages makes SQLite raise the very error that a full disk does."""
    start_run(store, "r1")
    claim = claim_node(store, "r1", "a")
    before = snapshot(store, "r1")
    connection = store.database.connection()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    big = Publication(state=NodeState.COMPLETE, properties={"log": "x" * 100_000})
    with pytest.raises(StoreError, match="disk is full"):
        store.publish(claim, big)
    assert snapshot(store, "r1") == before
    connection.execute("PRAGMA max_page_count = 1000000")
    store.publish(claim, big)
    assert store.get_nodes("r1")[0].state is NodeState.COMPLETE


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ((3, 40, 1), False), ((3, 44, 5), False), ((3, 44, 6), True), ((3, 45, 0), False),
        ((3, 50, 6), False), ((3, 50, 7), True), ((3, 51, 2), False), ((3, 51, 3), True), ((3, 53, 0), True),
    ],
)  # fmt: skip
def test_write_ahead_log_only_where_it_is_safe(version: tuple[int, ...], safe: bool) -> None:
    assert sqlite.wal_is_safe(version) is safe


def test_journal_and_durability(store: SqlStore, path: Path) -> None:
    safe = sqlite.wal_is_safe(sqlite.driver().sqlite_version_info)
    connection = store.database.connection()
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    assert mode == ("wal" if safe else "delete")
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA foreign_keys").fetchone() == (0,)


def test_a_new_database_has_small_pages_and_an_old_one_keeps_its_own(
    store: SqlStore, path: Path, tmp_path: Path
) -> None:
    assert store.database.connection().execute("PRAGMA page_size").fetchone() == (sqlite.PAGE_BYTES,)
    old = tmp_path / "old.db"
    execute(old, "PRAGMA page_size = 8192", "VACUUM")
    again = open_store(str(old))
    assert again.database.connection().execute("PRAGMA page_size").fetchone() == (8192,)
    again.close()


@pytest.mark.skipif(
    sqlite.wal_is_safe(sqlite.driver().sqlite_version_info), reason="this SQLite does WAL safely"
)
def test_an_unsafe_write_ahead_log_is_left(
    store: SqlStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.close()
    execute(path, "PRAGMA journal_mode = WAL")
    other = sqlite.driver().connect(path)
    other.execute("SELECT * FROM MLMDEnv").fetchall()
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    with pytest.raises(StoreError, match="WAL-reset") as caught:
        open_store(str(path))
    assert "pysqlite3" in caught.value.hint
    other.close()
    again = open_store(str(path))
    assert again.database.connection().execute("PRAGMA journal_mode").fetchone() == ("delete",)
    again.close()


def test_connections_of_ended_threads_are_closed(store: SqlStore) -> None:
    start_run(store, "r1")
    for _ in range(5):
        thread = threading.Thread(target=store.get_runs)
        thread.start()
        thread.join()
    assert len(store.database._connections) <= 2


def test_a_forked_child_opens_its_own(store: SqlStore) -> None:
    """It uses no connection of its parent, and its parent goes on undisturbed."""
    start_run(store, "r1")
    inherited = store.database.connection()
    child = os.fork()
    if child == 0:
        try:
            ok = claim_node(store, "r1", "a").granted and store.database.connection() is not inherited
            store.close()
        except BaseException:
            ok = False
        os._exit(0 if ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.database.connection() is inherited
    assert store.get_nodes("r1")[0].state is NodeState.RUNNING


def test_opening_is_cheap(path: Path) -> None:
    """By what it loads: SQLAlchemy alone would cost 0.47 s of CPU; see docs/decisions/0002."""
    open_store(str(path)).close()
    code = (
        "import sys; from tidemill.metadata.sql import open_store; open_store(sys.argv[1]).close();"
        "print(*sorted(m for m in sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    loaded = set(out.stdout.split())
    assert not loaded & {"sqlalchemy", "polars", "google", "tidemill.metadata.filter"}
    assert len([name for name in loaded if name.startswith("tidemill")]) <= 42
