"""Searching the record with LIKE and parameters alone, so that a foreign MLMD database needs no index more.

Each term is looked for in one place after the other (names, types, properties, ...), every place being one
query that gives ids and scores; the sets of ids of the terms are cut with each other here. Only what is
shown is read whole, and told where it matched. A word reads each row of its tables once, whatever is found;
comparisons use MLMD's indexes of property values. Every function works inside the caller's transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tidemill.errors import StoreError, did_you_mean
from tidemill.metadata.model import (
    Artifact,
    ArtifactState,
    Context,
    Execution,
    ExecutionState,
    RunState,
    TypeKind,
)
from tidemill.metadata.search import EXACT, KINDS, SCORES, Hit, SearchKind, Term, matches, number_of, parse
from tidemill.metadata.sql import names, reading
from tidemill.metadata.sql.database import Transaction
from tidemill.metadata.sql.properties import read_properties

MOST_FOUND = 200_000
"""Of more rows in which a term is found in one place, the newest count."""
_FEW = 2000
"""Up to so many candidates, the next terms are looked for among them only."""
_OTHERS = 1

Scores = dict[int, int]
"""Id -> score. A run has the id of its context."""
Place = tuple[str, list[object]]
"""A query for ids and scores, and its parameters; `{among}` may become a further condition."""


@dataclass(frozen=True, slots=True)
class _Node:
    """A kind of MLMD's nodes, and where it is stored."""

    table: str
    kind: TypeKind
    state: str
    states: Any
    columns: tuple[str, ...]
    link: str
    """Query for the ids that a pipeline's context holds."""


_NODES: dict[SearchKind, _Node] = {
    "artifact": _Node("Artifact", TypeKind.ARTIFACT, "state", ArtifactState, ("name", "uri", "external_id"),
                      "SELECT artifact_id FROM Attribution WHERE context_id = ?"),
    "execution": _Node("Execution", TypeKind.EXECUTION, "last_known_state", ExecutionState,
                       ("name", "external_id"),
                       "SELECT execution_id FROM Association WHERE context_id = ?"),
    "context": _Node("Context", TypeKind.CONTEXT, "", None, ("name", "external_id"),
                     "SELECT context_id FROM ParentContext WHERE parent_context_id = ?"),
}  # fmt: skip
_RUN_COLUMNS = {"id": "name", "pipeline": "pipeline", "state": "state", "date": "date", "version": "version"}
"""Column of a run -> what it is called in a match."""


def search(
    tx: Transaction, text: str, *, kinds: Sequence[SearchKind], type: str, pipeline: str, limit: int
) -> list[Hit]:
    """See MetadataStore.search."""
    if limit < 0:
        raise StoreError(f"{limit} hits cannot be had", hint="give a limit of 0 or more")
    for kind in kinds:
        if kind not in KINDS:
            raise StoreError(f"unknown kind {kind!r}", hint=did_you_mean(kind, KINDS))
    terms = parse(text)
    _check_states(terms)
    hits: list[Hit] = []
    for kind in kinds or KINDS:
        scores = _scores(tx, kind, terms, type, pipeline)
        best = sorted(scores, key=lambda i: (-scores[i], -i))[:limit]
        hits += _read(tx, kind, {i: scores[i] for i in best}, terms)
    return sorted(hits, key=lambda h: (-h.score, -h.time, KINDS.index(h.kind), -h.id))[:limit]


def _check_states(terms: Sequence[Term]) -> None:
    """A state that nothing can have is a slip of the pen."""
    known = {*ArtifactState.__members__, *ExecutionState.__members__, *RunState.__members__}
    for term in terms:
        if term.name == "state" and term.value.upper() not in known:
            hint = did_you_mean(term.value.upper(), known)
            raise StoreError(f"{term.value[:40]!r} is no state", hint=hint)


def _scores(tx: Transaction, kind: SearchKind, terms: Sequence[Term], type: str, pipeline: str) -> Scores:
    """Every node of a kind of which all terms hold, with its score."""
    total = _restricted(tx, kind, type, pipeline)
    for term in sorted(terms, key=lambda t: not t.sign):  # comparisons first: they have indexes
        found = _found(tx, kind, term, total)
        total = found if total is None else {i: total[i] + s for i, s in found.items() if i in total}
        if not total:
            break
    return total or {}


def _restricted(tx: Transaction, kind: SearchKind, type: str, pipeline: str) -> Scores | None:
    """What the options leave, None for everything."""
    left: set[int] | None = None
    if type and kind == "run":
        return {}
    if type:
        node = _NODES[kind]
        ids = _types(tx, node, f"name = {tx.dialect.exact('?')}", [type])
        left = {i for (i,) in tx.rows_in(f"SELECT id FROM {node.table} WHERE type_id IN ({{ids}})", ids)}
    if pipeline:
        if kind == "run":
            rows = tx.rows("SELECT context_id FROM tidemill_run WHERE pipeline = ?", (pipeline,))
        else:
            rows = tx.rows(_NODES[kind].link, (names.find_context(tx, names.PIPELINE, pipeline),))
        inside = {i for (i,) in rows}
        left = inside if left is None else left & inside
    return None if left is None else dict.fromkeys(left, 0)


def _found(tx: Transaction, kind: SearchKind, term: Term, among: Scores | None) -> Scores:
    """Where a term holds, by its best place."""
    few = among is not None and len(among) <= _FEW
    best: Scores = {}
    for sql, values in _places(tx, kind, term):
        if few and among is not None:
            rows = tx.rows_in(sql.replace("{among}", "AND {column} IN ({ids})").replace(
                "{column}", _column(sql)), among, values)  # fmt: skip
        else:
            rows = tx.rows(sql.replace("{among}", "") + " ORDER BY 1 DESC LIMIT ?", [*values, MOST_FOUND])
        for id, score in rows:
            if score > best.get(id, 0):
                best[id] = score
    if kind == "run":
        for id in _by_parameter(tx, term, among):
            best.setdefault(id, SCORES["property"] if term.sign else _OTHERS)
    return best


def _column(sql: str) -> str:
    """The column of ids that a query begins with."""
    return sql.removeprefix("SELECT ").partition(",")[0]


def _places(tx: Transaction, kind: SearchKind, term: Term) -> Iterator[Place]:
    if kind == "run":
        yield from _compared_run(term) if term.sign else _words_of_runs(tx, term)
    elif term.sign:
        yield from _compared(tx, _NODES[kind], term)
    else:
        yield from _words_of_nodes(tx, _NODES[kind], term)


# --- words and phrases ------------------------------------------------------------------------------


def _like(tx: Transaction, column: str, word: str) -> tuple[str, list[object]]:
    """A condition: the column holds the word. Both are lowered alike, as far as the database can."""
    return f"LOWER({column}) LIKE {_lowered(tx)} ESCAPE '!'", [f"%{_escaped(word)}%"]


def _lowered(tx: Transaction) -> str:
    return f"LOWER({tx.dialect.exact('?')})"


def _escaped(word: str) -> str:
    return word.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def _holding(tx: Transaction, ids: str, column: str, table: str, word: str, score: int) -> Place:
    """Rows whose column holds a word, more when it is all of it."""
    condition, values = _like(tx, column, word)
    found = f"CASE WHEN LOWER({column}) = {_lowered(tx)} THEN {score * EXACT} ELSE {score} END"
    return f"SELECT {ids}, {found} FROM {table} WHERE {condition} {{among}}", [word, *values]


def _types(tx: Transaction, node: _Node, condition: str, values: list[object]) -> list[int]:
    rows = tx.rows(f"SELECT id FROM Type WHERE type_kind = ? AND {condition}", [node.kind.value, *values])
    return [i for (i,) in rows]


def _words_of_nodes(tx: Transaction, node: _Node, term: Term) -> Iterator[Place]:
    word = term.value
    for column in node.columns:
        yield _holding(tx, "id", column, node.table, word, SCORES.get(column, _OTHERS))
    condition, values = _like(tx, "name", word)
    exact = set(_types(tx, node, f"LOWER(name) = {_lowered(tx)}", [word]))
    for type_id in _types(tx, node, condition, values):
        score = SCORES["type"] * (EXACT if type_id in exact else 1)
        yield f"SELECT id, {score} FROM {node.table} WHERE type_id = ? {{among}}", [type_id]
    if node.states is not None and word.upper() in node.states.__members__:
        score = SCORES["state"] * EXACT
        yield (f"SELECT id, {score} FROM {node.table} WHERE {node.state} = ? {{among}}",
               [node.states[word.upper()].value])  # fmt: skip
    properties, owner = f"{node.table}Property", f"{node.table.lower()}_id"
    for column in ("string_value", "name"):
        yield _holding(tx, owner, column, properties, word, SCORES["property"])


def _words_of_runs(tx: Transaction, term: Term) -> Iterator[Place]:
    for column, called in _RUN_COLUMNS.items():
        yield _holding(tx, "context_id", column, "tidemill_run", term.value, SCORES.get(called, _OTHERS))
    for column in ("message", "node_id"):
        yield _holding(
            tx, "r.context_id", f"n.{column}", "tidemill_node n JOIN tidemill_run r ON r.id = n.run_id",
            term.value, _OTHERS,
        )  # fmt: skip


# --- comparisons ------------------------------------------------------------------------------------


def _compared(tx: Transaction, node: _Node, term: Term) -> Iterator[Place]:
    """`name OP value` of a node: of what it is, and of its properties."""
    sign, score = term.sign, SCORES["property"]
    exact = sign in ("=", "!=")
    if term.name == "type" and exact:
        for type_id in _types(tx, node, f"name {sign} ?", [term.value]):
            yield f"SELECT id, {score} FROM {node.table} WHERE type_id = ? {{among}}", [type_id]
    if term.name == "state" and exact and node.states is not None:
        member = node.states.__members__.get(term.value.upper())
        if member is not None:
            where = f"{node.state} {sign} ?"
            yield f"SELECT id, {score} FROM {node.table} WHERE {where} {{among}}", [member.value]
    if term.name in node.columns:
        yield f"SELECT id, {score} FROM {node.table} WHERE {term.name} {sign} ? {{among}}", [term.value]
    number = number_of(term.value)
    if term.name == "id" and isinstance(number, int):
        yield f"SELECT id, {score} FROM {node.table} WHERE id {sign} ? {{among}}", [number]
    yield from _compared_properties(f"{node.table}Property", f"{node.table.lower()}_id", term, number)


def _compared_properties(table: str, owner: str, term: Term, number: int | float | None) -> Iterator[Place]:
    """Each kind of value by itself, so that MLMD's index on it is used."""
    columns: dict[str, object] = {}
    if number is not None:
        columns["int_value"] = columns["double_value"] = number
    if number is None or term.sign in ("=", "!="):
        columns["string_value"] = term.value
    if term.value in ("true", "false") and term.sign in ("=", "!="):
        columns["bool_value"] = term.value == "true"
    for column, value in columns.items():
        for custom in (False, True):
            where = f"name = ? AND is_custom_property = ? AND {column} {term.sign} ? {{among}}"
            yield (
                f"SELECT {owner}, {SCORES['property']} FROM {table} WHERE {where}",
                [term.name, custom, value],
            )


def _compared_run(term: Term) -> Iterator[Place]:
    column = {"name": "id", "type": "pipeline"}.get(term.name, term.name)
    value = term.value.upper() if column == "state" else term.value
    if column == "state" and value not in RunState.__members__:
        return
    if column in _RUN_COLUMNS:
        score = SCORES["property"]
        yield f"SELECT context_id, {score} FROM tidemill_run WHERE {column} {term.sign} ? {{among}}", [value]


def _by_parameter(tx: Transaction, term: Term, among: Scores | None) -> list[int]:
    """Runs by a parameter. They are JSON in the store: those that mention the text are read."""
    sought = json.dumps(term.name if term.sign else term.value)
    condition, values = _like(tx, "parameters", sought[1:-1])
    rows = tx.rows(
        f"SELECT context_id, parameters FROM tidemill_run WHERE {condition} ORDER BY context_id DESC LIMIT ?",
        [*values, MOST_FOUND],
    )
    return [
        id
        for id, text in rows
        if (among is None or id in among)
        and matches([term], {f"parameter {k}": v for k, v in json.loads(text).items()})
    ]


# --- what is shown ----------------------------------------------------------------------------------


def _read(tx: Transaction, kind: SearchKind, scores: Scores, terms: Sequence[Term]) -> Iterator[Hit]:
    match kind:
        case "artifact":
            for artifact in reading.artifacts_by_id(tx, scores):
                yield _hit(kind, artifact, artifact.state.name, scores, terms, {"uri": artifact.uri})
        case "execution":
            for execution in reading.executions_by_id(tx, scores):
                yield _hit(kind, execution, execution.state.name, scores, terms, {})
        case "context":
            for context in _contexts(tx, list(scores)):
                yield _hit(kind, context, "", scores, terms, {})
        case "run":
            yield from _runs(tx, scores, terms)


def _contexts(tx: Transaction, ids: Sequence[int]) -> list[Context]:
    rows = tx.rows_in(
        "SELECT c.id, t.name, c.name, c.create_time_since_epoch FROM Context c "
        "JOIN Type t ON t.id = c.type_id WHERE c.id IN ({ids})",
        ids,
    )
    properties = read_properties(tx, "Context", ids)
    return [
        Context(
            id=id, type=type, name=name, create_time=time, properties=properties[id][0],
            custom_properties=properties[id][1],
        )
        for id, type, name, time in rows
    ]  # fmt: skip


def _hit(
    kind: SearchKind, node: Artifact | Execution | Context, state: str, scores: Scores,
    terms: Sequence[Term], more: dict[str, str],
) -> Hit:  # fmt: skip
    facts: dict[str, object] = {"name": node.name, "type": node.type, "state": state, **more, "id": node.id}
    facts |= {f"property {k}": v for k, v in {**node.properties, **node.custom_properties}.items()}
    return Hit(
        kind=kind, id=node.id, name=node.name, type=node.type, state=state, score=scores[node.id],
        time=node.create_time, matches=matches(terms, facts),
    )  # fmt: skip


def _runs(tx: Transaction, scores: Scores, terms: Sequence[Term]) -> Iterator[Hit]:
    rows = tx.rows_in(
        "SELECT context_id, id, pipeline, state, date, version, parameters, create_time FROM tidemill_run "
        "WHERE context_id IN ({ids})",
        scores,
    )
    nodes = tx.rows_in(
        "SELECT run_id, node_id, message FROM tidemill_node WHERE run_id IN ({ids})", [row[1] for row in rows]
    )
    for id, name, pipeline, state, date, version, parameters, time in rows:
        facts: dict[str, object] = {
            "name": name, "pipeline": pipeline, "state": state, "date": date, "version": version
        }  # fmt: skip
        facts |= {f"parameter {k}": v for k, v in json.loads(parameters).items()}
        for run, node, message in nodes:
            if run == name:
                facts |= {f"node {node}": node, f"message of {node}": message}
        yield Hit(
            kind="run", id=id, name=name, type=pipeline, state=state, score=scores[id], time=time,
            matches=matches(terms, facts),
        )  # fmt: skip
