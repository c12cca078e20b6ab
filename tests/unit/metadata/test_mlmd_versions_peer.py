"""Versions of ML Metadata's schema, held against the real ml-metadata: it goes down, we come up, and back.

Needs an interpreter with ml-metadata 1.17.1, as test_mlmd_interop.py does.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tidemill.metadata.sql import open_store, sqlite, upkeep
from tidemill.mlmd import MetadataStore, metadata_store_pb2
from tidemill.testing.store_stories import claim_node, end_node, model, start_run

HERE = Path(__file__).parent
PYTHON = os.environ.get("TIDEMILL_MLMD_PYTHON", "")
pytestmark = pytest.mark.skipif(
    not PYTHON, reason="TIDEMILL_MLMD_PYTHON names no interpreter with ml-metadata 1.17.1"
)


def beside(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


VERSIONS = beside("test_mlmd_versions")
READ = beside("mlmd_peer").read


def mlmd(action: str, path: Path) -> Any:
    command = [PYTHON, str(HERE / "mlmd_peer.py"), action, str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def ours(path: Path) -> Any:
    """What the peer's program reads through our own interface."""
    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(path)
    config.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READONLY
    store = MetadataStore(config)
    answer = json.loads(json.dumps(READ(store), default=dict))
    store.close()
    return answer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metadata.db"


def drop_rows_without_a_value(path: Path, version: int) -> None:
    """MLMD leaves them when it goes down, and cannot read the nodes that have one."""
    values = "int_value IS NULL AND double_value IS NULL AND string_value IS NULL"
    with sqlite.driver().connect(path) as db:
        for owner in ("Artifact", "Execution", *(["Context"] if version >= 3 else [])):
            db.execute(f"DELETE FROM {owner}Property WHERE {values}")
    db.close()


@pytest.mark.parametrize("version", range(10))
def test_a_database_that_mlmd_brought_back_comes_up_as_mlmd_brings_it_up(
    path: Path, tmp_path: Path, version: int
) -> None:
    """Field by field the same, in the eyes of the real one and in ours; and the form of a new one."""
    mlmd("write", path)
    mlmd(str(version), path)
    assert VERSIONS.shape(path) == VERSIONS.shape(VERSIONS.make(tmp_path / "by_hand.db", version))
    theirs = tmp_path / "theirs.db"
    shutil.copy(path, theirs)
    drop_rows_without_a_value(theirs, version)
    expected = mlmd("upgrade", theirs)
    assert [a["id"] for a in expected["artifacts"]] == [1]
    if version >= 6:
        drop_rows_without_a_value(path, version)
        assert ours(path) == expected, "read as it is"
    upkeep.upgrade(str(path))
    assert mlmd("read", path) == ours(path) == expected
    mlmd("create", tmp_path / "new.db")
    assert VERSIONS.shape(path) == VERSIONS.shape(tmp_path / "new.db")
    mlmd("write", path.with_name("other.db"))


@pytest.mark.parametrize("version", range(10))
def test_a_database_that_we_brought_back_is_mlmds(path: Path, version: int) -> None:
    """It comes up again with MLMD's own statements, and MLMD reads what that version could hold."""
    store = open_store(str(path))
    start_run(store, "r1")
    made = end_node(store, "r1", "a", outputs={"x": [model()]}, properties={"yes": True, "n": 3})
    claim_node(store, "r1", "b")
    store.close()
    before = mlmd("read", path)
    upkeep.downgrade(str(path), version, drop_own=version < 6, backup=False)
    after = mlmd("upgrade", path)
    assert [a["uri"] for a in after["artifacts"]] == [a["uri"] for a in before["artifacts"]]
    assert [a["id"] for a in after["artifacts"]] == [made.only("x").id]
    del before["executions"][0]["custom_properties"]["yes"]
    if version >= 6:
        assert after == before
    assert [e["custom_properties"] for e in after["executions"]] == [
        e["custom_properties"] for e in before["executions"]
    ]
    assert after["events"] == before["events"]
    again = open_store(str(path))
    assert [r.id for r in again.get_runs()] == (["r1"] if version >= 6 else [])
    start_run(again, "r2")
    again.close()


def test_mlmd_works_beside_our_tables_and_indexes(path: Path) -> None:
    """Goes down and comes up with all of ours there, and we go on."""
    store = open_store(str(path))
    start_run(store, "r1")
    end_node(store, "r1", "a", outputs={"x": [model()]})
    store.close()
    mlmd("6", path)
    assert upkeep.status(str(path)).mlmd == 6
    mlmd("upgrade", path)
    mlmd("write", path)
    store = open_store(str(path))
    assert store.get_artifacts()[0].uri == "file:///foreign"
    store.close()
    found = VERSIONS.shape(path, own=True)
    assert "tidemill_association_execution" in found["association"][1]
