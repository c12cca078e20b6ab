"""The real ml-metadata and the store in one database of a server, each reading what the other wrote.

Needs an interpreter with ml-metadata 1.17.1, as tests/unit/metadata/test_mlmd_interop.py does. Its client
speaks to MariaDB by native passwords, and to PostgreSQL.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tidemill.metadata.model import Artifact, ArtifactType, EventType, ExecutionState, NodeState, PropertyType
from tidemill.metadata.sql import SqlStore, open_store, upkeep
from tidemill.metadata.sql.catalog import read_catalog
from tidemill.metadata.sql.store import open_database
from tidemill.testing.store_stories import claim_node, end_node, start_run

PYTHON = os.environ.get("TIDEMILL_MLMD_PYTHON", "")
PEER = Path(__file__).parents[1] / "unit" / "metadata" / "mlmd_peer.py"
PASSWORD = "native1"
pytestmark = pytest.mark.skipif(
    not PYTHON, reason="TIDEMILL_MLMD_PYTHON names no interpreter with ml-metadata 1.17.1"
)
VALUES = {
    "whole": 2**31 - 1, "real": 0.1, "text": "ü'\"\n€ 日本 🙂", "yes": True, "empty": "", "small": 1e-300,
}  # fmt: skip
TYPES = (
    ArtifactType(name="Examples", base_type="Dataset", properties={"span": PropertyType.INT}),
    ArtifactType(name="Model", base_type="Model"),
)


class Peer:
    """ml-metadata on a database of a server."""

    def __init__(self, server: Any, name: str) -> None:
        if type(server).__name__ == "Mariadb":
            where = {"host": "127.0.0.1", "port": server.port, "database": name, "user": "mlmd"}
            server.admin(
                f"CREATE USER IF NOT EXISTS mlmd@'%' IDENTIFIED BY '{PASSWORD}'",
                "GRANT ALL ON *.* TO mlmd@'%'",
            )
            self._config = {"mysql": {**where, "password": PASSWORD}}
        else:
            server.admin(f"ALTER ROLE mlmd SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
            where = {"hostaddr": "127.0.0.1", "port": str(server.port), "dbname": name, "user": "mlmd"}
            self._config = {"postgresql": {**where, "password": PASSWORD}}

    def __call__(self, action: str) -> Any:
        command = [PYTHON, str(PEER), action, json.dumps(self._config)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def name(server: Any) -> Iterator[str]:
    with server.database() as name:
        yield name


@pytest.fixture
def mlmd(server: Any, name: str) -> Peer:
    if type(server).__name__ == "Postgresql":
        server.admin(
            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mlmd') "
            "THEN CREATE ROLE mlmd; END IF; END $$"
        )
    return Peer(server, name)


def write_history(store: SqlStore) -> None:
    """States, kinds of properties and relations."""
    start_run(store, "r1", date="2024-01-05", types=TYPES)
    data = Artifact(type="Examples", uri="file:///ä", properties={"span": 3}, custom_properties=VALUES)
    made = end_node(store, "r1", "gen", outputs={"x": [data, data]})
    end_node(
        store, "r1", "trainer", inputs={"x": made.outputs["x"], "again": made.outputs["x"][:1]},
        outputs={"model": [Artifact(type="Model", uri="file:///m")]}, properties=VALUES,
    )  # fmt: skip
    end_node(store, "r1", "failed", state=NodeState.FAILED, message="böse")
    claim_node(store, "r1", "running")


def plain(found: Any) -> dict[str, Any]:
    """One of our values in the form of the peer's answer."""
    kinds = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}
    return {
        "id": found.id,
        "type": found.type,
        "name": found.name,
        "properties": {n: [kinds[type(v)], v] for n, v in found.properties.items()},
        "custom_properties": {n: [kinds[type(v)], v] for n, v in found.custom_properties.items()},
        "create_time": found.create_time,
        "update_time": found.update_time,
    }


_NODES = ("artifacts", "executions", "contexts")


def by_id(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """PostgreSQL answers in no order of its own."""
    return sorted(rows, key=lambda row: row["id"])


def check_every_field(theirs: Any, store: SqlStore) -> None:
    executions = store.get_executions("r1")
    artifacts = [a for a in store.get_artifacts()[::-1] if a.type != "ForeignModel"]
    contexts = {c.id: c for e in executions for c in store.get_contexts_by_execution(e.id)}
    ids = {e.id for e in executions}
    theirs = {kind: by_id(rows) if kind in _NODES else rows for kind, rows in theirs.items()}
    known = [a for a in theirs["artifacts"] if a["type"] != "ForeignModel"]
    assert known == [{**plain(a), "uri": a.uri, "state": a.state.value} for a in artifacts]
    assert [e for e in theirs["executions"] if e["id"] in ids] == [
        {**plain(e), "state": e.state.value} for e in executions
    ]
    assert [c for c in theirs["contexts"] if c["id"] in contexts] == [
        plain(contexts[i]) for i in sorted(contexts)
    ]
    events = sorted((e for e in theirs["events"] if e["execution"] in ids), key=lambda e: (e["execution"],))
    ours = store.get_events(execution_ids=sorted(ids))
    key = lambda e: (e["execution"], e["type"], e["artifact"])  # noqa: E731
    assert sorted(events, key=key) == sorted(
        (
            {"artifact": e.artifact_id, "execution": e.execution_id, "type": e.type.value, "time": e.time,
             "path": list(e.path)}
            for e in ours
        ),
        key=key,
    )  # fmt: skip
    data = next(a for a in theirs["artifacts"] if a["type"] == "Examples")
    assert {n: v for n, (_, v) in data["custom_properties"].items()} == VALUES
    assert data["uri"] == "file:///ä"


def test_ml_metadata_reads_ours_and_writes_beside(server: Any, name: str, mlmd: Peer) -> None:
    store = open_store(server.url(name))
    write_history(store)
    check_every_field(mlmd("read"), store)
    found = {t["name"]: (t["base"], t["properties"]) for t in mlmd("read")["types"]["artifact"]}
    assert found == {"Examples": ("DATASET", {"span": 1}), "Model": ("MODEL", {})}
    ids = mlmd("write")
    check_every_field(mlmd("read"), store)
    check_what_they_wrote(store, ids)
    end_node(store, "r1", "after", inputs={"model": [store.get_artifacts()[0]]})
    assert ["model", 0] in [e["path"] for e in mlmd("read")["events"]]
    store.close()


def test_what_ml_metadata_made_becomes_ours(server: Any, name: str, mlmd: Peer) -> None:
    ids = mlmd("write")
    store = open_store(server.url(name))
    check_what_they_wrote(store, ids)
    write_history(store)
    check_every_field(mlmd("read"), store)
    store.close()


def check_what_they_wrote(store: SqlStore, ids: Any) -> None:
    made = store.get_artifact(ids["artifacts"][-1])
    assert made is not None
    assert (made.type, made.uri, made.name) == ("ForeignModel", "file:///foreign", "foreign")
    assert made.properties["loss"] == 0.25
    assert made.custom_properties == {"final": True, "steps": 7, "note": "ä'\""}
    (execution,) = store.get_executions_by_id([ids["execution"]])
    assert (execution.type, execution.state) == ("ForeignTrainer", ExecutionState.COMPLETE)
    out = store.get_events(execution_ids=[execution.id])[-1]
    assert (out.artifact_id, out.type, out.path) == (made.id, EventType.OUTPUT, ("model", 0))


def describe(store: SqlStore, kind: str) -> tuple[set[Any], set[Any]]:
    """Columns and indexes of MLMD's tables."""
    schema = "DATABASE()" if kind == "Mariadb" else "current_schema()"
    kind_of = "column_type" if kind == "Mariadb" else "data_type"
    with store.database.reading() as tx:
        columns = tx.rows(
            f"SELECT table_name, column_name, {kind_of}, is_nullable, column_default "
            f"FROM information_schema.columns WHERE table_schema = {schema}"
        )
        if kind == "Mariadb":
            indexes = tx.rows(
                "SELECT table_name, index_name, column_name, seq_in_index, sub_part, non_unique "
                f"FROM information_schema.statistics WHERE table_schema = {schema}"
            )
        else:
            indexes = tx.rows(
                f"SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = {schema}"
            )
    mine = lambda rows: {r for r in rows if "tidemill" not in "".join(map(str, r[:2]))}  # noqa: E731
    return mine(columns), mine(indexes)


def test_the_schema_is_mlmds(server: Any, name: str, mlmd: Peer) -> None:
    """But for what docs/decisions/0011 names: 64 bits for integers, and long values in an index."""
    kind = type(server).__name__
    ours = open_store(server.url(name))
    columns, indexes = describe(ours, kind)
    ours.close()
    server.drop(name)
    server.admin(f"CREATE DATABASE {name}")
    mlmd("create")
    theirs = open_store(server.url(name))
    their_columns, their_indexes = describe(theirs, kind)
    theirs.close()
    differing = {(r[0].lower(), r[1], r[2]) for r in columns ^ their_columns}
    owners = ("artifactproperty", "executionproperty", "contextproperty")
    types = ("bigint(20)", "int(11)") if kind == "Mariadb" else ("bigint", "integer")
    assert differing == {(owner, "int_value", kind) for owner in owners for kind in types}
    names = {r[1] for r in indexes ^ their_indexes}
    long = {f"idx_{owner}_property_string" for owner in ("artifact", "execution", "context")}
    assert names == (set() if kind == "Mariadb" else long)


@pytest.mark.parametrize("version", [0, 4, 5, 6, 7, 8, 9])
def test_versions_that_ml_metadata_brought_back(server: Any, name: str, mlmd: Peer, version: int) -> None:
    """Brought up by us: ml-metadata reads what it wrote, in tables of the form that it makes."""
    url = server.url(name)
    if type(server).__name__ == "Postgresql" and version < 6:
        pytest.skip("ml-metadata has no such versions on PostgreSQL")
    mlmd("write")
    kept = mlmd("read")
    before = describe_all(url)
    mlmd(str(version))
    if version >= 6:
        reader = open_store(url, read_only=True)
        assert [a.uri for a in reader.get_artifacts()] == ["file:///foreign"]
        assert reader.get_runs() == []
        reader.close()
        open_store(url).close()
    else:
        upkeep.upgrade(url)
    assert describe_all(url) == before
    found = mlmd("read")
    for node in (*kept["artifacts"], *kept["executions"]):
        node["custom_properties"].pop("final", None)  # a truth value, which no earlier version holds
    if version >= 6:
        assert found == kept
    assert [a["uri"] for a in found["artifacts"]] == ["file:///foreign"]
    assert found["events"] == kept["events"]
    upkeep.downgrade(url, version, drop_own=version < 6)
    if type(server).__name__ == "Postgresql" and version < 9:
        return  # ml-metadata's own upgrade to 9 wants milliseconds in 32 bits there: "integer out of range"
    assert mlmd("upgrade") == found


def describe_all(url: str) -> tuple[set[Any], set[Any]]:
    """MLMD's part of the tables, but for what docs/decisions/0011 names.

    Columns stand in any order and rules under any name, as ALTER TABLE leaves them.
    """
    database = open_database(url, read_only=True)
    catalog = database.read(read_catalog)
    database.close()
    columns, rules = set(), set()
    for table, shape in catalog.items():
        if table.startswith("tidemill_"):
            continue
        ours = ("tidemill_order", "int_value")
        columns |= {(table, name, column) for name, column in shape.columns.items() if name not in ours}
        rules |= {
            (table, name, () if name.endswith("_property_string") else rule)
            if name.startswith("idx_")
            else (table, "", rule)
            for name, rule in shape.rules.items()
            if not name.startswith("tidemill_")
        }
    return columns, rules
