"""Rules say what must hold; they hold, do not hold, or are refused before any data is seen."""

from __future__ import annotations

import string
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.data.analyze import analyze_tables
from tidemill.data.rules import DEEPEST, LONGEST, check_rule, holds
from tidemill.data.schema import Rule
from tidemill.data.statistics import SplitStatistics
from tidemill.errors import DataError


def split(**columns: Any) -> SplitStatistics:
    table = pa.table(columns)
    return analyze_tables([table], table.schema)


DATA = split(
    fare=[1.0, 2.0, 3.0, None],
    kind=["a", "a", "b", "ü"],
    void=pa.nulls(4),
    paid=[True, True, False, None],
    tags=[[1], [2, 3], [], None],
)
EARLIER = split(fare=[1.0, 1.0], kind=["a", "b"])


@pytest.mark.parametrize(
    ("column", "expect", "answer"),
    [
        ("fare", "mean == 2 and max == 3 and min >= 1", True),
        ("fare", "missing / rows <= 0.25", True),
        ("fare", "fraction_present > 0.75", False),
        ("fare", "quantile(0.5) == median == 2", True),
        ("fare", "abs(-mean) + min(1, 2) * max(3, 4) - round(1.6) == 4", True),
        ("fare", "not (zeros > 0 or nan > 0)", True),
        ("fare", "1 <= mean < 2", False),
        ("fare", "mean % 2 == 0 and 7 // 2 == 3", True),
        ("fare", "type in ('int', 'float')", True),
        ("fare", "type not in ['int']", True),
        ("fare", "mean > 1.5 * baseline.mean", True),
        ("fare", "quantile(1) <= 2 * baseline.quantile(1)", False),
        ("kind", "share('a') == 0.5 and share('new') == 0", True),
        ("kind", "first_value == 'a' and distinct == 3", True),
        ("kind", "share('b') < baseline.share('b')", True),
        ("paid", "true > false", True),
        ("tags", "max_values == 2 and avg_values <= 1", True),
        (None, "rows == 4 and columns == 5", True),
        (None, "column('fare').mean < column('kind').distinct", True),
        (None, "baseline.rows * 2 == rows", True),
        (None, "baseline.column('fare').mean == 1", True),
        (None, "column('fare').quantile(0) >= 1", True),
    ],
)
def test_what_rules_can_say(column: str | None, expect: str, answer: bool) -> None:
    rule = Rule(expect=expect, column=column)
    check_rule(rule)
    assert holds(rule, DATA, baseline=EARLIER).holds is answer


@pytest.mark.parametrize(
    ("column", "expect", "says"),
    [
        ("void", "mean < 3", "mean is not known"),
        ("kind", "mean < 3", "mean is not known"),
        ("fare", "serving.mean < 3", "serving.mean is not known"),
        ("fare", "mean / zeros < 3", "division by zero"),
        ("fare", "type < 3", "compares a text with a number"),
        ("fare", "type + 3 == 3", "is a text, not a number"),
        ("fare", "round(1e999) == 3", "round"),
        (None, "column('nowhere').mean < 3", "is not known"),
        ("fare", "mean < 1", "mean = 2"),
    ],
)
def test_what_is_not_known_is_never_true(column: str | None, expect: str, says: str) -> None:
    rule = Rule(expect=expect, column=column)
    check_rule(rule)
    outcome = holds(rule, DATA)
    assert not outcome.holds
    assert says in outcome.why
    allowed = Rule(expect=f"1 == 1 or {expect}", column=column)
    assert holds(allowed, DATA).holds


@pytest.mark.parametrize(
    ("column", "expect", "says"),
    [
        ("fare", "", "not an expression"),
        ("fare", "mean <", "not an expression"),
        ("fare", "mean", "no yes or no"),
        ("fare", "mean < 3 and 1", "no yes or no"),
        ("fare", "meen < 3", "did you mean 'mean'"),
        ("fare", "__import__('os').system('true') == 0", "calls system"),
        ("fare", "mean.__class__ == 3", "names 'mean'"),
        ("fare", "open('x') == 3", "calls open"),
        ("fare", "2 ** 9 > 3", "uses Pow"),
        ("fare", "1 << 9 > 3", "uses LShift"),
        ("fare", "(lambda: 1) == 3", "Lambda"),
        ("fare", "[x for x in (1, 2)] == 3", "ListComp"),
        ("fare", "mean is 3", "use =="),
        ("fare", "None == 3", "no number or text"),
        ("fare", "1j == 3", "no number or text"),
        ("fare", "f'{mean}' == 'x'", "JoinedStr"),
        ("fare", "quantile(2) < 3", "a number from 0 to 1"),
        ("fare", "quantile(mean) < 3", "a number from 0 to 1"),
        ("fare", "share(3) < 3", "a text"),
        ("fare", "round(1, 2) < 3", "calls round with 2 values"),
        ("fare", "abs(x=1) < 3", "names or stars"),
        ("fare", "max(*[1]) < 3", "names or stars"),
        ("fare", "columns == 3", "not known here"),
        (None, "mean == 3", "not known here"),
        (None, "quantile(0.5) == 3", "without a column"),
        (None, "bsaeline.rows == 3", "did you mean 'baseline'"),
        ("fare", "1 < " + "-" * (DEEPEST + 1) + "1", "nested too deeply"),
        ("fare", "1 < " + "(" * 400 + "1" + ")" * 400, "expression"),
        ("fare", "1 < 2" + " " * LONGEST, "characters"),
        ("fare", "1 < \0", "expression"),
    ],
)
def test_what_rules_cannot_say(column: str | None, expect: str, says: str) -> None:
    with pytest.raises(DataError) as caught:
        check_rule(Rule(expect=expect, column=column))
    assert says in str(caught.value)


WORDS = st.sampled_from(
    [
        "mean",
        "rows",
        "baseline",
        "column",
        "quantile",
        "share",
        "type",
        "(",
        ")",
        ".",
        ",",
        "'a'",
        "0.5",
        "<",
        "==",
        "and",
        "or",
        "not",
        "in",
        "+",
        "-",
        "*",
        "/",
        "%",
        "**",
        "[",
        "]",
        "lambda",
        ":",
        "=",
        "x",
        "\\",
        "#",
    ]
)


@settings(max_examples=300)
@given(
    st.lists(WORDS, max_size=14).map(" ".join)
    | st.text(max_size=40)
    | st.text(string.printable, max_size=40),
    st.sampled_from(["fare", "kind", "void", None]),
)
def test_any_text_is_a_rule_or_a_mistake(text: str, column: str | None) -> None:
    rule = Rule(expect=text, column=column)
    try:
        check_rule(rule)
    except DataError:
        return
    assert holds(rule, DATA, baseline=EARLIER).holds in (True, False)
