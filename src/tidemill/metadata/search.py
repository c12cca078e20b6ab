"""Searching the record: the little language of `tidemill search`, and what is found.

    taxi "out of memory" auc>0.9 state=LIVE

A search is terms with spaces between them; all of them must hold of what is found. A word, or a phrase in
double quotes, stands anywhere: in names, types, states, URIs, names and values of properties, parameters of
runs and messages. `name=value`, and the same with != < <= > >=, compares a property, a parameter, or one of
type, name, state, uri, pipeline, date and id; names and values with spaces or signs stand in quotes, and in
quotes a backslash makes the next sign stand for itself. A to Z are found in either case, other letters as
the database can; comparisons are exact. This room knows no database.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tidemill.errors import StoreError

SearchKind = Literal["artifact", "execution", "run", "context"]
KINDS: tuple[SearchKind, ...] = get_args(SearchKind)
MOST_CHARACTERS, MOST_TERMS = 2000, 16
"""Of one search."""

EXACT, SCORES = 2, {"name": 4, "type": 3, "state": 3, "pipeline": 3, "property": 2}
"""A term counts by the best place in which it is found, 1 where none is named here; EXACT times as much when
it is all that stands there. What is found counts the sum of its terms; of equals, the newest comes first."""

_INT64 = 2**63
_SIGNS = re.compile(r"!=|<=|>=|=|<|>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Where a term was found."""

    where: str
    """`name`, `type`, `state`, `uri`, `property auc`, `parameter rate`, `message of trainer`, ..."""
    value: str
    """What stands there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One thing that was found."""

    kind: SearchKind
    id: int
    """Number of an artifact, an execution or a context; of a run, the number of its context."""
    name: str
    """Of a run, its id."""
    type: str
    """Of a run, its pipeline."""
    state: str
    score: int
    time: int
    """When it was created."""
    matches: tuple[Match, ...]


@dataclass(frozen=True, slots=True)
class Term:
    """A word or phrase (no sign), or a comparison of `name`."""

    value: str
    name: str = ""
    sign: str = ""


def parse(text: str) -> tuple[Term, ...]:
    """The terms of a search; StoreError when it is none."""
    if len(text) > MOST_CHARACTERS:
        raise StoreError(f"the search is too long: {len(text)} characters, and {MOST_CHARACTERS} may be")
    if "\0" in text:
        raise StoreError("the search holds a NUL character, which no text in the store does")
    terms = tuple(_term(word, quoted) for word, quoted in _words(text))
    if not terms:
        raise StoreError("there is nothing to search for", hint='write words, "phrases" or name=value')
    if len(terms) > MOST_TERMS:
        raise StoreError(f"the search has {len(terms)} terms, and {MOST_TERMS} may be")
    return terms


def _words(text: str) -> Iterator[tuple[str, list[bool]]]:
    """Words without their quotes, and of each character whether it stood in quotes."""
    word, quoted, inside, begun = "", list[bool](), False, False
    characters = iter(text)
    for character in characters:
        if character == '"':
            inside, begun = not inside, True
        elif character.isspace() and not inside:
            if begun:
                yield word, quoted
            word, quoted, begun = "", [], False
        else:
            if inside and character == "\\":
                character = next(characters, "\\")
            word, begun = word + character, True
            quoted.append(inside)
    if inside:
        raise StoreError("a quote is not closed", where=text[:200], hint='write "a phrase"')
    if begun:
        yield word, quoted


def _term(word: str, quoted: list[bool]) -> Term:
    sign = next((m for m in _SIGNS.finditer(word) if not any(quoted[m.start() : m.end()])), None)
    if sign is None:
        if not word:
            raise StoreError("an empty phrase is found everywhere", hint="leave it out")
        return Term(word)
    if not sign.start():
        raise StoreError(f"{word[:80]!r} compares nothing", hint="write NAME=VALUE, or quote it")
    return Term(word[sign.end() :], word[: sign.start()], sign[0])


# --- whether a term holds ---------------------------------------------------------------------------


def number_of(text: str) -> int | float | None:
    """The number that a text spells, if it is one that a store keeps."""
    try:
        whole = int(text)
        return whole if -_INT64 <= whole < _INT64 else float(whole)
    except (ValueError, OverflowError):
        pass
    try:
        real = float(text)
    except ValueError:
        return None
    return real if math.isfinite(real) else None


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
}  # fmt: skip


def holds(term: Term, value: object) -> bool:
    """Whether a comparison holds of a value."""
    number = number_of(term.value)
    compare = _COMPARE[term.sign]
    if isinstance(value, bool):
        return term.value in ("true", "false") and term.sign in ("=", "!=") and compare(
            value, term.value == "true")  # fmt: skip
    if isinstance(value, (int, float)):
        return number is not None and compare(value, number)
    if number is not None and term.sign not in ("=", "!="):
        return False
    return isinstance(value, str) and compare(value, term.value)


def matches(terms: Sequence[Term], facts: Mapping[str, object]) -> tuple[Match, ...]:
    """Where each term holds, once per place."""
    found: dict[str, str] = {}
    for term in terms:
        for where, value in facts.items():
            name = where.partition(" ")[2] or where
            if term.sign:
                same = name == term.name and (holds(term, value) or where in ("state", "id"))
            else:
                text = value if isinstance(value, str) else json.dumps(value)
                word = term.value.lower()
                same = where != "id" and (word in text.lower() or (" " in where and word in name.lower()))
            if same:
                found.setdefault(where, str(value))
    return tuple(Match(where=where, value=value) for where, value in found.items())
