"""Pages of find_ids: every node once, in order, whatever happens between two pages."""

from __future__ import annotations

import base64
import itertools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.errors import StoreError
from tidemill.metadata.model import TypeKind
from tidemill.metadata.sql import SqlStore, open_store
from tidemill.metadata.sql.filtering import OrderBy, find_ids

ORDERS: tuple[OrderBy, ...] = ("id", "create_time", "update_time")
COLUMNS = {
    "id": "id",
    "create_time": "create_time_since_epoch",
    "update_time": "last_update_time_since_epoch",
}
WAYS = list(itertools.product(ORDERS, (False, True)))


@pytest.fixture
def changing() -> Iterator[SqlStore]:
    """A store of twenty artifacts that a test may change; three at a time have the same times."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        store = open_store(f"{folder}/metadata.db")
        with store.database.writing() as tx:
            for i in range(1, 21):
                put(
                    tx,
                    id=i,
                    type_id=1,
                    create_time_since_epoch=i // 3,
                    last_update_time_since_epoch=-(i // 3),
                )
            put(tx, "Context", id=1, type_id=1, name="c")
            put(tx, "Context", id=2, type_id=1, name="d")
            for artifact, context in itertools.product(range(1, 21), (1, 2)):
                put(tx, "Attribution", artifact_id=artifact, context_id=context)
        yield store
        store.close()


def put(tx: Any, table: str = "Artifact", **row: Any) -> None:
    tx.insert(table, ", ".join(row), list(row.values()))


def page(store: SqlStore, query: str, kind: TypeKind = TypeKind.ARTIFACT, **options: Any) -> Any:
    with store.database.reading() as tx:
        return find_ids(tx, kind, query, **options)


def walk(store: SqlStore, query: str, limits: Iterator[int], **options: Any) -> list[int]:
    found, token = page(store, query, limit=next(limits), **options)
    while token is not None:
        more, token = page(store, query, limit=next(limits), after=token, **options)
        assert more, "a token promises more"
        found = found + more
    return list(found)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(
        ["", "id > 4", "contexts_a.id > 0 OR id = 3", "contexts_a.name = 'alpha'", "type = 'Data'"]
    ),
    st.sampled_from(WAYS),
    st.lists(st.integers(1, 6), min_size=20, max_size=20),
)
def test_pages_put_together_are_the_whole(
    store: SqlStore, rows: Any, query: str, way: tuple[OrderBy, bool], limits: list[int]
) -> None:
    order_by, descending = way
    whole, token = page(store, query, order_by=order_by, descending=descending, limit=1000)
    assert token is None
    assert walk(store, query, iter(limits), order_by=order_by, descending=descending) == whole
    by_id = {row["id"]: row for row in rows["Artifact"]}
    keys = [(by_id[i][COLUMNS[order_by]], i) for i in whole]
    assert keys == sorted(keys, reverse=descending)
    assert len(set(whole)) == len(whole) > 2


@pytest.mark.parametrize(("order_by", "descending"), WAYS)
@pytest.mark.parametrize(
    "query", ["", "contexts_a.id > 0 OR id = 3", "type_id = 1 AND contexts_a.name = 'c'"]
)
def test_changes_between_pages_neither_repeat_nor_hide_others(
    changing: SqlStore, query: str, order_by: OrderBy, descending: bool
) -> None:
    options = {"order_by": order_by, "descending": descending, "limit": 4}
    first, token = page(changing, query, **options)
    second, _ = page(changing, query, after=token, **options)
    with changing.database.writing() as tx:  # the last row of page one, and the first of page two, are gone
        tx.execute("DELETE FROM Artifact WHERE id IN (?, ?)", (first[-1], second[0]))
        put(tx, id=100, type_id=1, create_time_since_epoch=99, last_update_time_since_epoch=99)
        put(tx, id=0, type_id=1, create_time_since_epoch=-99, last_update_time_since_epoch=-99)
        for artifact in (0, 100):
            put(tx, "Attribution", artifact_id=artifact, context_id=1)
    rest, _ = page(changing, query, order_by=order_by, descending=descending, limit=100, after=token)
    old = [i for i in rest if 0 < i < 100]
    assert sorted([*first, *old]) == [i for i in range(1, 21) if i != second[0]]
    assert old[:3] == second[1:]
    assert set(rest) - set(old) == ({0} if descending else {100})


def test_limits(store: SqlStore) -> None:
    everything, token = page(store, "", limit=14)
    assert (len(everything), token) == (14, None)
    assert page(store, "", limit=0) == ([], None)
    _, token = page(store, "", limit=3)
    assert page(store, "", limit=0, after=token) == ([], token)
    assert page(store, "", limit=2, after=token)[0] == everything[3:5]
    with pytest.raises(StoreError, match="-1"):
        page(store, "", limit=-1)


def test_kinds(store: SqlStore) -> None:
    assert page(store, "", TypeKind.EXECUTION, limit=100)[0] == list(range(1, 10))
    assert page(store, "", TypeKind.CONTEXT, limit=100)[0] == list(range(1, 9))


@pytest.mark.parametrize(
    "other",
    [
        {"query": "id > 1"},
        {"kind": TypeKind.EXECUTION},
        {"order_by": "create_time"},
        {"descending": True},
    ],
)
def test_a_token_is_for_one_question(store: SqlStore, other: dict[str, Any]) -> None:
    _, token = page(store, "id > 0", limit=3)
    with pytest.raises(StoreError, match="another question"):
        page(store, **{"query": "id > 0", "limit": 3, "after": token, **other})


def test_damaged_tokens(store: SqlStore) -> None:
    _, token = page(store, "", limit=3)
    question, position, id = json.loads(base64.urlsafe_b64decode(token))

    def packed(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()

    assert packed([question, position, id]) == token
    damaged = [
        "", "x", token[:-3], token + "=", "ä", "\ud800", "'; DROP TABLE Artifact; --", packed([]), packed(3),
        packed([question, position]), packed([question, "1", id]), packed([question, None, id]),
        packed([question, True, id]), packed([question, position, 2**64]), packed([question, 1.5, id]),
        packed({"a": 1}), base64.urlsafe_b64encode(b"[" * 100_000).decode(),
    ]  # fmt: skip
    for wrong in damaged:
        with pytest.raises(StoreError, match=r"damaged|another question"):
            page(store, "", limit=3, after=wrong)
