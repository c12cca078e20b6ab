"""Gaps: how far a metric differs between groups of rows, and whether that is too far.

Fairness of a model is asked for so (demographic parity is the gap of `selection_rate`, equal opportunity that
of `recall`, equalized odds that and the gap of `false_positive_rate`), and any comparison of slices with a
reference. Gap and ratio are those of fairlearn's MetricFrame: between groups, or to a reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidemill.data.evaluation import Check, Gap, SliceEvaluation, slice_name
from tidemill.errors import DataError, did_you_mean

_KEYS = ("slices", "metric", "reference", "max_gap", "min_ratio")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What to compare, and how far it may differ."""

    columns: tuple[str, ...]
    metric: str
    reference: Any = None
    """None: all groups with each other; `overall`; or the value (or values by column) of one group."""
    max_gap: float | None = None
    min_ratio: float | None = None


def read_comparisons(given: Sequence[Mapping[str, Any]]) -> list[Comparison]:
    """Comparisons from a node's parameter. DataError for keys and values that make no sense."""
    found = []
    for at, item in enumerate(given):
        where = f"fairness[{at}]"
        for key in item:
            if key not in _KEYS:
                raise DataError(f"{where} has the key {key!r}", hint=did_you_mean(str(key), _KEYS))
        for key in ("slices", "metric"):
            if not item.get(key):
                raise DataError(f"{where} has no {key!r}", hint='write {"slices": "sex", "metric": "recall"}')
        for key in ("max_gap", "min_ratio"):
            value = item.get(key, 0)
            if (
                isinstance(value, bool)
                or not isinstance(value, (int, float))
                or not 0 <= value < float("inf")
            ):
                raise DataError(f"{where}[{key!r}] must be a number from 0, not {value!r}")
        names = item["slices"]
        columns = (names,) if isinstance(names, str) else tuple(names)
        metrics = [item["metric"]] if isinstance(item["metric"], str) else list(item["metric"])
        rest = {key: item[key] for key in ("reference", "max_gap", "min_ratio") if key in item}
        found += [Comparison(columns=columns, metric=metric, **rest) for metric in metrics]
    return found


def measure_gap(comparison: Comparison, slices: Sequence[SliceEvaluation]) -> Gap:
    """The gap, from the slices that were measured. DataError when the reference is none of them."""
    columns = set(comparison.columns)
    groups = {
        slice_name(part.key): part.model[comparison.metric].value
        for part in slices
        if set(part.key) == columns
    }
    name, reference = _reference(comparison, slices, groups)
    known = [value for value in groups.values() if value is not None]
    gap = ratio = None
    if name and reference is not None and known:
        gap = max(abs(value - reference) for value in known)
        ratio = _least_ratio([(value, reference) for value in known])
    elif not name and len(known) >= 2:
        gap = max(known) - min(known)
        ratio = _least_ratio([(min(known), max(known))])
    return Gap(
        columns=comparison.columns,
        metric=comparison.metric,
        reference=name,
        groups=groups,
        gap=gap,
        ratio=ratio,
    )


def check_gap(comparison: Comparison, gap: Gap) -> list[Check]:
    """Whether a gap keeps its limits; a gap that has no value is not judged."""
    than = f"to {gap.reference}" if gap.reference else "between groups"
    what = f"{gap.metric} by {'/'.join(gap.columns)}"
    found = []
    for kind, limit, value in (
        ("gap", comparison.max_gap, gap.gap),
        ("ratio", comparison.min_ratio, gap.ratio),
    ):
        if limit is None:
            continue
        if value is None:
            passed, text = None, f"{what}: the {kind} {than} is not judged, less than two groups have a value"
        else:
            passed = value <= limit if kind == "gap" else value >= limit
            demand = "at most" if kind == "gap" else "at least"
            text = f"{what}: the {kind} {than} is {value:.6g}, {demand} {limit:.6g} is allowed{_ends(gap)}"
        found.append(
            Check(
                metric=gap.metric, key={}, kind="gap", text=text, passed=passed, limit=limit, measured=value
            )
        )
    return found


def _ends(gap: Gap) -> str:
    known = {name: value for name, value in gap.groups.items() if value is not None}
    low, high = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
    return f" ({low}: {known[low]:.6g}; {high}: {known[high]:.6g})"


def _reference(
    comparison: Comparison, slices: Sequence[SliceEvaluation], groups: Mapping[str, float | None]
) -> tuple[str, float | None]:
    wanted = comparison.reference
    if wanted is None:
        return "", None
    if wanted == "overall":
        return "overall", slices[0].model[comparison.metric].value
    key = wanted if isinstance(wanted, Mapping) else dict.fromkeys(comparison.columns, wanted)
    name = slice_name({column: key.get(column) for column in comparison.columns})
    if name not in groups:
        raise DataError(
            f"fairness by {'/'.join(comparison.columns)} refers to {name}, which is no measured slice",
            hint=did_you_mean(name, groups),
        )
    return name, groups[name]


def _least_ratio(pairs: Sequence[tuple[float, float]]) -> float | None:
    """The smallest of smaller by larger; None with a negative number, or where the larger is 0."""
    found = []
    for one, other in pairs:
        low, high = min(one, other), max(one, other)
        if low < 0 or high == 0:
            return None
        found.append(low / high)
    return min(found)
