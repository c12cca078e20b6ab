"""Anomalies, read from the JSON that ExampleValidator writes, and sorted by where they belong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tidemill.errors import DataError
from tidemill.pages.text import escaped, finite, name_html, number

FORMAT = "tidemill.anomalies/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One anomaly."""

    name: str
    severe: bool
    split: str
    """Empty for all splits together."""
    column: str
    """Empty for the rows as a whole."""
    text: str

    def html(self, *, with_place: bool) -> str:
        """An item of a list; with its column where that is not clear from the place it stands in."""
        place = f"{name_html(self.column)}: " if with_place and self.column else ""
        split = f" <span class=dim>in split {name_html(self.split)}</span>" if self.split else ""
        css, word = ("bad", "error") if self.severe else ("warn", "warning")
        said = f"{place}{escaped(self.text, 600)}{split} <code class=dim>{escaped(self.name)}</code>"
        return f'<li class="{css}"><span class="badge {css}">{word}</span>{said}</li>'


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A distance that ExampleValidator measured."""

    split: str
    column: str
    measure: str
    value: float | None
    threshold: float | None
    against: str = ""
    """What it was measured from: `baseline` or `serving`."""

    @property
    def too_far(self) -> bool:
        """Whether it is a distance over its threshold. A ratio has two; anomalies say when it is outside."""
        if self.value is None or self.threshold is None or self.measure.endswith("ratio"):
            return False
        return self.value > self.threshold

    def html(self) -> str:
        """A row of a table: measure, from what, split, value, threshold."""
        css = ' class="bad"' if self.too_far else ""
        limit = "none" if self.threshold is None else number(self.threshold)
        split = name_html(self.split) if self.split else "all"
        where = f"<td>{escaped(self.against or 'baseline')}</td><td>{split}</td>"
        what = f"<td>{escaped(self.measure)}</td>{where}"
        return f"<tr>{what}<td{css}>{number(self.value)}</td><td>{limit}</td></tr>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All that ExampleValidator found."""

    problems: tuple[Problem, ...]
    measures: tuple[Measured, ...]

    @property
    def errors(self) -> int:
        """How many of the anomalies are errors."""
        return sum(p.severe for p in self.problems)

    def of_column(self) -> dict[str, list[Problem]]:
        """The anomalies of each column, errors first; under "" those of the rows as a whole."""
        found: dict[str, list[Problem]] = {}
        for problem in sorted(self.problems, key=lambda p: not p.severe):
            found.setdefault(problem.column, []).append(problem)
        return found

    def measures_of_column(self) -> dict[str, list[Measured]]:
        """The distances of each column."""
        found: dict[str, list[Measured]] = {}
        for measure in self.measures:
            found.setdefault(measure.column, []).append(measure)
        return found


def read_findings(document: Any) -> Findings:
    """What `anomalies.json` holds. DataError when it is something else."""
    try:
        form = document["format"]
        if not isinstance(form, str) or not form.startswith(FORMAT):
            raise DataError(f"format is {form!r}, expected {FORMAT}...")
        return Findings(
            problems=tuple(
                Problem(
                    name=str(a["name"]),
                    severe=a["severity"] == "error",
                    split=str(a.get("split", "")),
                    column=str(a.get("column", "")),
                    text=str(a.get("long") or a.get("short") or ""),
                )
                for a in document["anomalies"]
            ),
            measures=tuple(
                Measured(
                    split=str(m.get("split", "")),
                    column=str(m.get("column", "")),
                    measure=str(m["measure"]),
                    value=finite(m["value"]),
                    threshold=finite(m.get("threshold")),
                    against=str(m.get("against", "")),
                )
                for m in document.get("measures") or ()
            ),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"not readable as anomalies: {type(error).__name__}: {error}") from error


def problem_list(problems: Sequence[Problem], *, with_place: bool) -> str:
    """The anomalies as a list; nothing when there are none."""
    if not problems:
        return ""
    return f'<ul class="problems">{"".join(p.html(with_place=with_place) for p in problems)}</ul>'
