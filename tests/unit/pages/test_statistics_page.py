"""The page of statistics says what the statistics say."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tidemill.errors import DataError
from tidemill.pages.statistics import DRAWN, statistics_page


def card(page: str, name: str) -> str:
    """The element of one column."""
    found = [
        a for a in re.findall(r"<article.*?</article>", page, re.DOTALL) if f"<bdi>{name}</bdi></h3>" in a
    ]
    assert len(found) == 1
    return str(found[0])


def badges(html: str) -> list[str]:
    return re.findall(r'class="badge[^"]*">([^<]*)<', html)


def test_what_stands_out_has_a_badge(made) -> None:
    page = statistics_page(
        made.statistics(
            train=[
                made.numbers("fine"),
                made.numbers("gaps", missing=9000),
                made.numbers("zeros", numeric={"zeros": 400}),
                made.numbers("odd", numeric={"nan": 3, "infinite": 1}),
                made.numbers("same", low=4.0, high=4.0),
                made.texts("ids", {f"id{i}": 1 for i in range(100)}),
                {"name": "void", "type": "string", "count": 0, "missing": 10},
            ]
        )
    )
    assert badges(card(page, "fine")) == []
    assert badges(card(page, "gaps")) == ["90 % missing"]
    assert badges(card(page, "zeros")) == ["40 % zeros"]
    assert badges(card(page, "odd")) == ["3 NaN", "1 infinite"]
    assert badges(card(page, "same")) == ["constant"]
    assert badges(card(page, "ids")) == ["all different"]
    assert badges(card(page, "void")) == ["all missing"]


def test_two_sets_lie_over_each_other_and_what_moved_is_said(made) -> None:
    before = made.statistics(
        train=[
            made.numbers("miles"),
            made.numbers("fare"),
            made.texts("pay", {"cash": 800, "card": 200}),
            made.numbers("gone"),
            made.numbers("turned"),
        ],
        other=[made.numbers("miles")],
    )
    after = made.statistics(
        train=[
            made.numbers("miles", high=300.0),
            made.numbers("fare"),
            made.texts("pay", {"cash": 100, "app": 900}),
            made.numbers("new"),
            made.texts("turned", {"a": 2}),
        ],
    )
    page = statistics_page(after, against=before, names=("today", "yesterday"))
    parsed = made.parse(page)
    assert "moved far" in badges(card(page, "miles"))
    assert "moved far" in badges(card(page, "pay"))
    assert badges(card(page, "fare")) == []
    assert badges(card(page, "new")) == ["not in yesterday"]
    assert badges(card(page, "gone")) == ["not in today"]
    assert "types differ" in badges(card(page, "turned"))
    assert card(page, "miles").count('class="b line"') >= 2, "the other set is drawn, linear and log"
    assert "today against yesterday" in parsed.text
    assert "other is only in yesterday" in parsed.text
    assert "app" in card(page, "pay")


def test_anomalies_stand_beside_their_columns(made) -> None:
    def anomaly(name: str, column: str, severity: str = "error", split: str = "train") -> dict[str, Any]:
        return {
            "name": name,
            "severity": severity,
            "split": split,
            "column": column,
            "short": "",
            "long": f"why {name}",
        }

    anomalies = {
        "format": "tidemill.anomalies/1",
        "anomalies": [
            anomaly("A_HIGH", "miles"),
            anomaly("A_NEW", "fare", "warning"),
            anomaly("A_FEW", "", split=""),
            anomaly("A_MISSING", "absent"),
        ],
        "measures": [{"split": "train", "column": "miles", "measure": "jsd", "value": 0.4, "threshold": 0.1}],
    }
    page = statistics_page(
        made.statistics(train=[made.numbers("miles"), made.numbers("fare")]), anomalies=anomalies
    )
    made.parse(page)
    assert "why A_HIGH" in card(page, "miles")
    assert "Measured by ExampleValidator" in card(page, "miles")
    assert badges(card(page, "miles"))[:2] == ["1 error", "error"]
    assert badges(card(page, "fare"))[0] == "1 warning"
    whole = page[page.index("The rows as a whole") : page.index("<article")]
    assert "why A_FEW" in whole
    assert "why A_MISSING" in whole, "an anomaly of a column that is not there is not lost"
    assert '<div class="tile bad"><b>3</b><span>errors' in page


def test_a_page_of_ten_thousand_columns_stays_small(made) -> None:
    columns = [made.numbers(f"c{i}") for i in range(10_000)]
    columns[7777]["missing"] = 5
    anomalies = {
        "format": "tidemill.anomalies/1",
        "anomalies": [{"name": "X", "severity": "error", "split": "train", "column": "c7777", "long": "x"}],
    }
    page = statistics_page(made.statistics(train=columns), anomalies=anomalies)
    assert page.count("<svg") <= 2 * DRAWN
    assert len(page) < 10_000 * 1200
    assert "<svg" in card(page, "c7777"), "what stands out is drawn, wherever it stands"
    assert "<svg" not in card(page, "c7776")


def test_what_is_not_statistics_is_refused(made) -> None:
    for document in (
        [],
        {},
        None,
        {"format": "tidemill.schema/1"},
        {"format": "tidemill.statistics/1", "splits": 3},
    ):
        with pytest.raises(DataError):
            statistics_page(document)
    with pytest.raises(DataError):
        statistics_page(made.statistics(train=[]), anomalies={"format": "tidemill.statistics/1"})


def test_what_only_version_2_has_is_drawn(made) -> None:
    hours = [3_600_000_000 * hour for hour in range(101)]
    moments = {"min": "2026-03-01T00:00:00+00:00", "max": "2026-03-05T04:00:00+00:00", "quantiles": hours}
    page = statistics_page(
        made.statistics(
            train=[
                {"name": "at", "type": "timestamp", "count": 9, "missing": 0, "timestamp": moments},
                made.numbers("tags", valency=[{"min": 0, "max": 5, "avg": 2.0, "total": 18, "nulls": 0}]),
                made.numbers("mixed", types=[["int", 900], ["string", 100]]),
            ]
        )
        | {"format": "tidemill.statistics/2"}
    )
    made.parse(page)
    assert "moments of at: 2026-03-01T00:00 to 2026-03-05T04:00" in card(page, "at")
    assert badges(card(page, "tags")) == ["lists of 0 to 5"]
    assert badges(card(page, "mixed")) == ["types differ"]


def test_statistics_without_rows_or_columns_make_a_page(made) -> None:
    made.parse(statistics_page({"format": "tidemill.statistics/2", "splits": {}}))
    parsed = made.parse(statistics_page(made.statistics(train=[], eval=[])))
    assert "0columns" in parsed.text
