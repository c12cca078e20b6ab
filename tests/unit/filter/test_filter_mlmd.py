"""ml-metadata 1.17.1 and tidemill find the same nodes in the same file, query by query.

Skipped without an interpreter that has it: see tests/unit/metadata/test_mlmd_interop.py. The queries keep
to what ml-metadata answers; where it errs, DIFFERENT says how, and what tidemill finds instead.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tidemill.metadata.filter import FilterError
from tidemill.metadata.model import TypeKind
from tidemill.metadata.sql import SqlStore
from tidemill.metadata.sql.filtering import find_ids

PYTHON = os.environ.get("TIDEMILL_MLMD_PYTHON", "")
PEER = Path(__file__).with_name("filter_peer.py")
pytestmark = pytest.mark.skipif(
    not PYTHON, reason="TIDEMILL_MLMD_PYTHON names no interpreter with ml-metadata 1.17.1"
)
KINDS = {"artifacts": TypeKind.ARTIFACT, "executions": TypeKind.EXECUTION, "contexts": TypeKind.CONTEXT}

EVERYWHERE = """
    id = 3 | id != 3 | id <> 3 | id < 3 | id <= 3 | id > 3 | id >= 3 | 3 < id | id IN (1, 3, 5)
    id NOT IN (1, 3) | id IN (1, 2.5, NULL) | id NOT IN (1, NULL) | id BETWEEN 2 AND 4
    id NOT BETWEEN 2 AND 4 | NOT id = 3 | NOT NOT id = 3 | NOT id = 3 AND id < 6
    id = 1 OR id = 2 AND id = 3 | (id = 1 OR id = 2) AND id > 1 | id + 1 = 4 | id - 1 > 3 | id * 2 = 6
    id / 2 = 1.5 | id / 0 = 1 | -id = -3 | - id < - 3 | 2 * (id + 1) > 9 | id = 3.0 | id > 2.5 | id = 0x3
    id >= 1e0 | id < .5e1 | ID = 3 | TRUE | FALSE OR id = 2 | 1 = 1 | (id = 1) = TRUE | (id = 1) = (id < 3)
    (id > 3) IS NOT TRUE | (name = 'alpha') IS NULL | (name = 'alpha') IS FALSE | type_id = 10
    type_id >= 12 | type_id = 15 OR id = 1 | type = 'Data' | type != 'Data' | type LIKE 'd%' | type IS NULL
    type IS NOT NULL | type IN ('run', 'Model', 'Trainer') | type NOT LIKE '%a%' | type >= 'M'
    name = 'alpha' | name = "alpha" | name != 'alpha' | name LIKE 'BETA' | name LIKE '%a'
    name NOT LIKE '%a%' | name LIKE 'a_b' | name LIKE '_eta' | name IS NULL | name IS NOT NULL | name < 'b'
    name BETWEEN 'a' AND 'c' | name IN ('alpha', 'Beta') | name NOT IN ('alpha') | name = r'alpha'
    name = '''alpha''' | name = 'al\\x70ha' | name LIKE external_id | name = type
    name > external_id OR id = 1 | external_id IS NULL | external_id = 'ext-3' | external_id LIKE 'ext-%'
    create_time_since_epoch = 1001 | create_time_since_epoch > 1001 AND id < 6
    last_update_time_since_epoch < 4990 | last_update_time_since_epoch > create_time_since_epoch + 3980
    properties.count.int_value > 0 | properties.count.int_value IS NULL
    properties.count.string_value IS NULL | properties.count.int_value = -2.0
    properties.count.int_value * properties.count.int_value > 8 | NOT properties.count.int_value > 0
    properties.ratio.double_value > 1 | properties.ratio.double_value = 0.5
    properties.ratio.double_value IN (1, 2, 0.25) | properties.label.string_value = 'beta'
    properties.ok.bool_value | properties.label.string_value IS NULL | NOT properties.ok.bool_value
    properties.ok.bool_value = true | properties.ok.bool_value != true
    properties.ok.bool_value IS NOT TRUE | properties.nope.int_value IS NULL
    properties.count.int_value > 0 OR properties.ratio.double_value > 0.3
    properties.count.int_value > 0 OR properties.nope.int_value > 0
    properties.count.int_value > -3 AND custom_properties.count.double_value > 0.5
    custom_properties.count.int_value > 4611686018427387905 | custom_properties.count.double_value <= 1.5
    custom_properties.`odd name`.int_value >= 3 | custom_properties.big.double_value > 1e308 OR id = 2
    properties.count.int_value = id - 5 | properties.ratio.double_value * 4 = id | id = 1 -- so
    id = 1 # so | id /* so */ = 1 | (((id = 1)))
    type = 'Data' AND (id < 3 OR name LIKE 'a%') AND NOT id = 9
"""
SOME = {
    "artifacts": """
        uri = '/data/6' | uri LIKE '/data/%' | uri IS NULL | uri = '' | uri >= '/a' | state = LIVE
        state=PENDING | state != LIVE | state IN (LIVE, PENDING) | state NOT IN (LIVE, DELETED)
        state IS NULL | NOT state = LIVE | NOT (state != LIVE) | state > 1 | state BETWEEN 1 AND 2
        state + 1 = 3 | 2 = state | state = UNKNOWN | state = LIVE AND type = 'Data' OR state = PENDING
        contexts_a.name = 'alpha' | contexts_a.id = 5 | contexts_a.name != 'alpha'
        NOT contexts_a.name = 'alpha' | contexts_a.type = 'run' | contexts_a.id > 0
        contexts_a.name = 'alpha' AND contexts_a.type = 'run'
        contexts_a.name = 'r1' AND contexts_b.name = 'alpha' | contexts_a.name = 'alpha' OR id = 3
        contexts_a.id = 1 OR contexts_b.id = 2 | contexts_a.id < contexts_b.id
        contexts_a.type LIKE 'R%' AND contexts_a.create_time_since_epoch > 1000 | contexts_a.id = id
        contexts_a.last_update_time_since_epoch < 4990 AND state = LIVE AND contexts_b.id IN (1, 2, 3)
        contexts_a.id IS NULL | contexts_a.name = 'lonely' | events_0.type = INPUT | events_0.type = OUTPUT
        events_0.type IN (INPUT, OUTPUT) | events_0.type != INPUT | events_0.execution_id = 3
        events_0.execution_id IN (1, 2) AND events_0.milliseconds_since_epoch > 4 | events_0.type > 3
        events_0.type = OUTPUT AND events_1.type = INPUT | events_0.execution_id < contexts_a.id
    """,
    "executions": """
        last_known_state = COMPLETE | last_known_state != COMPLETE | last_known_state IN (COMPLETE, FAILED)
        last_known_state NOT IN (COMPLETE) | last_known_state IS NULL | last_known_state = RUNNING OR id = 1
        contexts_a.name = 'alpha' | contexts_a.type = 'Data' | contexts_a.name = 'r1' AND contexts_b.id > 4
        NOT contexts_a.name = 'alpha' | contexts_a.id = 2 OR type = 'Loader' | events_0.artifact_id = 5
        events_0.artifact_id > 9 AND events_0.type = OUTPUT | events_0.type NOT IN (INPUT, OUTPUT)
        events_0.milliseconds_since_epoch BETWEEN 5 AND 20 | events_0.artifact_id = id
    """,
    "contexts": """
        artifacts_a.id = 5 | artifacts_a.name = 'beta' | artifacts_a.type = 'Model'
        artifacts_a.uri LIKE '/data/%' | artifacts_a.state = LIVE | artifacts_a.state IN (LIVE, PENDING)
        artifacts_a.state IS NULL | artifacts_a.id > 5 AND artifacts_a.state = DELETED
        artifacts_a.id = 1 OR executions_b.id = 1
        artifacts_a.create_time_since_epoch > 1003 AND artifacts_b.id = 1 | executions_a.type = 'Trainer'
        executions_a.last_known_state = COMPLETE | executions_a.name LIKE '%a' | executions_a.id = id
        executions_a.last_known_state IN (RUNNING, FAILED) AND type = 'run' | parent_contexts_a.id = 1
        parent_contexts_a.name = 'alpha' AND parent_contexts_b.name = 'beta'
        parent_contexts_a.type = 'run' | child_contexts_a.name LIKE 'r_'
        child_contexts_a.id = 6 OR child_contexts_a.id = 4 | NOT child_contexts_a.id = 4
        child_contexts_a.id > 0 AND parent_contexts_a.id > 0
    """,
}
DIFFERENT: dict[str, tuple[str, list[int]]] = {
    # The text is given to SQLite in double quotes, which name a column first.
    "name = 'uri'": ("rows", []),
    "name = 'name'": ("rows", []),
    # What GoogleSQL escapes, SQLite takes as it is.
    "name = 'say \"x\"' OR name = 'it\\'s \"x\"'": ("syntax error", [11]),
    r"name = 'back\\slash'": ("rows", [12]),
    r"name = 'new\nline'": ("rows", [13]),
    r"name LIKE '100\\%'": ("rows", [6]),
    # Names of properties lose their capitals, and are pasted into the SQL.
    "custom_properties.Count.string_value = 'alpha'": ("rows", [6, 8, 9, 10, 11, 12, 13, 14, 15]),
    'custom_properties.`say "x"`.string_value IS NOT NULL': ("syntax error", [1, 10]),
    # State words are replaced in the text before anything else, and not everywhere.
    "state <> LIVE": ("Unrecognized name", [2, 4, 5, 6, 9, 11, 12, 13, 14]),
    "LIVE = state": ("Unrecognized name", [1, 3, 8, 10, 15]),
    "state = ABANDONED": ("Unsupported enum value", [6, 13]),
    "state = /* so */ LIVE": ("Unrecognized name", [1, 3, 8, 10, 15]),
    "state = LIVE AND state = LIVE": ("cannot be rewritten", [1, 3, 8, 10, 15]),
    # The row of a neighbour has columns that its struct lacks.
    "contexts_a.external_id = 'ext-1'": ("does not exist", [1, 5, 9, 13]),
    "contexts_a.id = 1 AND contexts_A.id = 3": ("Duplicate", [9]),
    "properties . count . int_value > 9": ("Unrecognized name", [15]),
}
REFUSED_BY_BOTH = """
    id | 'a' | NULL | id = 'a' | type = 1 | name = alpha | id = NULL | name LIKE NULL | id == 1 | id = 1 id
    id IN () | state = 2 | state = 'LIVE' | state = live | state = RUNNING | state IN (LIVE, 2)
    last_known_state = NEW | contexts_a | contexts_a.nope = 1 | contexts_a.id.x = 1 | contexts_.id = 1
    Contexts_a.id = 1 | artifacts_a.id = 1 | properties | properties.a | properties.a.int = 1
    properties.a.int_value.x = 1 | events_0.artifact_id = 1 | events_0.type = LIVE
    parent_contexts_a.id = 1 | id IN (1, 'a') | id = TRUE | 1 < id < 3 | id IS NULL IS NULL | name = 'a
    name = 'a' 'b' | id = 1; | id = ? | id = @p | name = b'a' | id = 1or id = 2 | NOT 1 | id AND id = 1
    id = 18446744073709551616 | properties.``.int_value = 1 | name = '\\q' | name + 1 = 2 | id LIKE '1'
    (id = 1
"""


def listed(text: str) -> list[str]:
    return [query.strip() for line in text.strip().splitlines() for query in line.split(" | ")]


def theirs(store: SqlStore, asked: list[tuple[str, str]]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [PYTHON, str(PEER), str(store.database.dialect.where)], input=json.dumps(asked),
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    answers = json.loads(done.stdout)
    assert len(answers) == len(asked)
    return list(answers)


def ours(store: SqlStore, kind: str, query: str) -> list[int]:
    with store.database.reading() as tx:
        return find_ids(tx, KINDS[kind], query, limit=100)[0]


def test_the_same_nodes(store: SqlStore) -> None:
    asked = [(kind, query) for kind in KINDS for query in listed(EVERYWHERE) + listed(SOME[kind])]
    assert len({query for _, query in asked}) > 150
    answers = theirs(store, asked)
    wrong = [
        (kind, query, found, answer)
        for (kind, query), answer in zip(asked, answers, strict=True)
        if (found := ours(store, kind, query)) != answer.get("ids")
    ]
    assert not wrong, "\n".join(map(str, wrong))
    sizes = {len(answer["ids"]) for answer in answers}
    assert sizes >= set(range(15)), "the queries tell nodes apart"


def test_where_mlmd_errs(store: SqlStore) -> None:
    answers = theirs(store, [("artifacts", query) for query in DIFFERENT])
    for (query, (what, expected)), answer in zip(DIFFERENT.items(), answers, strict=True):
        assert ours(store, "artifacts", query) == expected, query
        if what == "rows":
            assert answer["ids"] != expected or not expected, query
        else:
            assert what in answer.get("error", ""), query


def test_refused_by_both(store: SqlStore) -> None:
    queries = listed(REFUSED_BY_BOTH)
    for query, answer in zip(queries, theirs(store, [("artifacts", q) for q in queries]), strict=True):
        assert "error" in answer, query
        with pytest.raises(FilterError):
            ours(store, "artifacts", query)
