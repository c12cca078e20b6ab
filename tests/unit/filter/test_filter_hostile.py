"""Whatever is asked, the answer is rows or a FilterError, and the record stays as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tidemill.metadata.filter import FilterError, compile_filter
from tidemill.metadata.filter.compiler import MOST_ENTANGLED
from tidemill.metadata.filter.lexer import MOST_CHARACTERS
from tidemill.metadata.filter.resolver import MOST_CONDITIONS
from tidemill.metadata.model import TypeKind
from tidemill.metadata.sql import SqlStore
from tidemill.metadata.sql.filtering import find_ids

VALID = [
    "id = 1 AND (name LIKE 'a%' OR uri IS NOT NULL)",
    'state IN (LIVE, PENDING) AND NOT type = "Data"',
    "contexts_a.name = 'alpha' AND contexts_b.id BETWEEN 1 AND 3 OR contexts_a.type != 'run'",
    "properties.`odd name`.int_value > 3 AND custom_properties.count.double_value / 2 < 1e3",
    "events_0.type = INPUT AND events_0.milliseconds_since_epoch >= -5 # so",
    "custom_properties.`it's`.string_value = '''it's''' /* so */ AND id NOT IN (1, NULL, 0x1F)",
    "properties.ok.bool_value IS NOT TRUE AND r'\\' <> name",
]
HOSTILE = [
    "'; DROP TABLE Artifact; --", '"; DELETE FROM Type; --', "`; ATTACH 'x' AS y; --", "') OR 1=1 --", "#",
    "/*", "*/", "--", "\\", "\\'", "'''", '"""', "`", "\0", "\ud800", "?", ":a", "@a", "$1", "{ids}", "%s",
    "{0}", "1e999", "-9223372036854775808", "99999999999999999999", "(" * 40, "NOT " * 40, "- " * 40, "NULL",
    "٣", "é", "\u2028", "\x85", " IN (", " BETWEEN ", "properties.", "contexts_a.", "\r", "0x", "1.e", "''",
]  # fmt: skip
ANY = settings(max_examples=300, deadline=None)
UNCHANGED = (
    "SELECT type, name, sql FROM sqlite_master ORDER BY name",
    "SELECT total_changes()",  # of this connection
    "PRAGMA data_version",  # moves with changes of others
)
STORED = {"Artifact": 14, "Execution": 9, "Context": 8}


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A valid query with pieces cut out, repeated, exchanged or replaced by worse ones."""
    query = draw(st.sampled_from(VALID))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(query)))
        end = draw(st.integers(start, min(len(query), start + 12)))
        other = draw(st.sampled_from(VALID))
        cut = draw(st.integers(0, len(other)))
        pieces = st.sampled_from(HOSTILE) | st.text(max_size=3) | st.just(other[cut : cut + 20]) | st.just("")
        query = query[:start] + draw(pieces) + query[end:]
    return query


def ask(store: SqlStore, query: str) -> None:
    """Ask on every kind of node; only a FilterError may come out."""
    for kind in TypeKind:
        if error := refusal(query, kind):
            assert 0 <= error.position <= len(query)
            assert str(error).encode("utf-8")
            continue
        with store.database.reading() as tx:
            ids, _ = find_ids(tx, kind, query, limit=100)
        assert ids == sorted(set(ids))


def refusal(query: str, kind: TypeKind = TypeKind.ARTIFACT) -> FilterError | None:
    try:
        compile_filter(query, kind)
    except FilterError as error:
        return error
    return None


@pytest.fixture(autouse=True, scope="module")
def nothing_changes(store: SqlStore) -> Iterator[None]:
    with store.database.reading() as tx:
        before = [tx.rows(question) for question in UNCHANGED]
    yield
    with store.database.reading() as tx:
        assert [tx.rows(question) for question in UNCHANGED] == before
        for table, count in STORED.items():
            assert tx.row(f"SELECT COUNT(*) FROM {table}") == (count,)


@ANY
@given(st.text())
@example("\0")
@example("name = '\ud800'")
def test_any_text(store: SqlStore, query: str) -> None:
    if query:
        ask(store, query)


@ANY
@given(st.text(alphabet="'\"`\\rRbB/*-#\n\rxuU0a()%_=.,", max_size=30))
def test_any_text_of_quotes_and_comments(store: SqlStore, text: str) -> None:
    ask(store, f"name = {text}")
    ask(store, f"{text} = name AND name LIKE '{text}")
    ask(store, f"properties.{text}.int_value = 1")


@ANY
@given(mutated())
def test_mutated_queries(store: SqlStore, query: str) -> None:
    if query:
        ask(store, query)


@ANY
@given(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8")))
@example("it's", "')--")
@example("; DROP TABLE Artifact; --", '"; DROP TABLE Artifact; --')
@example("`", "\\")
def test_names_and_texts_are_parameters(store: SqlStore, name: str, text: str) -> None:
    """Any name and text that can be stored is asked for as it is, and is no part of the SQL."""

    def quoted(value: str, quote: str) -> str:
        return (
            quote + re.sub(r"[\\'\"`]", r"\\\g<0>", value).replace("\n", r"\n").replace("\r", r"\r") + quote
        )

    query = f"custom_properties.{quoted(name, '`')}.string_value = {quoted(text, chr(39))}"
    if "\0" in query:
        with pytest.raises(FilterError, match=r"U\+0000"):
            compile_filter(query, TypeKind.ARTIFACT)
        return
    compiled = compile_filter(query, TypeKind.ARTIFACT)
    assert compiled.values == (name, True, text)
    plain = compile_filter("custom_properties.x.string_value = 'y'", TypeKind.ARTIFACT)
    assert (compiled.joins, compiled.where) == (plain.joins, plain.where)
    ask(store, query)


NESTED = {  # opening, middle and closing; how many levels there may be at least
    "brackets": ("(", "id = 1", ")", 99),
    "brackets and AND": ("(id = 1 AND (id = 2 OR ", "id = 1", "))", 14),
    "AND before": ("((", "id = 1", " AND id = 2) OR id = 3)", 38),
    "NOT": ("NOT (", "id = 1", ")", 38),
    "NOT without brackets": ("NOT ", "id = 1", "", 38),
    "signs": ("-(-(", "id", "))", 10),
    "sums": ("id + (1 - (", "id", "))", 10),
    "sums in a row": ("", "id", " - 1", 30),
    "comparisons": ("TRUE = (FALSE <> (", "id = 1", "))", 9),
    "IN": ("TRUE IN (FALSE, ", "id = 1", ")", 12),
    "BETWEEN": ("(TRUE BETWEEN FALSE AND (", "id = 1", "))", 12),
    "IS": ("((", "id = 1", ") IS TRUE) IS NOT FALSE", 38),
    "states": ("NOT (id = 1 OR ", "state != LIVE AND NOT state NOT IN (LIVE)", ")", 20),
    "one neighbour": ("NOT (contexts_a.id = 1 OR ", "contexts_a.type LIKE 'a!%'", ")", 20),
    "IN of one neighbour": ("TRUE IN (FALSE, ", "contexts_a.name NOT LIKE 'a!%'", ")", 12),
    "neighbours": ("NOT (contexts_a.id = 1 OR ", "contexts_b.type LIKE 'a!%'", ")", 20),
}


@pytest.mark.parametrize("way", NESTED)
def test_nested_as_deeply_as_it_may_be_sqlite_still_reads_it(way: str, store: SqlStore) -> None:
    opening, middle, closing, wanted = NESTED[way]
    queries = []
    for depth in (*range(1, 100), 149, 200, 5000):
        query = opening * depth + middle + closing * depth
        query += " > 0" if way.startswith(("signs", "sums")) else ""
        if error := refusal(query):
            assert "too deeply" in str(error) or "conditions" in str(error), query[:200]
        else:
            queries.append(query)
    with store.database.reading() as tx:
        find_ids(tx, TypeKind.ARTIFACT, queries[-1], limit=1)
    assert 99 >= len(queries) >= wanted


def test_long_chains_are_read(store: SqlStore) -> None:
    for word in ("AND", "OR"):
        chain = f" {word} ".join(["id > 0"] * MOST_CONDITIONS)
        ask(store, chain)
        with store.database.reading() as tx:
            assert len(find_ids(tx, TypeKind.ARTIFACT, chain, limit=100)[0]) == STORED["Artifact"]
        with pytest.raises(FilterError, match=f"more than {MOST_CONDITIONS} conditions"):
            compile_filter(f"{chain} {word} id > 0", TypeKind.ARTIFACT)
    # The worst of both: a chain in every level.
    query = "id > 0"
    for level in range(25):
        word = ("AND", "OR")[level % 2]
        query = f" {word} ".join(["id > 0"] * 30) + f" {word} ({query})"
    ask(store, query)


def test_long_lists_are_read(store: SqlStore) -> None:
    numbers = ", ".join(map(str, range(30_000)))
    with store.database.reading() as tx:
        assert len(find_ids(tx, TypeKind.ARTIFACT, f"id IN ({numbers})", limit=100)[0]) == STORED["Artifact"]
    with pytest.raises(FilterError, match="too many values"):
        compile_filter(f"id IN ({numbers}, 1)", TypeKind.ARTIFACT)


def test_many_neighbours(store: SqlStore) -> None:
    together = " AND ".join(f"contexts_{i}.id > 0" for i in range(28))
    ask(store, together)
    properties = " OR ".join(f"properties.p{i}.int_value > 0" for i in range(59))
    ask(store, properties)
    for query in (
        " AND ".join(f"contexts_{i}.type = 'a'" for i in range(500)),
        properties + " OR properties.p59.int_value > 0",
    ):
        with pytest.raises(FilterError, match="too many neighbours"):
            compile_filter(query, TypeKind.ARTIFACT)


def test_neighbours_whose_combinations_would_be_tried(store: SqlStore) -> None:
    ask(store, " OR ".join(f"contexts_{i}.id < 0" for i in range(MOST_ENTANGLED)))
    error = refusal(" OR ".join(f"contexts_{i}.id < 0" for i in range(MOST_ENTANGLED + 1)))
    assert "neighbours depend on one another" in str(error)


def test_too_long() -> None:
    with pytest.raises(FilterError, match="too long"):
        compile_filter(" " * (MOST_CHARACTERS + 1), TypeKind.ARTIFACT)
    for text in (
        "/*" * 60_000,
        "'" + "\\\\" * 60_000,
        "1 + " * 60_000 + "1",
        "1" + " * 1" * 60_000,
        "a." * 60_000,
        "(" * 100_000,
        "%" * 250_000,
    ):
        with pytest.raises(FilterError):
            compile_filter(f"name = {text}", TypeKind.ARTIFACT)


def test_patterns_that_wander(store: SqlStore) -> None:
    with store.database.reading() as tx:
        find_ids(tx, TypeKind.ARTIFACT, "uri LIKE '" + "%a" * 5000 + "'", limit=1)
        with pytest.raises(FilterError, match="characters"):
            find_ids(tx, TypeKind.ARTIFACT, "uri LIKE '" + "%" * 10_001 + "'", limit=1)
        find_ids(tx, TypeKind.ARTIFACT, "uri LIKE '" + "日" * 10_000 + "'", limit=1)
        find_ids(tx, TypeKind.ARTIFACT, "uri LIKE '" + "!" * 10_000 + "'", limit=1)
