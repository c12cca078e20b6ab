"""Rows of SQL queries: over files, of databases, and never with a password where it can be read."""

from __future__ import annotations

import decimal
import sqlite3
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tidemill.data import query_source
from tidemill.errors import DataError, DefinitionError, TransientError
from tidemill.types.source import Query


@pytest.fixture
def trips(reading: Any) -> Any:
    pq.write_table(
        pa.table({"id": range(50), "fare": [at / 2 for at in range(50)]}), reading.base / "t.parquet"
    )
    reading.write("zones.csv", "zone,name\n0,north\n1,south\n")
    reading.write("more.jsonl", '{"id": 100, "tags": ["x"]}\n')
    names = {"trips": "t.parquet", "zones": "zones.csv", "more": "more.jsonl"}
    return {table: reading.files(name) for table, name in names.items()}


def test_a_query_over_files_of_several_formats(reading: Any, trips: Any) -> None:
    sql = """select t.id, t.fare, z.name from trips t join zones z on z.zone = t.id % 2
             where t.id < $most order by t.id"""
    examples = reading.examples(Query(sql, tables=trips, parameters={"most": 4}))
    assert reading.rows(examples).to_pydict() == {
        "id": [0, 1, 2, 3], "fare": [0.0, 0.5, 1.0, 1.5], "name": ["north", "south", "north", "south"]
    }  # fmt: skip
    assert examples.fingerprint
    again = reading.table(
        Query("select count(*) n, avg(fare) f, id % 3 k from trips group by k", tables=trips)
    )
    assert again == reading.table(
        Query("select count(*) n, avg(fare) f, id % 3 k from trips group by k", tables=trips)
    )
    assert reading.table(Query("select * from more", tables=trips)).to_pylist() == [
        {"id": 100, "tags": ["x"]}
    ]


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("select nothing from trips", "the query failed"),
        ("select * from 'other.csv'", "the query failed"),
        ("select * from read_csv('other.csv')", "the query failed"),
        ("install httpfs", "the query failed"),
        ("set threads=2", "the query failed"),
        ("copy trips to 'out.csv'", "the query failed"),
        ("select id, id from trips", "two columns 'id'"),
        ("select * from trips where false", "not one row"),
    ],
)
def test_a_query_sees_its_tables_only(
    reading: Any, trips: Any, sql: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(reading.base)
    reading.write("other.csv", "a\n1\n")
    assert says in reading.refusal(Query(sql, tables=trips))
    assert not (reading.base / "out.csv").exists()


def test_a_query_of_a_database(reading: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_source, "_FETCH_ROWS", 7)
    with sqlite3.connect(reading.base / "city.db") as connection:
        connection.execute("create table trips (id integer, fare, name text, note blob)")
        rows = [(at, at if at < 20 else at + 0.5, f"n{at}", None if at < 30 else b"x") for at in range(40)]
        connection.executemany("insert into trips values (?, ?, ?, ?)", rows)
    connection.close()
    url = f"sqlite:///{reading.base / 'city.db'}"
    query = Query(
        "select * from trips where id >= :least order by id", url=url, parameters={"least": 5}, as_of="1"
    )
    table = reading.table(query)
    assert table.to_pydict() == {
        "id": list(range(5, 40)),
        "fare": [float(at) if at < 20 else at + 0.5 for at in range(5, 40)],
        "name": [f"n{at}" for at in range(5, 40)],
        "note": [None if at < 30 else b"x" for at in range(5, 40)],
    }
    monkeypatch.setenv("CITY_URL", url)
    assert reading.table(Query("select id from trips", url_env="CITY_URL", as_of="1")).num_rows == 40
    assert "no such table" in reading.refusal(Query("select * from rides", url=url, as_of="1"))
    mixed = Query("select case when id < 20 then id else 'x' end as v from trips", url=url, as_of="1")
    assert "mixed types" in reading.refusal(mixed)


def test_types_of_databases() -> None:
    from tidemill.data.nested_types import common_type, exact_array

    values = [decimal.Decimal("1.5"), None, decimal.Decimal("2.25")]
    type = common_type(values)
    assert str(type) == "decimal128(38, 2)"
    assert exact_array(values, type).to_pylist() == [decimal.Decimal("1.50"), None, decimal.Decimal("2.25")]
    with pytest.raises(pa.ArrowInvalid):
        exact_array([1.5], pa.int64())


def test_a_password_in_the_url_is_refused_at_once() -> None:
    with pytest.raises(DefinitionError, match="password_env") as caught:
        Query("select 1", url="postgresql://me:secret@db/city", as_of="1")
    assert "secret" not in str(caught.value)
    assert Query("select 1", url="postgresql://me@db:5432/city", as_of="1").url


def test_secrets_come_from_the_environment_and_are_shown_nowhere(
    reading: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = Query(
        "select 1", url="postgresql+psycopg://me@127.0.0.1:1/city", password_env="CITY_PASSWORD", as_of="1"
    )
    assert "CITY_PASSWORD is not set" in reading.refusal(query)
    monkeypatch.setenv("CITY_PASSWORD", "correct-horse")
    with pytest.raises(TransientError, match="cannot be reached") as caught:
        reading.examples(query)
    assert "correct-horse" not in str(caught.value)
    assert "correct-horse" not in str(dict(query))
    monkeypatch.setenv("CITY_URL", "no url, but secret")
    text = reading.refusal(Query("select 1", url_env="CITY_URL", as_of="1"))
    assert "no SQLAlchemy URL" in text
    assert "secret" not in text


@pytest.mark.parametrize(
    ("query", "says"),
    [
        (Query("select 1"), "either tables, or url"),
        (Query("select 1", url="sqlite://"), "needs as_of"),
        (Query("select 1", url="nosuch://host/x", as_of="1"), "cannot be read"),
    ],
)
def test_a_query_that_says_too_little(reading: Any, query: Query, says: str) -> None:
    with pytest.raises(DataError, match=says):
        reading.examples(query)
