"""The regular expressions that a transform graph may hold: those that mean the same in Python and in RE2.

Allowed: characters, classes, `.`, `^`, `$` (the very end), `\\b`, groups, alternatives, and repeats, greedy
or not. `\\d`, `\\w`, `\\s` and `\\b` know ASCII only, and `.` is any character but a line feed, as in RE2.
Refused: back references, looking ahead or behind, conditions, atomic and possessive forms, flags within the
pattern, and what Python may need for ever to match: a repeat or an ambiguous choice in an unbounded repeat.
Several unbounded repeats in a row remain possible; they take a power of the text's length where they overlap.
Source of the common ground: https://github.com/google/re2/wiki/Syntax and the manual of Python's `re`.
"""

from __future__ import annotations

import re
import warnings
from typing import Any

from tidemill.errors import DataError

_FORWARD = re.compile(r"\\(.)|(\[)|(\])|(\$)", re.DOTALL)
_REFUSED = {
    "GROUPREF": "a back reference",
    "GROUPREF_EXISTS": "a condition",
    "ASSERT": "looking ahead or behind",
    "ASSERT_NOT": "looking ahead or behind",
    "ATOMIC_GROUP": "an atomic group",
    "POSSESSIVE_REPEAT": "a possessive repeat",
}
_REPEATS = ("MAX_REPEAT", "MIN_REPEAT")
_MOST = 1000
"""RE2 allows no larger count."""


def compiled(pattern: str) -> re.Pattern[str]:
    """`pattern` ready to use; DataError when it is not of the form above."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # such as a nested set, which Python may read differently one day
            regex = re.compile(_dollar_is_the_end(pattern), re.ASCII)
    except (re.error, FutureWarning, DeprecationWarning, OverflowError, RecursionError) as error:
        raise _problem(pattern, f"it is not a regular expression: {error}") from None
    from re import _parser  # type: ignore[attr-defined]  # its own view of the pattern; there is no public one

    parsed = _parser.parse(_dollar_is_the_end(pattern), re.ASCII)
    if parsed.state.flags & ~re.ASCII:
        raise _problem(pattern, "it sets flags; say lower(column) to ignore case")
    _check(pattern, parsed, within_repeat=False)
    return regex


def _dollar_is_the_end(pattern: str) -> str:
    """Python's `$` also matches before a last line feed; RE2's does not."""
    inside = False

    def replaced(match: re.Match[str]) -> str:
        nonlocal inside
        if match[1]:
            if match[1] in "AZzuUNQEpPCGX":
                raise _problem(pattern, rf"\{match[1]} does not mean the same everywhere; use ^ and $")
            return match[0]
        if match[2] or match[3]:
            inside = match[2] is not None or (inside and match[3] is None)
            return match[0]
        return "$" if inside else r"\Z"

    return _FORWARD.sub(replaced, pattern)


def _check(pattern: str, parsed: Any, *, within_repeat: bool) -> None:
    for code, argument in parsed:
        name = str(code)
        if name in _REFUSED:
            raise _problem(pattern, f"it has {_REFUSED[name]}")
        if name in _REPEATS:
            least, most, body = argument
            unbounded = repr(most) == "MAXREPEAT"
            if within_repeat and least != most:
                raise _problem(pattern, "it has a repeat within an unbounded repeat")
            if least > _MOST or (most > _MOST and not unbounded):
                raise _problem(pattern, f"it repeats more than {_MOST} times")
            _check(pattern, body, within_repeat=within_repeat or unbounded)
        elif name == "SUBPATTERN":
            _, added, removed, body = argument
            if added or removed:
                raise _problem(pattern, "it sets flags; say lower(column) to ignore case")
            _check(pattern, body, within_repeat=within_repeat)
        elif name == "BRANCH":
            starts = [str(body[0]) if len(body) else "" for body in argument[1]]
            literal = all(start.startswith("(LITERAL") for start in starts)
            if within_repeat and not (literal and len(set(starts)) == len(starts)):
                raise _problem(pattern, "alternatives within an unbounded repeat begin alike or with a class")
            for body in argument[1]:
                _check(pattern, body, within_repeat=within_repeat)


def _problem(pattern: str, why: str) -> DataError:
    return DataError(
        f"the pattern {pattern!r} cannot be used: {why}",
        hint="a transform graph takes what Python and RE2 read alike; see tidemill.data.transform.regex",
    )
