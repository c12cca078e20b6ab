"""A small record with one of everything that a filter can see, as a SQLite store and as plain rows."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tidemill.metadata.model import TypeKind
from tidemill.metadata.sql import SqlStore, open_store

MEMORY = Path("/dev/shm")
Row = dict[str, Any]

ODD = [
    "it's",
    'say "x"',
    "back\\slash",
    "new\nline",
    "ä Ö 日",
    "b`t",
    "wow!_%",
    "",
    "'; DROP TABLE Artifact; --",
]
TYPES = [  # ids 10 to 16: MLMD's nine system types come first
    (10, "Data", TypeKind.ARTIFACT),
    (11, "Model", TypeKind.ARTIFACT),
    (12, "Trainer", TypeKind.EXECUTION),
    (13, "Loader", TypeKind.EXECUTION),
    (14, "pipeline", TypeKind.CONTEXT),
    (15, "run", TypeKind.CONTEXT),
    (16, "Data", TypeKind.CONTEXT),  # the name of an artifact type, too
]
NAMES = ["alpha", "Beta", "beta", "a_b", "aXb", "100%", "data/1", None, None, *ODD[:6]]


def _times(i: int) -> Row:
    return {"create_time_since_epoch": 1000 + i // 3, "last_update_time_since_epoch": 5000 - i * i}


def _nodes() -> dict[str, list[Row]]:
    """Rows of the three kinds of nodes; ids leave gaps, many columns are NULL somewhere."""
    artifacts = [
        {
            "id": i, "type_id": 10 + i % 2, "name": NAMES[i - 1], **_times(i),
            "uri": [None, "", f"/data/{i}", f"/DATA/{i}"][i % 4],
            "state": [None, 2, 1, 2, 4, 0, 5][i % 7], "external_id": f"ext-{i}" if i % 5 == 0 else None,
        }
        for i in range(1, 16) if i != 7
    ]  # fmt: skip
    executions = [
        {
            "id": i, "type_id": 12 + i % 2, "name": NAMES[-i], "last_known_state": [None, 3, 4, 2][i % 4],
            "external_id": f"ext-{i}" if i % 3 == 0 else None, **_times(i),
        }
        for i in range(1, 10)
    ]  # fmt: skip
    names = ["alpha", "beta", "Beta", "r1", "r2", "it's", "100%", "lonely"]
    contexts = [
        {
            "id": i,
            "type_id": 14 + i % 3,
            "name": name,
            "external_id": "ext-1" if i == 1 else None,
            **_times(i),
        }
        for i, name in enumerate(names, 1)
    ]
    return {"Artifact": artifacts, "Execution": executions, "Context": contexts}


def _properties(owner: str, ids: list[int]) -> list[Row]:
    """Values by name and kind; a custom property of one name may be of several kinds."""
    rows = []
    for i in ids:
        values: list[tuple[str, int, str, Any]] = [("count", 0, "int_value", i - 5)]
        if i % 3:
            values += [("ratio", 0, "double_value", i / 4), ("label", 0, "string_value", NAMES[i % 7])]
        if i % 2:
            values += [("ok", 0, "bool_value", i % 4 // 2), ("count", 1, "double_value", i / 2)]
        else:
            values += [("count", 1, "int_value", 2**62 + i), ("big", 1, "double_value", 1e308 * (i - 4))]
        values += [("odd name", 1, "int_value", i)] if i < 6 else [("Count", 1, "string_value", "alpha")]
        values += [(ODD[i % len(ODD)] or "x", 1, "string_value", ODD[i % len(ODD)])]
        rows += [
            {f"{owner.lower()}_id": i, "name": name, "is_custom_property": custom, column: value}
            for name, custom, column, value in values
        ]
    return rows


def _tables() -> dict[str, list[Row]]:
    nodes = _nodes()
    ids = {kind: [row["id"] for row in rows] for kind, rows in nodes.items()}
    pairs = [
        (a, c) for a in ids["Artifact"] for c in ids["Context"][:-1] if (a * c) % 4 == 1 or a % 6 == c % 6
    ]
    links = [(e, c) for e in ids["Execution"] for c in ids["Context"][:-1] if (e + c) % 4 == 1]
    events = [(a, e) for a in ids["Artifact"] for e in ids["Execution"] if (a + 2 * e) % 7 == 0]
    parents = [(4, 1), (5, 1), (4, 2), (6, 5)]
    return {
        "Type": [{"id": i, "name": n, "type_kind": k.value} for i, n, k in TYPES],
        **nodes,
        **{f"{owner}Property": _properties(owner, ids[owner]) for owner in nodes},
        "Attribution": [{"artifact_id": a, "context_id": c} for a, c in pairs],
        "Association": [{"execution_id": e, "context_id": c} for e, c in links],
        "ParentContext": [{"context_id": c, "parent_context_id": p} for c, p in parents],
        "Event": [
            {"artifact_id": a, "execution_id": e, "type": 1 + (a + e) % 7, "milliseconds_since_epoch": a * e}
            for a, e in events
        ],
    }  # fmt: skip


@pytest.fixture(scope="session")
def rows() -> dict[str, list[Row]]:
    """Table -> its rows, as column -> value; a column that a row lacks is NULL."""
    return _tables()


@pytest.fixture(scope="session")
def store(rows: dict[str, list[Row]]) -> Iterator[SqlStore]:
    """A store that holds `rows`, shared by the tests, which only read it."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        store = open_store(f"{folder}/metadata.db")
        with store.database.writing() as tx:
            for table, its_rows in rows.items():
                for row in its_rows:
                    tx.insert(table, ", ".join(row), list(row.values()))
        yield store
        store.close()
