"""What the language accepts and refuses, how it reads texts and numbers, and what it tells its users."""

from __future__ import annotations

from typing import Any

import pytest

from tidemill.errors import StoreError
from tidemill.metadata.filter import FilterError, compile_filter
from tidemill.metadata.model import TypeKind
from tidemill.metadata.sql import SqlStore
from tidemill.metadata.sql.filtering import find_ids

KINDS = {"artifact": TypeKind.ARTIFACT, "execution": TypeKind.EXECUTION, "context": TypeKind.CONTEXT}


def values_of(query: str, kind: TypeKind = TypeKind.ARTIFACT) -> list[Any]:
    return list(compile_filter(query, kind).values)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("'plain'", "plain"),
        ('"plain"', "plain"),
        ("'''it's'''", "it's"),
        ('"""say "x" """', 'say "x" '),
        ("''", ""),
        (r"'\'\"\`\?\\'", "'\"`?\\"),
        (r"'\a\b\f\n\r\t\v'", "\a\b\f\n\r\t\v"),
        (r"'\x41\X42\103\u00e4\U0001F600'", "ABCä😀"),
        (r"r'\n\''", r"\n\'"),
        (r'R"\q"', r"\q"),
        ("'''a\r\nb\rc'''", "a\nb\nc"),
        (r"'''a\r'''", "a\r"),
        ("'ä日'", "ä日"),
        ("'-- /* # '", "-- /* # "),
    ],
)
def test_texts(written: str, meant: str) -> None:
    assert values_of(f"name = {written}") == [meant]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("7", 7), ("007", 7), ("0x1F", 31), ("0Xa", 10), ("-3", -3), ("- 3", -3), ("-(-3)", 3), ("+3", 3),
        ("1.5", 1.5), ("1.", 1.0), (".5", 0.5), ("1e3", 1000.0), ("1E-2", 0.01), ("2.e1", 20.0),
        ("9223372036854775807", 2**63 - 1), ("-9223372036854775808", -(2**63)),
        ("18446744073709551615", float(2**64 - 1)),
    ],
)  # fmt: skip
def test_numbers(written: str, meant: float) -> None:
    (value,) = values_of(f"id = {written}")
    assert (value, type(value)) == (meant, type(meant))


def test_integers_become_doubles_where_they_meet_doubles() -> None:
    for query in ("properties.x.double_value = 3", "properties.x.double_value IN (3)"):
        assert [type(v) for v in values_of(query)[2:]] == [float]
    assert [type(v) for v in values_of("id IN (1, 2.5)")] == [float, float]
    assert [type(v) for v in values_of("id BETWEEN 1 AND 2")] == [int, int]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("a.b", None), ("`a.b`", "a.b"), ("0", "0"), ("0a_B", "0a_B"), ("`AND`", "AND"), ("AND", "AND"),
        (r"`a\`b`", "a`b"), (r"`a\\b`", "a\\b"), ("`it's`", "it's"), ('`"`', '"'), ("`ä b`", "ä b"),
        ("`; DROP TABLE Artifact; --`", "; DROP TABLE Artifact; --"),
    ],
)  # fmt: skip
def test_property_names(written: str, meant: str | None) -> None:
    for prefix, custom in (("properties", False), ("custom_properties", True)):
        query = f"{prefix}.{written}.int_value = 1"
        if meant is None:
            with pytest.raises(FilterError):
                compile_filter(query, TypeKind.ARTIFACT)
        else:
            compiled = compile_filter(query, TypeKind.ARTIFACT)
            assert compiled.values == (meant, custom, 1)
            assert meant.lower() not in compiled.joins.lower() or len(meant) < 4


def test_one_alias_is_one_row() -> None:
    one = compile_filter("contexts_a.id = id OR contexts_a.name = 'x'", TypeKind.ARTIFACT)
    two = compile_filter("contexts_a.id = id OR contexts_b.name = 'x'", TypeKind.ARTIFACT)
    assert (one.joins.count("Attribution"), two.joins.count("Attribution")) == (1, 2)
    assert one.repeats
    assert two.repeats


def test_rows_that_cannot_repeat_need_no_distinct() -> None:
    for query in ("id = 1", "type = 'x' AND properties.a.int_value = 1", "contexts_a.name = 'x' AND id > 1"):
        assert not compile_filter(query, TypeKind.ARTIFACT).repeats


COMMON = """
    id = 1 | id <> 1 | ID != 1 | id in (1, 2) | id NOT IN (3) | NOT id = 1 | NOT NOT (id = 1) | 1 = id
    TRUE | type_id + 1 > 2 | type_id * 2 - 1 >= 3 | id / 2 < 0.5 | -id < -3 | id BETWEEN 1 AND 2
    (id = 1) = TRUE | id NOT BETWEEN 1 AND 2 AND id = 4 | type = 'Data' | type IS NOT NULL | type LIKE 'D%'
    name NOT LIKE 'a_' | name LIKE external_id | external_id IS NULL | create_time_since_epoch > 1
    last_update_time_since_epoch < 9 | name >= "a" | properties.a.int_value = 1
    properties.a.double_value > 1 | properties.a.bool_value | NOT properties.a.bool_value
    properties.a.bool_value IS NOT TRUE | properties.a.bool_value != false
    custom_properties.`a b`.string_value IS NULL | properties . a . int_value = 1 | `id` = 1 | NULL IS NULL
    id = 1 AND (id = 2 OR id = 3) OR id = 4 | id IN (1, NULL, 2.5) | id = 1 -- so | id /* # */ = 1 # so
    properties.A.INT_VALUE = 1 | (((((id = 1))))) | id BETWEEN NULL AND 3 | NULL AND id = 1
"""
OWN = {
    "artifact": """
        uri = 'x' | state = LIVE | state=PENDING | state != DELETED | state <> LIVE
        state IN (LIVE, PENDING) | state NOT IN (ABANDONED) | state IS NULL | state > 1 | LIVE = state
        (state) = LIVE | 2 = state | contexts_a.name = 'x' | contexts_a.TYPE LIKE 'r%'
        contexts_1.id = 1 AND contexts_2.id = 2 | events_0.type = INPUT
        events_0.type IN (OUTPUT, DECLARED_OUTPUT) | events_0.execution_id = 1
        events_0.milliseconds_since_epoch < 5 | state IN (LIVE) AND NOT state = PENDING
    """,
    "execution": """
        last_known_state = RUNNING | last_known_state != COMPLETE | last_known_state NOT IN (NEW, CACHED)
        contexts_a.last_update_time_since_epoch = 2 | events_0.artifact_id = 1 | events_0.type != OUTPUT
        last_known_state IS NOT NULL
    """,
    "context": """
        artifacts_a.uri LIKE 'x%' | artifacts_a.state = LIVE | artifacts_a.state != LIVE
        artifacts_a.id = id | executions_a.last_known_state IN (COMPLETE) | executions_a.external_id = 'x'
        child_contexts_a.id = 1 | parent_contexts_a.name = 'x' AND parent_contexts_b.type = 'y'
        parent_contexts_a.type_id = 1 | parent_contexts_a.create_time_since_epoch > 1
    """,
}


def listed(text: str) -> list[str]:
    return [query.strip() for line in text.strip().splitlines() for query in line.split(" | ")]


@pytest.mark.parametrize("kind", KINDS)
def test_accepted(kind: str, store: SqlStore) -> None:
    with store.database.reading() as tx:
        for query in listed(COMMON) + listed(OWN[kind]):
            find_ids(tx, KINDS[kind], query, limit=1)


REFUSED = {
    # grammar
    "": (0, "empty"),
    " -- nothing\n": (12, "empty"),
    "id == 1": (4, "one = compares"),
    "id = 1 id": (7, "end of the filter"),
    "id = 1 adn id = 2": (7, "did you mean 'AND'"),
    "id = ": (5, "the filter ends"),
    "(id = 1": (7, "closing bracket"),
    "id = 1)": (6, "end of the filter"),
    "id IN ()": (7, "a value"),
    "id IN 1": (6, "list in brackets"),
    "id IN (1,)": (9, "a value"),
    "1 < id < 3": (7, "end of the filter"),
    "id = 1 = TRUE": (7, "end of the filter"),
    "id IS NULL IS NULL": (11, "end of the filter"),
    "NOT id = 1 = TRUE": (11, "end of the filter"),
    "id = 1 OR id = 2 = TRUE": (17, "end of the filter"),
    "id = NOT 1": (5, "found NOT"),
    "id BETWEEN 1 OR 2": (13, "AND of BETWEEN"),
    "id IS 3": (6, "NULL, TRUE or FALSE"),
    "properties.a.": (13, "after the dot"),
    "id = 1;": (6, "means nothing here"),
    "id = 1; DROP TABLE Artifact": (6, "means nothing here"),
    "id = ?": (5, "means nothing here"),
    "id = @p": (5, "means nothing here"),
    "ä = 1": (0, "backquotes"),
    "SELECT id FROM Artifact": (0, "not part of filters"),
    "id IN (SELECT 1)": (7, "not part of filters"),
    "LOWER(name) = 'x'": (0, "no functions"),
    # texts and numbers
    "name = 'abc": (7, "does not end"),
    "name = 'a\nb'": (7, "does not end"),
    r"name = 'a\q'": (9, "escape"),
    r"name = '\x00'": (8, "no character"),
    r"name = '\xff'": (8, "no character"),
    r"name = '\ud800'": (8, "no character"),
    "name = b'abc'": (7, "bytes"),
    "name = 'a' 'b'": (11, "end of the filter"),
    "id = 1 /* so": (7, "does not end"),
    "id = 1or id = 2": (6, "space"),
    "id = 18446744073709551616": (5, "64 bits"),
    "id = -9223372036854775809": (5, "64 bits"),
    "id = 1e999": (5, "too large"),
    "id = " + "9" * 5000: (5, "64 bits"),
    "properties.``.int_value = 1": (11, "empty"),
    "name = 'a\0'": (9, "U+0000"),
    "name = '\ud800'": (8, "U+D800"),
    # names
    "naem = 'x'": (0, "did you mean 'name'"),
    "a": (0, "no name 'a'"),
    "name = alpha": (7, "quotes"),
    "contexts_0": (0, "a row, not a value"),
    "contexts_0.nam = 'x'": (0, "did you mean 'name'"),
    "contexts_0.id.x = 1": (0, "has no field x"),
    "contexts_.id = 1": (0, "contexts_X.id"),
    "Contexts_a.id = 1": (0, "contexts_X.id"),
    "contexts.id = 1": (0, "contexts_X"),
    "artifacts_a.id = 1": (0, "no name"),
    "parent_contexts_a.id = 1": (0, "no name"),
    "events_0.artifact_id = 1": (0, "known: execution_id"),
    "events_0.path = 'x'": (0, "no field 'path'"),
    "last_known_state = NEW": (0, "no name"),
    "properties": (0, "kind of value"),
    "properties.a": (0, "kind of value"),
    "properties.a.int = 1": (0, "int_value"),
    "properties.a.int_value.b = 1": (0, "has no field b"),
    "id.x = 1": (0, "has no field x"),
    # states
    "state = 1": (8, "compared with its name"),
    "state = 'LIVE'": (8, "compared with its name"),
    "state = live": (8, "did you mean 'LIVE'"),
    "state = RUNNING": (8, "known: "),
    "state IN (LIVE, 2)": (16, "compared with its name"),
    "state IN LIVE": (9, "list in brackets"),
    "events_0.type = LIVE": (16, "no 'LIVE' here"),
    "state": (0, "an integer, not a condition"),
    "state < LIVE": (8, "other side"),
    # types
    "'a'": (0, "a text, not a condition"),
    "1 + 1": (0, "an integer, not a condition"),
    "NULL": (0, "NULL, not a condition"),
    "type_id": (0, "not a condition"),
    "id = 'a'": (0, "cannot be compared"),
    "type = 1": (0, "cannot be compared"),
    "id = TRUE": (0, "cannot be compared"),
    "id IN (1, 'a')": (0, "cannot be compared"),
    "name BETWEEN 'a' AND 1": (0, "cannot be compared"),
    "create_time_since_epoch > '2024-01-01'": (0, "cannot be compared"),
    "id = NULL": (5, "IS NULL"),
    "name LIKE NULL": (10, "IS NULL"),
    "name LIKE 1": (10, "LIKE compares texts"),
    "id LIKE '1'": (0, "LIKE compares texts"),
    r"name LIKE 'a\\'": (10, "lone backslash"),
    "name + 1 = 2": (0, "only numbers"),
    "-name = 'x'": (1, "only numbers"),
    "+name = 'x'": (1, "only numbers"),
    "NULL + 1 = 2": (0, "only numbers"),
    "NOT 1": (4, "a condition is expected"),
    "id AND id = 1": (0, "a condition is expected"),
    "id IS TRUE": (0, "a condition is expected"),
}


@pytest.mark.parametrize("query", REFUSED)
def test_refused_with_the_place_and_the_mend(query: str) -> None:
    position, message = REFUSED[query]
    with pytest.raises(FilterError) as caught:
        compile_filter(query, TypeKind.ARTIFACT)
    error = caught.value
    assert isinstance(error, StoreError)
    assert message in str(error)
    assert error.position == position
    line, carets = error.excerpt.splitlines()
    assert carets.strip("^ ") == ""
    assert len(carets) <= len(line) + 1
    shown = query.split("\n")[query.count("\n", 0, position)][:40]
    assert all(c in line or not c.isprintable() for c in shown)


def test_an_error_points_at_its_place() -> None:
    with pytest.raises(FilterError) as caught:
        compile_filter("type = 'Model' AND\n  uri LIKE 5 AND id > 3", TypeKind.ARTIFACT)
    assert str(caught.value) == (
        "LIKE compares texts, and this is an integer\n"
        "         uri LIKE 5 AND id > 3\n"
        "                  ^\n"
        "  at   the filter, line 2, column 12"
    )
    assert (caught.value.code, caught.value.exit_code) == ("FILTER", 2)


def test_an_error_in_a_long_line_shows_its_surroundings() -> None:
    with pytest.raises(FilterError) as caught:
        compile_filter("id > 1 AND " * 300 + "naem = 1" + " AND id > 1" * 300, TypeKind.ARTIFACT)
    line, carets = caught.value.excerpt.splitlines()
    assert len(line) < 120
    assert line[carets.index("^") : carets.rindex("^") + 1] == "naem"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state = LIVE", [1, 3, 8, 10, 15]),
        ("state != LIVE", [2, 4, 5, 6, 9, 11, 12, 13, 14]),
        ("LIVE <> state", [2, 4, 5, 6, 9, 11, 12, 13, 14]),
        ("state NOT IN (LIVE)", [2, 4, 5, 6, 9, 11, 12, 13, 14]),
        ("NOT state = LIVE", [2, 4, 5, 6, 9, 11, 12, 13]),
        ("NOT state != LIVE", [1, 3, 8, 10, 15]),
        ("name LIKE 'BETA'", [2, 3]),
        ("name LIKE 'a_b'", [4, 5]),
        (r"name LIKE 'a\\_b'", [4]),
        (r"name LIKE r'a\_b'", [4]),
        (r"name LIKE '100\\%'", [6]),
        (r"name LIKE 'back\\\\%'", [12]),
        ("custom_properties.`wow!_%`.string_value LIKE 'wow!%'", [6, 15]),
        (r"custom_properties.`wow!_%`.string_value LIKE '%!\\_\\%'", [6, 15]),
        ("id / 0 = 1 OR id = 2", [2]),
        ("id / 2 = 1.5", [3]),
    ],
)
def test_what_is_found(query: str, expected: list[int], store: SqlStore) -> None:
    with store.database.reading() as tx:
        assert find_ids(tx, TypeKind.ARTIFACT, query, limit=100)[0] == expected


def test_division_by_zero_is_null_on_every_database() -> None:
    assert "NULLIF" in compile_filter("id / type_id = 1", TypeKind.ARTIFACT).where
