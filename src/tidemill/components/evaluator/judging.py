"""The rules by which a model is blessed: pure, over what was measured, with reasons in plain words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tidemill.components.evaluator.thresholds import ALL, OVERALL, Threshold
from tidemill.data.evaluation import Change, Check, Measure, SliceEvaluation, slice_name
from tidemill.errors import DataError, did_you_mean

SPOILT = "predictions are NaN or infinite"
"""End of the reason of a metric that has no value since the model is at fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is decided where there is nothing to judge by."""

    when_no_baseline: Literal["skip_changes", "refuse"] = "skip_changes"
    when_no_thresholds: Literal["bless", "refuse"] = "bless"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Blessed or not, with every reason; the first says most."""

    blessed: bool
    reasons: tuple[str, ...]
    checks: tuple[Check, ...] = ()
    rubber_stamped: bool = False
    """Blessed although changes were demanded, since there was no baseline to compare with."""


def judge(
    thresholds: Sequence[Threshold],
    slices: Sequence[SliceEvaluation],
    *,
    same_model: bool = False,
    extra: Sequence[Check] = (),
    unseen: Mapping[str, int] | None = None,
    policy: Policy | None = None,
) -> Verdict:
    """Bless a model whose metrics meet every threshold, and are numbers.

    `slices` begin with that of all rows. Without a baseline, or when it is the same model, changes are not
    judged, and a reason says so. `extra` are checks made elsewhere; `unseen` are slicings with slices that
    were not measured. DataError for a threshold on a metric or slice that was not measured.
    """
    policy = policy or Policy()
    overall = slices[0]
    baseline = overall.baseline is not None
    checks: list[Check] = []
    for threshold in thresholds:
        if threshold.metric not in overall.model:
            raise DataError(
                f"thresholds name {threshold.metric!r}, which was not computed",
                hint=did_you_mean(threshold.metric, overall.model),
            )
        for part, named in _chosen(threshold, slices, unseen or {}):
            checks += _checks(threshold, part, named, compare=baseline and not same_model)
    judged = {threshold.metric for threshold in thresholds}
    for name, measure in overall.model.items():
        if name not in judged and measure.value is None:
            text = f"{name} has no value: {measure.reason}"
            checks.append(Check(metric=name, key={}, kind="defined", text=text, passed=False))
    checks += extra
    failures = [check.text for check in checks if check.passed is False]
    if not baseline and policy.when_no_baseline == "refuse":
        failures.append("there is no baseline to compare with, and such a model is to be refused")
    if not thresholds and not extra and policy.when_no_thresholds == "refuse":
        failures.append("no thresholds are set, and such a model is to be refused")
    if failures:
        return Verdict(False, tuple(failures), tuple(checks))
    stamped = not baseline and any(threshold.wants_change for threshold in thresholds)
    reason = _praise(thresholds, overall, checks, same_model)
    return Verdict(True, (reason,), tuple(checks), stamped)


def _chosen(
    threshold: Threshold, slices: Sequence[SliceEvaluation], unseen: Mapping[str, int]
) -> Iterator[tuple[SliceEvaluation, bool]]:
    """The slices that a threshold is about, and whether it names each of them."""
    if threshold.slices == OVERALL:
        yield slices[0], True
        return
    if threshold.slices == ALL:
        yield slices[0], True
        yield from ((part, False) for part in slices[1:])
        return
    by_columns: dict[tuple[str, ...], list[SliceEvaluation]] = {}
    for part in slices[1:]:
        by_columns.setdefault(tuple(sorted(part.key)), []).append(part)
    for name in unseen:
        by_columns.setdefault(tuple(sorted(name.split("/"))), [])
    for wanted in threshold.slices:
        columns = tuple(sorted(wanted))
        if columns not in by_columns:
            known = ["/".join(names) for names in by_columns]
            raise DataError(
                f"thresholds[{threshold.metric!r}] names slices by {'/'.join(columns)}: none is measured",
                hint=f"add them to slices; {did_you_mean('/'.join(columns), known)}"
                if known
                else "add slices=",
            )
        if not isinstance(wanted, Mapping):
            yield from ((part, False) for part in by_columns[columns])
            continue
        same = [part for part in by_columns[columns] if _same_key(part.key, wanted)]
        yield from ((part, True) for part in same)
        if not same:
            absent = Measure(value=None, reason="the slice has no rows, or less than min_slice_size")
            yield SliceEvaluation(key=wanted, rows=0, weight=0.0, model={threshold.metric: absent}), True


def _same_key(key: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(key[name] == value or str(key[name]) == str(value) for name, value in wanted.items())


def _checks(threshold: Threshold, part: SliceEvaluation, named: bool, *, compare: bool) -> list[Check]:
    """All that a threshold demands of one slice."""
    metric = threshold.metric
    measure = part.model.get(metric, Measure(value=None, reason="it was measured on all rows only"))
    of = metric if not part.key else f"{metric} of {slice_name(part.key)}"
    if measure.value is None:
        # One class only says nothing against the model; what it made of the rows does.
        passed = False if named or measure.reason.endswith(SPOILT) else None
        text = f"{of} has no value: {measure.reason}"
        return [Check(metric=metric, key=part.key, kind="value", text=text, passed=passed)]
    found = []
    if threshold.lower is not None:
        found.append(_value_check(threshold, part, of, measure, lower=True))
    if threshold.upper is not None:
        found.append(_value_check(threshold, part, of, measure, lower=False))
    if threshold.wants_change:
        if compare:
            found += _change_checks(threshold, part, of, named)
        else:
            text = f"{of}: the change is not judged, there is no other model to compare with"
            found.append(Check(metric=metric, key=part.key, kind="change", text=text, passed=None))
    return found


def _value_check(
    threshold: Threshold, part: SliceEvaluation, of: str, measure: Measure, *, lower: bool
) -> Check:
    limit = threshold.lower if lower else threshold.upper
    assert limit is not None
    assert measure.value is not None
    held: float | None = measure.value
    what = f"{of} is {_short(measure.value)}"
    if threshold.on == "bound":
        end = "lower" if lower else "upper"
        held = None if not measure.interval else measure.interval.low if lower else measure.interval.high
        bound = "unknown" if held is None else _short(held)
        what = f"the {end} bound of {of} ({_short(measure.value)}) is {bound}"
    if held is None:
        passed = False
        text = f"{what}: this metric has no confidence interval on {part.rows} rows"
    else:
        passed = held >= limit if lower else held <= limit
        side = ("at or above" if lower else "at or below") if passed else ("below" if lower else "above")
        text = f"{what}, {side} the limit {_short(limit)}"
    return Check(metric=threshold.metric, key=part.key, kind="value", text=text, passed=passed, limit=limit,
                 measured=held, on=threshold.on)  # fmt: skip


def _change_checks(threshold: Threshold, part: SliceEvaluation, of: str, named: bool) -> list[Check]:
    old = (part.baseline or {}).get(threshold.metric, Measure(value=None, reason="it was not measured"))
    change = part.changes.get(threshold.metric, Change(value=None))
    new = part.model[threshold.metric].value
    if old.value is None or change.value is None or new is None:
        text = f"{of} of the baseline has no value ({old.reason}), so the change cannot be judged"
        return [Check(metric=threshold.metric, key=part.key, kind="change", text=text,
                      passed=False if named else None)]  # fmt: skip
    sign = 1.0 if threshold.direction == "higher" else -1.0
    gain: float | None = sign * change.value
    bound = ""
    if threshold.on == "bound":
        ends = change.interval
        gain = None if ends is None else min(sign * ends.low, sign * ends.high)
        bound = "even at the bound of its interval "
    found = []
    for least, relative in ((threshold.min_change, False), (threshold.min_relative_change, True)):
        if least is None:
            continue
        held = gain
        if relative and gain is not None:
            held = gain / abs(old.value) if old.value else None
        text = _change_text(of, new, old.value, sign * change.value, held, least, bound, relative)
        passed = held is not None and held >= least
        found.append(Check(metric=threshold.metric, key=part.key, kind="change", text=text, passed=passed,
                           limit=least, measured=held, on=threshold.on))  # fmt: skip
    return found


def _change_text(
    of: str, new: float, old: float, gain: float, held: float | None, least: float, bound: str, relative: bool
) -> str:
    way = "better" if gain > 0 else "worse" if gain < 0 else "no better"
    by = f"{_short(abs(gain))} {way}" if gain else way
    needed = (
        f"at least {_amount(least, relative)} better is needed"
        if least >= 0
        else f"at most {_amount(-least, relative)} worse is allowed"
    )
    text = f"{of} is {_short(new)}, {by} than the baseline's {_short(old)}; {needed}"
    if held is None:
        return f"{text}, and {'the baseline is 0' if relative and not old else 'its interval is not known'}"
    return f"{text}{f', {bound}which is {_amount(held, relative)}' if bound else ''}"


def _praise(
    thresholds: Sequence[Threshold], overall: SliceEvaluation, checks: Sequence[Check], same_model: bool
) -> str:
    old = {} if same_model else overall.baseline or {}
    shown, seen = [], set[str]()
    for threshold in thresholds:
        measure = overall.model[threshold.metric]
        if threshold.metric in seen or measure.value is None:
            continue
        seen.add(threshold.metric)
        before = old.get(threshold.metric, Measure(value=None)).value
        compared = "" if before is None else f", baseline {_short(before)}"
        shown.append(f"{threshold.metric} {_short(measure.value)}{compared}")
    met = [check for check in checks if check.passed]
    passed = "every threshold is met" if shown or met else "no thresholds are set"
    if shown:
        passed += f" ({'; '.join(shown)})"
    if elsewhere := sum(1 for check in met if check.key or check.kind == "gap"):
        passed += f", {elsewhere} checks of slices among them"
    if same_model:
        return f"{passed}; the baseline is this very model, so changes are not judged"
    if overall.baseline is None:
        return f"{passed}; first model: there is no baseline to compare with"
    return passed


def _short(value: float) -> str:
    return f"{value:.6g}"


def _amount(value: float, relative: bool) -> str:
    return f"{value:.4%}" if relative else _short(value)


def is_finite(value: float | None) -> bool:
    """Whether there is a value that can be judged."""
    return value is not None and math.isfinite(value)
