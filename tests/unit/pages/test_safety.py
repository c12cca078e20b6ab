"""Pages are safe whatever things are called, the same every time, and need nothing from outside."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidemill.pages.evaluation import evaluation_page
from tidemill.pages.statistics import statistics_page
from tidemill.pages.text import escaped, visible

HOSTILE = [
    "</script><script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' autofocus onfocus=alert(1) '",
    "<!--",
    "-->",
    "]]>",
    "javascript:alert(1)",
    "&lt;b&gt;",
    "\u202egnp.exe",
    "\u2066\u2067\u2068\u2069",
    "\x00\x1b[31m",
    "\ud800",
    "\udfff\ud800",
    "\u2028",
    "\ufeff",
    "",
    " ",
    "x" * 5000,
    "🧑‍🚀",
    "</title>",
    "</svg>",
    "{{7*7}}",
    "${alert(1)}",
    "__proto__",
    "constructor",
    "#",
    "../..",
    "%3Cscript%3E",
]
STRINGS = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=()), max_size=30))
NUMBERS = st.one_of(
    st.integers(-(10**320), 10**320),
    st.floats(allow_nan=False, allow_infinity=False),
    st.none(),
    st.sampled_from([0, -0.0, 5e-324, 1.7e308, -1.7e308, 10**400, True]),
)
ONCE = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def columns(draw: st.DrawFn) -> dict[str, Any]:
    name, count, missing = draw(STRINGS), draw(st.integers(0, 10**18)), draw(st.integers(0, 9))
    column: dict[str, Any] = {"name": name, "type": draw(STRINGS), "count": count, "missing": missing}
    kind = draw(st.sampled_from(["numeric", "string", "boolean", "timestamp", "nothing"]))
    if kind == "numeric":
        quantiles = draw(st.lists(NUMBERS.filter(lambda n: n is not None), max_size=12))
        edges = draw(st.lists(NUMBERS.filter(lambda n: n is not None), max_size=4))
        column["numeric"] = {
            "mean": draw(NUMBERS),
            "std": draw(NUMBERS),
            "min": draw(NUMBERS),
            "max": draw(NUMBERS),
            "zeros": draw(st.integers(0, 9)),
            "nan": draw(st.integers(0, 9)),
            "infinite": 0,
            "quantiles": quantiles,
            "histogram": draw(st.sampled_from([None, {"edges": edges, "counts": [3] * (len(edges) - 1)}])),
        }
    elif kind == "string":
        listed = draw(
            st.lists(st.tuples(STRINGS, st.integers(1, 10**6)), max_size=5, unique_by=lambda x: x[0])
        )
        column["string"] = {
            "distinct": draw(st.integers(0, 9)),
            "exact": draw(st.booleans()),
            "avg_length": draw(NUMBERS),
            "frequencies": [list(pair) for pair in listed],
        }
    elif kind == "boolean":
        column["boolean"] = {"true": draw(st.integers(0, 9)), "false": draw(st.integers(0, 9))}
    elif kind == "timestamp":
        column["timestamp"] = {"min": draw(STRINGS), "max": draw(STRINGS)}
    return column


def documents() -> st.SearchStrategy[dict[str, Any]]:
    split = st.fixed_dictionaries(
        {
            "num_rows": st.integers(0, 10**9),
            "columns": st.lists(columns(), max_size=3, unique_by=lambda c: str(c["name"])),
        }
    )
    return st.fixed_dictionaries(
        {
            "format": st.just("tidemill.statistics/1"),
            "splits": st.dictionaries(STRINGS, split, max_size=3),
        }
    )


@ONCE
@given(documents(), documents(), STRINGS, STRINGS)
def test_pages_of_statistics(made, one: Any, two: Any, title: str, text: str) -> None:
    anomaly = {"name": text, "severity": "error", "split": title, "column": text, "short": "", "long": text}
    measure = {"split": text, "column": text, "measure": text, "value": 0.5, "threshold": 0.1}
    anomalies = {"format": "tidemill.anomalies/1", "anomalies": [anomaly], "measures": [measure]}
    page = statistics_page(one, anomalies=anomalies, title=title, facts=[(text, title)])
    made.parse(page)
    assert page == statistics_page(one, anomalies=anomalies, title=title, facts=[(text, title)])
    made.parse(statistics_page(one, against=two, names=(title, text)))
    made.parse(statistics_page(one, against=one))


@st.composite
def evaluations(draw: st.DrawFn) -> dict[str, Any]:
    metrics = draw(st.lists(STRINGS, min_size=1, max_size=2, unique=True))
    values = st.fixed_dictionaries(dict.fromkeys(metrics, NUMBERS))
    pairs = st.lists(st.tuples(NUMBERS, NUMBERS).map(list), max_size=3)
    part = {
        "model": values,
        "baseline": st.one_of(st.none(), values),
        "intervals": st.dictionaries(st.sampled_from(metrics), st.tuples(NUMBERS, NUMBERS).map(list)),
        "undefined": st.dictionaries(st.sampled_from(metrics), STRINGS),
        "changes": st.dictionaries(st.sampled_from(metrics), st.fixed_dictionaries({"change": NUMBERS})),
    }
    key = st.dictionaries(STRINGS, st.one_of(STRINGS, NUMBERS), max_size=2)
    curve = st.fixed_dictionaries({"x": st.lists(NUMBERS, max_size=3), "y": st.lists(NUMBERS, max_size=3)})
    numbers = dict.fromkeys(("threshold", "tp", "fp", "tn", "fn"), NUMBERS)
    calibration = dict.fromkeys(("weight", "mean_prediction", "mean_label"), NUMBERS)
    plots = st.fixed_dictionaries(
        {},
        optional={
            "roc": curve,
            "pr": curve,
            "scores": st.lists(pairs.filter(len).map(lambda p: p[0]), min_size=1, max_size=3),
            "confusions": st.lists(st.fixed_dictionaries(numbers), min_size=1, max_size=3),
            "calibration": st.lists(st.fixed_dictionaries(calibration), min_size=1, max_size=3),
            "lift": st.lists(
                st.fixed_dictionaries({"share": NUMBERS, "captured": NUMBERS}), min_size=1, max_size=3
            ),
            "residuals": pairs,
            "matrix": st.just({"classes": HOSTILE[:3], "counts": [[1, 2, 3]] * 3}),
        },
    )
    slices = st.fixed_dictionaries({"slice": key, "rows": st.integers(0, 99), **part})
    gap = {
        "columns": st.lists(STRINGS, max_size=2),
        "metric": STRINGS,
        "reference": STRINGS,
        "gap": NUMBERS,
        "ratio": NUMBERS,
        "groups": st.dictionaries(STRINGS, NUMBERS, max_size=3),
    }
    check = {"metric": STRINGS, "key": key, "text": STRINGS, "passed": st.sampled_from([True, False, None])}
    whole = st.fixed_dictionaries(
        {
            **part,
            "format": st.just("tidemill.evaluation/2"),
            "rows": st.integers(0, 99),
            "splits": st.lists(STRINGS, max_size=2),
            "task": STRINGS,
            "label": STRINGS,
            "verdict": STRINGS,
            "reasons": st.lists(STRINGS, max_size=2),
            "notes": st.lists(STRINGS, max_size=2),
            "slices": st.lists(slices, max_size=2),
            "gaps": st.lists(st.fixed_dictionaries(gap), max_size=2),
            "checks": st.lists(st.fixed_dictionaries(check), max_size=2),
            "slices_left_out": st.dictionaries(STRINGS, st.integers(0, 9), max_size=1),
            "plots": st.fixed_dictionaries({"model": plots, "baseline": plots}),
        }
    )
    return draw(whole)


@ONCE
@given(evaluations(), STRINGS)
def test_pages_of_evaluations(made, document: Any, title: str) -> None:
    page = evaluation_page(document, title=title)
    made.parse(page)
    assert page == evaluation_page(document, title=title)


@given(STRINGS)
def test_text_is_shown_and_never_markup(text: str) -> None:
    shown = escaped(text, 10_000)
    assert not set(shown) & set("<>\"'\x00\u202e\u2066\ud800")
    visible(text).encode("utf-8")


def test_what_is_not_seen_is_shown_by_its_number() -> None:
    assert visible("a\u202eb") == "a\\u202eb"
    assert visible("\U000e0041") == "\\U000e0041"
    assert visible("naïve 名前 👩‍🚀") == "naïve 名前 👩‍🚀"


def test_the_room_needs_no_library(tmp_path) -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "import tidemill.pages.statistics, tidemill.pages.evaluation\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(new - set(sys.stdlib_module_names) - {'tidemill'}))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


@pytest.mark.parametrize("text", HOSTILE)
def test_every_hostile_name_is_on_the_page(made, text: str) -> None:
    page = statistics_page(made.statistics(train=[made.texts(text, {text: 3})]))
    shown = visible(text if len(text) <= 80 else text[:79] + "…") or "(empty)"
    assert shown.strip() in made.parse(page).text
