"""Patterns: what RE2 and Python read alike, and nothing that Python may match for ever."""

from __future__ import annotations

import contextlib
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.data.transform.regex import compiled
from tidemill.errors import DataError


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("a$", "a\n", False),
        ("a$", "a", True),
        ("[$]", "$", True),
        (r"\$", "$", True),
        (r"^\d{2,4}-\w+$", "2024-x", True),
        (r"\d", "٣", False),
        (r"(?:foo|bar)+", "foobar", True),
        (r"(?:ab)*?c", "ababc", True),
        (r"(\w{3})+", "abcdef", True),
        ("([ab]|a)*c", "abc", True),
        ("ü.", "über", True),
        (".", "\n", False),
    ],
)
def test_patterns_mean_what_they_mean_in_re2(pattern: str, text: str, found: bool) -> None:
    assert (compiled(pattern).search(text) is not None) == found


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"(a)\1", "back reference"),
        ("a(?=b)", "looking ahead"),
        ("(?<!a)b", "looking ahead or behind"),
        ("(?i)a", "flags"),
        ("(?i:a)b", "flags"),
        ("(?>a)", "atomic"),
        ("a*+", "possessive"),
        ("(a)?(?(1)b|c)", "a condition"),
        ("(a+)+", "a repeat within an unbounded repeat"),
        ("(a|a)*b", "alternatives within"),
        ("(a|ab)*c", "alternatives within"),
        ("([ab]|ac)*d", "alternatives within"),
        ("(a?)*", "a repeat within"),
        (r"a\Z", "does not mean the same everywhere"),
        ("a{2,2000}", "more than 1000 times"),
        ("a{2000}", "more than 1000 times"),
        ("(", "not a regular expression"),
        ("[[a]", "not a regular expression"),
        ("*", "not a regular expression"),
    ],
)
def test_other_patterns_are_refused(pattern: str, why: str) -> None:
    with pytest.raises(DataError, match=re.escape(why)):
        compiled(pattern)


def test_what_is_allowed_is_fast_on_hostile_text() -> None:
    """The classic traps are refused; what is left needs no exponential time."""
    start = time.process_time()
    for pattern in ("(?:ab)+c", r"\w+@\w+", "(?:foo|bar)*x", "a*b"):
        compiled(pattern).search("ab" * 2000)
        compiled(pattern).search("a" * 4000)
    assert time.process_time() - start < 5


@given(st.text(st.sampled_from("ab|*+?()[]{}\\$^.1,"), max_size=8))
def test_any_text_is_a_pattern_or_a_clear_error(pattern: str) -> None:
    with contextlib.suppress(DataError):
        compiled(pattern).search("aabb")
