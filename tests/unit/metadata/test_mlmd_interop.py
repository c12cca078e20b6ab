"""The real ml-metadata reads what tidemill writes, writes beside it, and tidemill reads on.

Needs an interpreter with ml-metadata 1.17.1, the last one that reads whole histories: for example
`python3.11 -m venv mlmd && mlmd/bin/pip install ml-metadata==1.17.1`, then
`TIDEMILL_MLMD_PYTHON=mlmd/bin/python pytest tests/unit/metadata`.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tidemill.metadata.model import (
    Artifact,
    ArtifactState,
    ArtifactType,
    EventType,
    ExecutionState,
    NodeState,
    PropertyType,
)
from tidemill.metadata.sql import SqlStore, open_store, sqlite
from tidemill.testing.store_stories import claim_node, end_node, start_run

PYTHON = os.environ.get("TIDEMILL_MLMD_PYTHON", "")
PEER = Path(__file__).with_name("mlmd_peer.py")
pytestmark = pytest.mark.skipif(
    not PYTHON, reason="TIDEMILL_MLMD_PYTHON names no interpreter with ml-metadata 1.17.1"
)

KINDS = {
    "whole": ("int_value", -(2**63)),
    "real": ("double_value", 0.1),
    "text": ("string_value", "ü'\"\n"),
    "yes": ("bool_value", True),
    "empty": ("string_value", ""),
    "inf": ("double_value", float("inf")),
}
TYPES = (
    ArtifactType(
        name="Examples",
        base_type="Dataset",
        properties={
            "span": PropertyType.INT,
            "share": PropertyType.DOUBLE,
            "split_names": PropertyType.STRING,
            "shuffled": PropertyType.BOOLEAN,
        },
    ),
    ArtifactType(name="Model", base_type="Model"),
    ArtifactType(name="Schema"),
)


def mlmd(action: str, path: Path) -> Any:
    done = subprocess.run([PYTHON, str(PEER), action, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metadata.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqlStore]:
    store = open_store(str(path))
    yield store
    store.close()


def write_history(store: SqlStore) -> None:
    """One of everything: all states, all kinds of properties, all relations."""
    start_run(store, "r1", date="2024-01-05", types=TYPES)
    data = Artifact(
        type="Examples",
        uri="file:///e",
        properties={"span": 3, "share": 0.5, "split_names": '["train"]', "shuffled": False},
        custom_properties={name: value for name, (_, value) in KINDS.items()},
    )
    made = end_node(store, "r1", "gen", outputs={"examples": [data, data]})
    end_node(
        store,
        "r1",
        "trainer",
        inputs={"examples": made.outputs["examples"], "again": [made.outputs["examples"][0]]},
        outputs={"model": [Artifact(type="Model", uri="file:///m")]},
        properties={name: value for name, (_, value) in KINDS.items()},
    )
    end_node(store, "r1", "cached", state=NodeState.CACHED, outputs={"examples": made.outputs["examples"]})
    end_node(store, "r1", "skipped", state=NodeState.SKIPPED, message="not wanted")
    end_node(
        store,
        "r1",
        "failed",
        state=NodeState.FAILED,
        message="boom",
        outputs={"schema": [Artifact(type="Schema", uri="file:///s")]},
    )
    end_node(store, "r1", "canceled", state=NodeState.CANCELED)
    claim_node(store, "r1", "running")
    claim_node(store, "r1", "running")


def plain(found: Any) -> dict[str, Any]:
    """One of our values in the form of the peer's answer."""

    def kinds(values: Any) -> dict[str, list[Any]]:
        names = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}
        return {name: [names[type(value)], value] for name, value in values.items()}

    return {
        "id": found.id,
        "type": found.type,
        "name": found.name,
        "properties": kinds(found.properties),
        "custom_properties": kinds(found.custom_properties),
        "create_time": found.create_time,
        "update_time": found.update_time,
    }


def test_mlmd_reads_every_field(store: SqlStore, path: Path) -> None:
    write_history(store)
    theirs = mlmd("read", path)
    executions = store.get_executions("r1")
    contexts = {c.id: c for e in executions for c in store.get_contexts_by_execution(e.id)}
    artifacts = store.get_artifacts()[::-1]
    assert theirs["artifacts"] == [{**plain(a), "uri": a.uri, "state": a.state.value} for a in artifacts]
    assert theirs["executions"] == [{**plain(e), "state": e.state.value} for e in executions]
    assert theirs["contexts"] == [plain(contexts[i]) for i in sorted(contexts)]
    assert theirs["events"] == [
        {
            "artifact": e.artifact_id,
            "execution": e.execution_id,
            "type": e.type.value,
            "time": e.time,
            "path": list(e.path),
        }
        for e in store.get_events(execution_ids=[e.id for e in executions])
    ]
    # Against what was written, not only against what we read back.
    data = theirs["artifacts"][0]
    assert data["custom_properties"] == {name: list(value) for name, value in KINDS.items()}
    assert data["properties"] == {
        "span": ["int_value", 3],
        "share": ["double_value", 0.5],
        "split_names": ["string_value", '["train"]'],
        "shuffled": ["bool_value", False],
    }
    assert [a["state"] for a in theirs["artifacts"]] == [2, 2, 2, 5]  # LIVE x3, ABANDONED
    assert [e["state"] for e in theirs["executions"]] == [3, 3, 5, 6, 4, 6, 4, 2]
    assert theirs["events"][2]["path"] == ["examples", 0, "again", 0]


def test_mlmd_reads_types_and_relations(store: SqlStore, path: Path) -> None:
    write_history(store)
    theirs = mlmd("read", path)
    found = {t["name"]: (t["base"], t["properties"]) for t in theirs["types"]["artifact"]}
    assert found == {
        "Examples": ("DATASET", {"span": 1, "share": 2, "split_names": 3, "shuffled": 6}),
        "Model": ("MODEL", {}),
        "Schema": ("UNSET", {}),
    }
    assert {t["name"] for t in theirs["types"]["execution"]} == {"Trainer"}
    assert {t["name"] for t in theirs["types"]["context"]} == {"pipeline", "pipeline_run", "node"}
    ids = {(c["type"], c["name"]): c["id"] for c in theirs["contexts"]}
    run, pipeline = ids["pipeline_run", "r1"], ids["pipeline", "taxi"]
    assert theirs["parents"] == [[run, pipeline]]
    nodes = ("gen", "trainer", "cached", "skipped", "failed", "canceled", "running", "running")
    assert theirs["associations"] == sorted(
        [context, execution]
        for execution, node in enumerate(nodes, 1)
        for context in (run, pipeline, ids["node", f"taxi.{node}"])
    )
    of_node = {"gen": (1, 2), "cached": (1, 2), "trainer": (3,), "failed": (4,)}
    assert theirs["attributions"] == sorted(
        [[c, a] for c in (run, pipeline) for a in (1, 2, 3, 4)]
        + [[ids["node", f"taxi.{node}"], a] for node, made in of_node.items() for a in made]
    )


def test_mlmd_writes_beside_us_and_we_read_on(store: SqlStore, path: Path) -> None:
    write_history(store)
    before = store.get_artifacts()
    ids = mlmd("write", path)
    made = store.get_artifact(ids["artifacts"][1])
    assert made is not None
    assert (made.type, made.uri, made.name, made.state) == (
        "ForeignModel",
        "file:///foreign",
        "foreign",
        ArtifactState.LIVE,
    )
    assert made.properties["loss"] == 0.25
    assert str(made.properties["shape"]).startswith("mlmd-struct::")
    assert made.custom_properties == {"final": True, "steps": 7, "note": "ä'\""}
    (execution,) = store.get_executions_by_id([ids["execution"]])
    assert (execution.type, execution.name, execution.state) == (
        "ForeignTrainer",
        "foreign execution",
        ExecutionState.COMPLETE,
    )
    used, out = store.get_events(execution_ids=[execution.id])
    assert (used.artifact_id, used.type, used.path) == (1, EventType.INPUT, ("examples", 0))
    assert (out.artifact_id, out.type, out.path) == (made.id, EventType.OUTPUT, ("model", 0))
    assert store.get_outputs([execution.id]) == {execution.id: {"model": [made]}}
    assert [c.type for c in store.get_contexts_by_execution(execution.id)] == ["foreign_context"]
    # And we go on: its artifact is an input of ours.
    assert store.get_artifacts()[1:] == before
    end_node(store, "r1", "after", inputs={"model": [made]})
    assert mlmd("read", path)["events"][-1]["path"] == ["model", 0]


def test_a_store_that_mlmd_made_becomes_ours(path: Path) -> None:
    mlmd("write", path)
    store = open_store(str(path))
    write_history(store)
    assert [a.name for a in store.get_artifacts()][-1] == "foreign"
    store.close()
    assert len(mlmd("read", path)["executions"]) == 9


def describe(path: Path) -> dict[str, Any]:
    """Tables, columns, keys and indexes of a database, without tidemill's own."""
    with sqlite.driver().connect(path) as db:
        tables = [n for (n,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found: dict[str, Any] = {}
        for table in sorted(t for t in tables if not t.startswith("tidemill_")):
            ddl = db.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
            indexes = db.execute(f"PRAGMA index_list('{table}')").fetchall()
            found[table] = {
                "columns": db.execute(f"PRAGMA table_xinfo('{table}')").fetchall(),
                "autoincrement": "AUTOINCREMENT" in ddl,
                "indexes": sorted(
                    (
                        name if origin == "c" else origin,
                        unique,
                        partial,
                        [row[2] for row in db.execute(f"PRAGMA index_info('{name}')")],
                        condition(db, name),
                    )
                    for _, name, unique, origin, partial in indexes
                    if not name.startswith("tidemill_")
                ),
            }
        found["system types"] = db.execute(
            "SELECT * FROM Type WHERE name LIKE 'mlmd.%' ORDER BY id"
        ).fetchall()
        found["version"] = db.execute("SELECT * FROM MLMDEnv").fetchall()
    db.close()
    return found


def condition(db: Any, index: str) -> str:
    ddl = db.execute("SELECT sql FROM sqlite_master WHERE name = ?", (index,)).fetchone()[0] or ""
    return " ".join(ddl.partition("WHERE")[2].replace("`", "").split())


def test_the_schema_is_mlmds(store: SqlStore, path: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.db"
    mlmd("create", theirs)
    ours, expected = describe(path), describe(theirs)
    assert ours.keys() == expected.keys()
    for name in expected:
        assert ours[name] == expected[name], name
    assert len(expected["system types"]) == 9
