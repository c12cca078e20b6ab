"""`tidemill metadata status`, `upgrade`, `downgrade`: what they say, what they ask for, how they end."""

from __future__ import annotations

import importlib.util
import json
import sqlite3
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tidemill.metadata.sql import sqlite
from tidemill.metadata.sql.migrations import newest, oldest_client


def _by_hand() -> ModuleType:
    path = Path(__file__).parents[1] / "unit" / "metadata" / "mlmd_versions.py"
    spec = importlib.util.spec_from_file_location("mlmd_versions", path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


BY_HAND = _by_hand()


def make(path: Path, version: int) -> Path:
    with sqlite3.connect(path) as db:
        for statement in BY_HAND.statements(version):
            db.execute(statement)
    db.close()
    return path


@pytest.fixture
def old(project: Any) -> Path:
    """A database of version 5."""
    return make(project.folder / "old.db", 5)


def test_status(project: Any, old: Path) -> None:
    said = project.tidemill("metadata", "status", "--metadata", "old.db").stdout
    assert "ML Metadata  schema version 5; this release writes 10" in said
    assert "journal mode delete" in said
    assert "tidemill     no tables" in said
    assert "pending      " in said
    found = json.loads(project.tidemill("metadata", "status", "--metadata", "old.db", "--json").stdout)
    assert (found["mlmd"], found["own"], found["newest"]) == (5, 0, {"mlmd": 10, "own": newest()})
    assert found["facts"]["journal_mode"] == "delete"
    assert found["rows"]["Artifact"] == 2
    project.tidemill("metadata", "upgrade", "--metadata", "old.db")
    said = project.tidemill("metadata", "status", "--metadata", "old.db").stdout
    assert "schema version 10\n" in said
    assert f"tidemill     schema version {newest()}\n" in said
    assert f"clients      must know version {oldest_client()} of tidemill's schema" in said
    assert "pending      nothing" in said


def test_upgrade(project: Any, old: Path) -> None:
    before = old.read_bytes()
    refused = project.tidemill("runs", "list", "--metadata", "old.db", expect=3)
    assert "tidemill metadata upgrade" in refused.stderr
    told = project.tidemill("metadata", "upgrade", "--metadata", "old.db", "--dry-run").stdout
    assert "make table ParentContext" in told
    assert "nothing was changed" in told
    assert old.read_bytes() == before
    assert [p.name for p in project.folder.glob("old.db*")] == ["old.db"]
    done = project.tidemill("metadata", "upgrade", "--metadata", "old.db")
    assert "backup: " in done.stdout
    assert "from ML Metadata schema version 5 to 10" in done.stdout
    assert (project.folder / "old.db.v5-backup").read_bytes()
    assert project.tidemill("metadata", "upgrade", "--metadata", "old.db").stdout.startswith("nothing to do")
    assert not list(project.folder.glob("*.v10-backup"))
    assert "loss=0.25" in project.tidemill("artifacts", "list", "--metadata", "old.db").stdout


def test_opening_in_place_is_said(project: Any) -> None:
    make(project.folder / "v8.db", 8)
    listed = project.tidemill("artifacts", "list", "--metadata", "v8.db")
    assert "loss=0.25" in listed.stdout
    assert listed.stderr == "", "reading changes nothing"
    project.write("pipeline.py", """
        from tidemill import component, pipeline

        @component
        def make() -> int:
            return 1

        @pipeline
        def daily():
            make()
    """)  # fmt: skip
    first = project.tidemill("run", "pipeline.py", "--metadata", "v8.db")
    assert "upgraded from ML Metadata schema version 8 to 10" in first.stderr
    assert "tidemill metadata downgrade --to 8" in first.stderr
    assert "upgraded" not in project.tidemill("run", "pipeline.py", "--metadata", "v8.db").stderr


def test_downgrade(project: Any, old: Path) -> None:
    project.tidemill("metadata", "upgrade", "--metadata", "old.db", "--no-backup")
    with sqlite.driver().connect(old) as db:
        db.execute("UPDATE Artifact SET external_id = 'x' WHERE id = 1")
    db.close()
    words = ("metadata", "downgrade", "--metadata", "old.db", "--to", "7")
    refused = project.tidemill(*words, expect=3)
    assert "1 rows or values would be lost" in refused.stderr
    told = project.tidemill(*words, "--dry-run").stdout
    assert "rebuild table Artifact (1 lost)" in told
    assert not list(project.folder.glob("*backup"))
    done = json.loads(project.tidemill(*words, "--yes", "--json").stdout)
    assert (done["version"], done["to"], done["lost"], done["done"]) == (10, 7, 1, True)
    assert done["backup"].endswith("old.db.v10-backup")
    up = project.tidemill("metadata", "downgrade", "--metadata", "old.db", "--to", "8", expect=3)
    assert "older than 8" in up.stderr
    project.tidemill(
        "metadata", "downgrade", "--metadata", "old.db", "--to", "5", "--drop-tidemill", "--no-backup"
    )
    with sqlite.driver().connect(old) as db:
        found = db.execute("SELECT COUNT(*) FROM sqlite_master WHERE name LIKE 'tidemill%'").fetchone()
    db.close()
    assert found == (0,)


@pytest.mark.parametrize("command", [["status"], ["upgrade"], ["downgrade", "--to", "9"]])
def test_bad_input(project: Any, command: list[str]) -> None:
    none = project.tidemill("metadata", *command, "--metadata", "none.db", expect=3)
    assert "there is no metadata store" in none.stderr
    (project.folder / "text.db").write_text("not a database, but long enough to look at" * 100)
    wrong = project.tidemill("metadata", *command, "--metadata", "text.db", "--json", expect=3)
    assert "not a SQLite database" in json.loads(wrong.stderr)["error"]["message"]
    with sqlite3.connect(project.folder / "other.db") as db:
        db.execute("CREATE TABLE customer (id INT)")
    db.close()
    other = project.tidemill("metadata", *command, "--metadata", "other.db", expect=3)
    assert "belongs to something else" in other.stderr
    assert "Traceback" not in none.stderr + wrong.stderr + other.stderr
    assert sorted(p.name for p in project.folder.glob("*.db*")) == ["other.db", "text.db"]


def test_versions_that_there_are_not(project: Any, old: Path) -> None:
    for wrong in ("11", "-1", "x"):
        said = project.tidemill("metadata", "downgrade", "--metadata", "old.db", "--to", wrong, expect=2)
        assert "--to" in said.stderr
    assert "--to" in project.tidemill("metadata", "downgrade", "--metadata", "old.db", expect=2).stderr
