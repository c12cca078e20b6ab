"""What a page needs to know of an evaluation, read from the JSON that the Evaluator writes.

A reader of its own, and a lenient one, as that of statistics: files of format 1 and 2 are read, and what
an evaluation does not have is not drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tidemill.errors import DataError
from tidemill.pages.text import finite, visible

FORMAT = "tidemill.evaluation/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with its confidence interval, where it has one."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""
    """Why there is no value."""

    @property
    def ends(self) -> tuple[float, float] | None:
        """The interval, if there is one."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def excludes(self, value: float) -> bool:
        """Whether the interval is known and does not hold `value`."""
        return self.ends is not None and not self.ends[0] <= value <= self.ends[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """All metrics on some rows."""

    name: str
    rows: int
    model: Mapping[str, Estimate]
    baseline: Mapping[str, Estimate]
    changes: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A threshold and what became of it."""

    place: str
    metric: str
    text: str
    passed: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """An evaluation, as far as it is drawn."""

    whole: Part
    parts: tuple[Part, ...]
    rows: int
    unlabelled: int
    task: str
    label: str
    splits: tuple[str, ...]
    confidence: float
    verdict: str
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]
    notes: tuple[str, ...]
    plots: Mapping[str, Any] = field(default_factory=dict)
    baseline_plots: Mapping[str, Any] = field(default_factory=dict)
    gaps: tuple[Mapping[str, Any], ...] = ()
    challengers: tuple[tuple[int, Part], ...] = ()

    @property
    def metrics(self) -> list[str]:
        """Names of all metrics, in order."""
        return list(self.whole.model)


def read_evaluated(document: Any, blessing: Any = None) -> Evaluated:
    """What `evaluation.json` holds; the verdict is taken from `blessing.json` where it stands only there.

    DataError when a document is something else.
    """
    try:
        form = document["format"]
        if not isinstance(form, str) or not form.startswith(FORMAT):
            raise DataError(f"format is {form!r}, expected {FORMAT}...")
        judged = document if document.get("verdict") else (blessing or {})
        plots = document.get("plots") or {}
        unlabelled = int(document.get("rows_without_label") or 0)
        labelled = document.get("labelled_rows", document["rows"] - unlabelled)
        return Evaluated(
            whole=_part("overall", int(labelled), document),
            parts=tuple(
                _part(slice_name(p["slice"]), int(p["rows"]), p) for p in document.get("slices") or ()
            ),
            rows=int(document["rows"]),
            unlabelled=unlabelled,
            task=str(document.get("task") or ""),
            label=str(document.get("label") or ""),
            splits=tuple(map(str, document.get("splits") or ())),
            confidence=finite(document.get("confidence")) or 0.95,
            verdict=str(judged.get("verdict") or ""),
            reasons=tuple(map(str, judged.get("reasons") or ())),
            checks=tuple(_check(c) for c in document.get("checks") or ()),
            notes=(*map(str, document.get("notes") or ()), *_left_out(document)),
            plots=plots.get("model") or {},
            baseline_plots=plots.get("baseline") or {},
            gaps=tuple(document.get("gaps") or ()),
            challengers=tuple(
                (int(c["model_id"]), _part(f"model {c['model_id']}", 0, c))
                for c in document.get("challengers") or ()
            ),
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(f"not readable as an evaluation: {type(error).__name__}: {error}") from error


def slice_name(key: Mapping[str, Any]) -> str:
    """`city=a, hour=3`; `overall` for all rows. A value that is no text says so by its form."""
    return ", ".join(f"{visible(str(n))}={_shown(v)}" for n, v in key.items()) or "overall"


def _shown(value: Any) -> str:
    return "null" if value is None else visible(str(value))


def _part(name: str, rows: int, value: Mapping[str, Any]) -> Part:
    changes = {
        metric: _estimate(change.get("change"), change.get("interval"))
        for metric, change in (value.get("changes") or {}).items()
    }
    model, baseline = _estimates(value, ""), _estimates(value, "baseline")
    for metric, old in baseline.items():
        new = model.get(metric)
        if metric not in changes and new is not None and new.value is not None and old.value is not None:
            changes[metric] = Estimate(value=new.value - old.value)
    return Part(name=name, rows=rows, model=model, baseline=baseline, changes=changes)


def _estimates(value: Mapping[str, Any], whose: str) -> dict[str, Estimate]:
    prefix = f"{whose}_" if whose else ""
    intervals, reasons = value.get(f"{prefix}intervals") or {}, value.get(f"{prefix}undefined") or {}
    return {
        str(name): _estimate(found, intervals.get(name), str(reasons.get(name, "")))
        for name, found in (value.get(whose or "model") or {}).items()
    }


def _estimate(value: Any, interval: Sequence[Any] | None, reason: str = "") -> Estimate:
    low, high = (finite(interval[0]), finite(interval[1])) if interval else (None, None)
    return Estimate(value=finite(value), low=low, high=high, reason=reason)


def _check(value: Mapping[str, Any]) -> Check:
    passed = value.get("passed")
    return Check(
        place=slice_name(value.get("key") or {}),
        metric=str(value["metric"]),
        text=str(value.get("text") or ""),
        passed=passed if isinstance(passed, bool) else None,
    )


def _left_out(document: Mapping[str, Any]) -> list[str]:
    said = []
    for name, count in (document.get("slices_left_out") or {}).items():
        said.append(f"{count} more slices by {name} were not measured: there were too many")
    for name, count in (document.get("slices_too_small") or {}).items():
        said.append(f"{count} slices by {name} are too small to be judged")
    return said
