"""Generated filters find exactly the rows that a slow evaluation in Python finds, and that MLMD finds.

The generator makes trees of plain tuples, typed as the language is. One function prints a tree, with no
more brackets than precedence asks for; another evaluates it over every combination of joined rows.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from tidemill.metadata.filter import compile_filter
from tidemill.metadata.filter.fields import TABLES
from tidemill.metadata.model import ArtifactState, EventType, ExecutionState, TypeKind
from tidemill.metadata.sql import SqlStore
from tidemill.metadata.sql.filtering import find_ids

PYTHON = os.environ.get("TIDEMILL_MLMD_PYTHON", "")
PEER = Path(__file__).with_name("filter_peer.py")
Tree = tuple[Any, ...]
Rows = dict[str, list[dict[str, Any]]]

# --- what may be mentioned ------------------------------------------------------------------------

NODE = {"id": "int", "type": "str", "name": "str", "create_time_since_epoch": "int"}
NODE |= {"last_update_time_since_epoch": "int"}
FULL = {**NODE, "type_id": "int", "external_id": "str"}
ARTIFACT = {**FULL, "uri": "str", "state": ArtifactState}
EXECUTION = {**FULL, "last_known_state": ExecutionState}
EVENT = {"type": EventType, "milliseconds_since_epoch": "int"}
FIELDS: dict[TypeKind, dict[str, dict[str, Any]]] = {
    TypeKind.ARTIFACT: {"": ARTIFACT, "contexts": NODE, "events": {**EVENT, "execution_id": "int"}},
    TypeKind.EXECUTION: {"": EXECUTION, "contexts": NODE, "events": {**EVENT, "artifact_id": "int"}},
    TypeKind.CONTEXT: {
        "": FULL,
        "artifacts": {**NODE, "uri": "str", "state": ArtifactState},
        "executions": {**NODE, "last_known_state": ExecutionState},
        "parent_contexts": {"id": "int", "name": "str", "type": "str"},
        "child_contexts": {"id": "int", "name": "str", "type": "str"},
    },
}
LINKS = {  # relation -> table, link, column of the neighbour in the link; by kind of the node
    (TypeKind.ARTIFACT, "contexts"): ("Context", "Attribution", "artifact_id", "context_id"),
    (TypeKind.ARTIFACT, "events"): ("Event", "Event", "artifact_id", ""),
    (TypeKind.EXECUTION, "contexts"): ("Context", "Association", "execution_id", "context_id"),
    (TypeKind.EXECUTION, "events"): ("Event", "Event", "execution_id", ""),
    (TypeKind.CONTEXT, "artifacts"): ("Artifact", "Attribution", "context_id", "artifact_id"),
    (TypeKind.CONTEXT, "executions"): ("Execution", "Association", "context_id", "execution_id"),
    (TypeKind.CONTEXT, "parent_contexts"): ("Context", "ParentContext", "context_id", "parent_context_id"),
    (TypeKind.CONTEXT, "child_contexts"): ("Context", "ParentContext", "parent_context_id", "context_id"),
}
VALUES = {"int_value": "int", "double_value": "float", "string_value": "str", "bool_value": "bool"}
SAFE_TEXTS = ["alpha", "Beta", "beta", "a_b", "aXb", "data/1", "Data", "run", "/data/6", "ext-5", "zz"]
ODD_TEXTS = ["it's", 'say "x"', "back\\slash", "new\nline", "ä Ö 日", "b`t", "wow!_%", "", "100%", "a\tb\r"]
SAFE_PROPERTIES = [(False, n) for n in ("count", "ratio", "label", "ok", "nope")]
SAFE_PROPERTIES += [(True, n) for n in ("count", "odd name", "big")]
ODD_PROPERTIES = [
    (True, n) for n in ("Count", "it's", 'say "x"', "back\\slash", "b`t", "ä Ö 日", "new\nline")
]
SAFE_PATTERNS = ["%", "a%", "%a", "%eta", "_eta", "a_b", "/data/_", "%1%", "ALPHA", "x%y", "%%a%", "r_n"]
ODD_PATTERNS = ["a\\_b", "100\\%", "back\\\\%", "wow!%", "%!\\_%", "ä%", "Ä%", "new_line", "", "%'%", '%"%']


# --- the generator --------------------------------------------------------------------------------


@st.composite
def fields(draw: Any, kind: TypeKind, types: tuple[Any, ...], odd: bool) -> Tree:
    """("field", relation, alias or property, column, type)."""
    found = [
        (relation, column, type_)
        for relation, its_fields in FIELDS[kind].items()
        for column, type_ in its_fields.items()
        if type_ in types
    ]
    columns = [column for column, type_ in VALUES.items() if type_ in types]
    if columns and (not found or draw(st.integers(0, 3)) == 0):
        custom, name = draw(st.sampled_from([*SAFE_PROPERTIES, *(ODD_PROPERTIES if odd else [])]))
        column = draw(st.sampled_from(columns))
        return ("field", "custom_properties" if custom else "properties", name, column, VALUES[column])
    relation, column, type_ = draw(st.sampled_from(found))
    return ("field", relation, draw(st.sampled_from(["a", "b_2"])) if relation else "", column, type_)


def literals(type_: str, odd: bool) -> st.SearchStrategy[Tree]:
    values: dict[str, st.SearchStrategy[Any]] = {
        "int": st.integers(-6, 16) | st.sampled_from([1002, 4900, 2**62 + 4, 2**53 + 1]),
        "float": st.sampled_from([0.0, 0.5, 1.25, 2.0, -1.5, 1e3, 1e300, 5e-7]),
        "str": st.sampled_from(SAFE_TEXTS + (ODD_TEXTS if odd else [])),
        "bool": st.booleans(),
    }
    return values[type_].map(lambda value: ("literal", value))


@st.composite
def values(draw: Any, kind: TypeKind, type_: str, odd: bool, depth: int = 2) -> Tree:
    """An expression that is no condition; numbers may be of both kinds."""
    types = ("int", "float") if type_ in ("int", "float") else (type_,)
    choice = draw(st.integers(0, 9))
    if choice < 5:
        return draw(fields(kind, types, odd))
    if choice < 8 or depth == 0 or type_ not in ("int", "float"):
        return draw(literals(draw(st.sampled_from(types)), odd))
    parts = values(kind, type_, odd, depth - 1)
    if choice == 8:
        return ("negative", draw(parts))
    return ("arithmetic", draw(st.sampled_from("+-*/")), draw(parts), draw(parts))


@st.composite
def comparisons(draw: Any, kind: TypeKind, odd: bool) -> Tree:
    """A condition without AND and OR."""
    form = draw(
        st.sampled_from(["compare"] * 4 + ["in", "between", "like", "state", "null", "truth", "bool"])
    )
    negated = draw(st.booleans())
    if form == "like":
        patterns = SAFE_PATTERNS + (ODD_PATTERNS if odd else [])
        return ("like", draw(values(kind, "str", odd)), draw(st.sampled_from(patterns)), negated)
    if form == "state":
        return draw(states(kind, negated, odd))
    if form in ("bool", "truth"):
        inner = draw(values(kind, "bool", odd))
        return inner if form == "bool" else ("is", inner, draw(st.sampled_from([True, False, None])), negated)
    type_ = draw(st.sampled_from(["int", "float", "str", "str", "bool"]))
    parts = values(kind, type_, odd)
    if form == "null":
        return ("is", draw(parts), None, negated)
    if form == "between":
        return ("between", draw(parts), draw(parts), draw(parts), negated)
    if form == "in":
        choices = st.one_of(parts, st.just(("literal", None)), literals(type_, odd), literals(type_, odd))
        return ("in", draw(parts), tuple(draw(st.lists(choices, min_size=1, max_size=4))), negated)
    sign = draw(st.sampled_from(["=", "!=", "<>", "<", ">", "<=", ">="]))
    return ("compare", sign, draw(parts), draw(parts))


@st.composite
def states(draw: Any, kind: TypeKind, negated: bool, odd: bool) -> Tree:
    """`state = LIVE` and its like; words that MLMD's language lacks only where that does not matter."""
    field = draw(fields(kind, (ArtifactState, ExecutionState, EventType), odd))
    lacking = () if odd else ("ABANDONED", "REFERENCE", "PENDING_OUTPUT", "UNKNOWN" * (field[1] == "events"))
    words = st.sampled_from([word for word in field[4].__members__ if word not in lacking])
    negated = negated and (odd or not field[1])  # MLMD cannot read artifacts_x.state != LIVE
    if draw(st.booleans()):
        return ("states", field, tuple(draw(st.lists(words, min_size=1, max_size=3))), negated)
    return ("state", "!=" if negated else "=", field, draw(words))


def conditions(kind: TypeKind, *, odd: bool) -> st.SearchStrategy[Tree]:
    def combined(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
        several = st.lists(inner, min_size=2, max_size=3).map(tuple)
        return st.one_of(
            st.tuples(st.just("and"), several),
            st.tuples(st.just("or"), several),
            st.tuples(st.just("not"), inner),
        )

    return st.recursive(comparisons(kind, odd), combined, max_leaves=6)


# --- printing -------------------------------------------------------------------------------------

LEVELS = {"or": 1, "and": 2, "not": 3, "arithmetic": 5, "negative": 7, "literal": 8, "field": 8}
COMPARED = 4


class Printer:
    """Prints with random capitals, quotes, spaces and comments where those must not matter."""

    def __init__(self, seed: int, *, odd: bool) -> None:
        self._random = random.Random(seed)
        self._odd = odd

    def word(self, word: str) -> str:
        return self._random.choice([word, word, word.lower(), word.capitalize()])

    def space(self) -> str:
        return self._random.choice([" "] * 6 + ["  ", "\n", "\t", " /* or */ ", " -- 'x\n", ' # "\n'])

    def text(self, value: str) -> str:
        if not self._odd:
            return self._random.choice([f"'{value}'", f'"{value}"'])
        quote = self._random.choice(["'", '"', "'''", '"""'])
        parts = []
        for c in value:
            if c == "\\" or (c in "'\"" and c == quote[0]):
                parts.append("\\" + c)
            elif not c.isprintable():
                parts.append(f"\\x{ord(c):02x}" if ord(c) < 128 else f"\\U{ord(c):08X}")
            else:
                parts.append(self._random.choice([c] * 9 + [f"\\U{ord(c):08X}"]))
        return quote + "".join(parts) + quote

    def name(self, name: str) -> str:
        if re.fullmatch("[a-z0-9_]+", name) and self._odd:
            return self._random.choice([name, f"`{name}`"])
        if re.fullmatch("[A-Za-z0-9_]+", name):
            return name
        return "`" + name.replace("\\", "\\\\").replace("`", "\\`").replace("\n", "\\n") + "`"

    def printed(self, tree: Tree, level: int = 0) -> str:
        """The tree as it must be written where operators of `level` or weaker need brackets."""
        own = LEVELS.get(tree[0], COMPARED)
        if tree[0] == "arithmetic":
            own = 6 if tree[1] in "*/" else 5
        text = self._printed(tree, own)
        return f"({text})" if own <= level else text

    def _printed(self, tree: Tree, own: int) -> str:
        space, printed = self.space(), self.printed
        match tree:
            case ("and" | "or" as word, parts):
                return f"{space}{self.word(word.upper())} ".join(printed(p, own - 1) for p in parts)
            case ("not", inner):
                return f"{self.word('NOT')}{space}{printed(inner, own - 1)}"
            case ("negative", inner):
                return f"- {printed(inner, own - 1)}"
            case ("arithmetic", sign, left, right):
                return f"{printed(left, own - 1)} {sign}{space}{printed(right, own)}"
            case ("compare", sign, left, right):
                return f"{printed(left, own)}{space}{sign}{space}{printed(right, own)}"
            case ("state", sign, field, word):
                return f"{printed(field)} {sign} {word}"
            case ("literal", value):
                return self.literal(value)
            case ("field", relation, name, column, _):
                return self.field(relation, name, column)
        return self._worded(tree, own)

    def _worded(self, tree: Tree, own: int) -> str:
        space, printed = self.space(), self.printed
        negated = f" {self.word('NOT')}{self.space()}" if tree[-1] else space
        match tree:
            case ("like", text, pattern, _):
                return f"{printed(text, own)}{negated}{self.word('LIKE')}{space}{self.text(pattern)}"
            case ("in", operand, choices, _):
                listed = f",{space}".join(printed(c) for c in choices)
                return f"{printed(operand, own)}{negated}{self.word('IN')} ({listed})"
            case ("states", field, words, _):
                return f"{printed(field)}{' NOT IN ' if tree[-1] else ' IN '}({', '.join(words)})"
            case ("between", operand, low, high, _):
                limits = f"{printed(low, own)} {self.word('AND')} {printed(high, own)}"
                return f"{printed(operand, own)}{negated}{self.word('BETWEEN')} {limits}"
            case ("is", operand, what, _):
                negated = negated if tree[-1] else " "
                return f"{printed(operand, own)} {self.word('IS')}{negated}{self.literal(what)}"
        raise AssertionError(tree)

    def literal(self, value: Any) -> str:
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool):
            return self.word({None: "NULL", True: "TRUE", False: "FALSE"}[value])
        return repr(value) if value >= 0 else f"({value!r})"

    def field(self, relation: str, name: str, column: str) -> str:
        if relation in ("properties", "custom_properties"):
            return f"{relation}.{self.name(name)}.{column}"
        return f"{relation}_{name}.{column}" if relation else column


# --- the slow evaluation --------------------------------------------------------------------------


def sources_of(tree: Any) -> set[tuple[str, str]]:
    if isinstance(tree, tuple) and tree and tree[0] == "field":
        return {(tree[1], tree[2])} if tree[1] else set()
    return {s for part in tree for s in sources_of(part)} if isinstance(tree, tuple) else set()


def states_of(tree: Any) -> Iterator[Tree]:
    if isinstance(tree, tuple) and tree and tree[0] in ("state", "states"):
        yield tree
    for part in tree if isinstance(tree, tuple) else ():
        yield from states_of(part)


def slow_ids(tree: Tree, kind: TypeKind, rows: Rows) -> list[int]:
    """Ids of the nodes for which some choice of one row per source makes the tree true."""
    types = {row["id"]: row["name"] for row in rows["Type"]}
    sources = sorted(sources_of(tree))
    found = []
    for node in rows[TABLES[kind]]:
        choices = [neighbours(source, kind, node["id"], rows) for source in sources]
        for combination in itertools.product(*choices):
            chosen = {("", ""): node, **dict(zip(sources, combination, strict=True))}
            if value_of(tree, chosen, types) is True:
                found.append(node["id"])
                break
    return found


def neighbours(source: tuple[str, str], kind: TypeKind, id: int, rows: Rows) -> list[dict[str, Any]]:
    relation, name = source
    table = TABLES[kind]
    if relation.endswith("properties"):
        custom = int(relation.startswith("custom"))
        return [
            row
            for row in rows[f"{table}Property"]
            if (row[f"{table.lower()}_id"], row["name"], row["is_custom_property"]) == (id, name, custom)
        ]
    target, link, here, there = LINKS[kind, relation]
    linked = [row for row in rows[link] if row[here] == id]
    if not there:
        return linked
    ids = {row[there] for row in linked}
    return [row for row in rows[target] if row["id"] in ids]


def value_of(tree: Tree, chosen: dict[Any, Any], types: dict[int, str]) -> Any:
    """SQL's value of a tree, with None for NULL."""

    def of(part: Tree) -> Any:
        return value_of(part, chosen, types)

    match tree:
        case ("and", parts):
            return conjunction([of(p) for p in parts])
        case ("or", parts):
            return inverse(conjunction([inverse(of(p)) for p in parts]))
        case ("not", inner):
            return inverse(of(inner))
        case ("literal", value):
            return value
        case ("field", relation, name, column, type_):
            row = chosen[relation, name]
            if column == "type" and type_ == "str":
                return types[row["type_id"]]
            value = row.get(column)
            return bool(value) if type_ == "bool" and value is not None else value
        case ("negative", inner):
            return calculated("-", 0, of(inner))
        case ("arithmetic", sign, left, right):
            return calculated(sign, of(left), of(right))
        case ("compare", sign, left, right):
            return compared(sign, of(left), of(right))
        case ("state", sign, field, word):
            value = of(field)
            return True if value is None and sign == "!=" else compared(sign, value, field[4][word].value)
    return negatable(tree, of)


def negatable(tree: Tree, of: Any) -> Any:
    match tree:
        case ("like", text, pattern, _):
            found = like(of(text), pattern)
        case ("in", operand, choices, _):
            equal = [inverse(compared("=", of(operand), of(choice))) for choice in choices]
            found = inverse(conjunction(equal))
        case ("between", operand, low, high, _):
            value = of(operand)
            found = conjunction([compared(">=", value, of(low)), compared("<=", value, of(high))])
        case ("states", field, words, negated):
            value = of(field)
            found = None if value is None and not negated else value in [field[4][w].value for w in words]
        case ("is", operand, what, _):
            found = of(operand) is what
        case _:
            raise AssertionError(tree)
    return inverse(found) if tree[-1] else found


def conjunction(parts: list[Any]) -> bool | None:
    return False if False in parts else None if None in parts else True


def inverse(value: Any) -> bool | None:
    return None if value is None else not value


def compared(sign: str, left: Any, right: Any) -> bool | None:
    if left is None or right is None:
        return None
    results = {"=": left == right, "<": left < right, ">": left > right}
    results |= {"<>": left != right, "!=": left != right, "<=": left <= right, ">=": left >= right}
    return results[sign]


def calculated(sign: str, left: Any, right: Any) -> Any:
    """SQLite's arithmetic: integers that leave 64 bits become doubles, what is no number becomes NULL."""
    if left is None or right is None or (sign == "/" and right == 0):
        return None
    if sign == "/":
        left = float(left)
    operations = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b}
    operation = operations.get(sign, lambda a, b: a / b)
    result = operation(left, right)
    if isinstance(result, int) and not -(2**63) <= result < 2**63:
        result = operation(float(left), float(right))
    return None if result != result else result


def like(text: str | None, pattern: str) -> bool | None:
    """LIKE of SQLite, which ignores the case of A to Z."""
    if text is None:
        return None
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = {"%": ".*", "_": "."}
    regex = "".join(wild.get(p) or re.escape(fold(p[-1])) for p in parts)
    return re.fullmatch(regex, fold(text), re.DOTALL) is not None


def fold(text: str) -> str:
    return "".join(c.lower() if c.isascii() else c for c in text)


# --- the tests ------------------------------------------------------------------------------------

QUICK = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("kind", list(TypeKind))
def test_filters_find_what_a_slow_evaluation_finds(kind: TypeKind, store: SqlStore, rows: Rows) -> None:
    counts = set()

    @QUICK
    @given(conditions(kind, odd=True), st.integers(0, 2**32))
    def check(tree: Tree, seed: int) -> None:
        query = Printer(seed, odd=True).printed(tree)
        expected = slow_ids(tree, kind, rows)
        compiled = compile_filter(query, kind)
        with store.database.reading() as tx:
            found, token = find_ids(tx, kind, query, limit=100)
            plain = tx.rows(
                f"SELECT DISTINCT n.id FROM {TABLES[kind]} n {compiled.joins} WHERE {compiled.where}",
                compiled.values,
            )
        assert found == expected, (query, compiled)
        assert sorted(id for (id,) in plain) == expected
        assert token is None
        counts.add(len(expected))

    check()
    assert len(counts) > 5, "the filters tell rows apart"


@pytest.mark.skipif(not PYTHON, reason="TIDEMILL_MLMD_PYTHON names no interpreter with ml-metadata 1.17.1")
def test_generated_filters_find_what_mlmd_finds(store: SqlStore) -> None:
    asked: dict[tuple[str, str], TypeKind] = {}

    @settings(QUICK, max_examples=240, phases=[Phase.generate], derandomize=True)
    @given(st.sampled_from(TypeKind), st.data(), st.integers(0, 2**32))
    def collect(kind: TypeKind, data: st.DataObject, seed: int) -> None:
        tree = data.draw(conditions(kind, odd=False))
        assume(len(list(states_of(tree))) < 2)  # MLMD replaces state words in the text: two mix
        asked[f"{TABLES[kind].lower()}s", Printer(seed, odd=False).printed(tree)] = kind

    collect()
    done = subprocess.run(
        [PYTHON, str(PEER), str(store.database.dialect.where)], input=json.dumps(list(asked)),
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    wrong = []
    for (_, query), kind, theirs in zip(asked, asked.values(), json.loads(done.stdout), strict=True):
        with store.database.reading() as tx:
            ours = find_ids(tx, kind, query, limit=100)[0]
        if theirs.get("ids") != ours:
            wrong.append((query, ours, theirs.get("ids", theirs.get("error"))))
    assert len(asked) >= 200
    assert not wrong, "\n".join(map(str, wrong[:10]))
