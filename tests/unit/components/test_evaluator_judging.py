"""Evaluator: thresholds, what they are held against, gaps between groups, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from tidemill.components.evaluator.fairness import check_gap, measure_gap, read_comparisons
from tidemill.components.evaluator.judging import Policy, judge
from tidemill.components.evaluator.thresholds import read_thresholds
from tidemill.data.evaluation import Interval, Measure, SliceEvaluation
from tidemill.data.evaluation_file import change_of
from tidemill.errors import DataError


def part(
    key: Mapping[str, Any],
    model: float,
    baseline: float | None = None,
    *,
    half: float = 0.0,
    metric: str = "auc",
) -> SliceEvaluation:
    """A slice with one metric, NaN standing for no value; intervals are `half` wide on each side."""

    def measure(value: float) -> Measure:
        if math.isnan(value):
            return Measure(value=None, reason="one label")
        return Measure(value=value, interval=around(value))

    def around(value: float) -> Interval | None:
        return Interval(low=value - half, high=value + half) if half else None

    if baseline is None:
        return SliceEvaluation(key=key, rows=9, weight=9.0, model={metric: measure(model)})
    change = change_of(measure(model).value, measure(baseline).value, around(model - baseline))
    return SliceEvaluation(
        key=key, rows=9, weight=9.0, model={metric: measure(model)}, baseline={metric: measure(baseline)},
        changes={metric: change},
    )  # fmt: skip


def higher(name: str) -> Any:
    return {"auc": "higher", "loss": "lower"}.get(name)


@pytest.mark.parametrize(
    ("threshold", "model", "baseline", "blessed", "words"),
    [
        ({"lower": 0.7}, 0.8, None, True, "first model"),
        ({"lower": 0.8}, 0.8, None, True, "every threshold is met"),
        ({"lower": 0.81}, 0.8, None, False, "auc is 0.8, below the limit 0.81"),
        ({"upper": 0.5}, 0.8, None, False, "above the limit 0.5"),
        ({"min_change": 0.1}, 0.8, None, True, "no baseline to compare with"),
        ({"min_change": 0.1}, 0.85, 0.8, False, "0.05 better than the baseline's 0.8; at least 0.1 better"),
        ({"min_change": 0.0}, 0.8, 0.8, True, "every threshold is met"),
        ({"min_change": 1e-9}, 0.8, 0.8, False, "no better than the baseline's 0.8"),
        ({"min_change": -0.1}, 0.75, 0.8, True, "baseline 0.8"),
        ({"min_change": -0.01}, 0.75, 0.8, False, "0.05 worse than the baseline's 0.8; at most 0.01 worse"),
        ({"min_change": 0, "direction": "lower"}, 0.7, 0.8, True, "every"),
        ({"min_change": 0, "direction": "lower"}, 0.9, 0.8, False, "0.1 worse"),
        ({"min_relative_change": 0.099}, 0.88, 0.8, True, "every"),
        ({"min_relative_change": 0.11}, 0.88, 0.8, False, "at least 11.0000% better is needed"),
        ({"min_relative_change": -0.1}, 0.7, 0.8, False, "at most 10.0000% worse is allowed"),
        ({"min_relative_change": -0.1}, 0.7, 0.0, False, "the baseline is 0"),
        ({"lower": 0.1}, math.nan, None, False, "auc has no value: one label"),
        ({"min_change": 0}, 0.8, math.nan, False, "auc of the baseline has no value (one label)"),
        # TFMA's words: a change is new - old, whichever way is better
        ({"value_threshold": {"lower_bound": 0.9}}, 0.8, None, False, "below the limit 0.9"),
        ({"value_threshold": {"upper": 0.9}}, 0.8, None, True, "every"),
        ({"change_threshold": {"absolute": -0.1}}, 0.75, 0.8, True, "every"),
        ({"change_threshold": {"absolute": 0.01, "direction": "lower"}}, 0.82, 0.8, False, "0.02 worse"),
        ({"change_threshold": {"absolute": 0.03, "direction": "lower"}}, 0.82, 0.8, True, "every"),
        ({"change_threshold": {"relative": -0.01, "direction": "lower"}}, 0.8, 0.8, False, "no better"),
    ],
)
def test_verdicts(
    threshold: dict[str, Any], model: float, baseline: float | None, blessed: bool, words: str
) -> None:
    verdict = judge(read_thresholds({"auc": threshold}, higher), [part({}, model, baseline)])
    assert verdict.blessed is blessed
    assert words in verdict.reasons[0]


@pytest.mark.parametrize(
    ("threshold", "half", "blessed", "words"),
    [
        ({"lower": 0.75, "on": "bound"}, 0.05, True, "every"),
        (
            {"lower": 0.76, "on": "bound"},
            0.05,
            False,
            "the lower bound of auc (0.8) is 0.75, below the limit 0.76",
        ),
        (
            {"upper": 0.84, "on": "bound"},
            0.05,
            False,
            "the upper bound of auc (0.8) is 0.85, above the limit 0.84",
        ),
        (
            {"lower": 0.5, "on": "bound"},
            0,
            False,
            "is unknown: this metric has no confidence interval on 9 rows",
        ),
        ({"min_change": 0.04, "on": "bound"}, 0.05, True, "every"),
        ({"min_change": 0.06, "on": "bound"}, 0.05, False, "even at the bound of its interval which is 0.05"),
        ({"min_change": 0.04, "on": "bound"}, 0, False, "its interval is not known"),
        ({"min_change": -0.16, "direction": "lower", "on": "bound"}, 0.05, True, "every"),
        ({"min_change": -0.14, "direction": "lower", "on": "bound"}, 0.05, False, "which is -0.15"),
        ({"min_relative_change": 0.08, "on": "bound"}, 0.05, False, "which is 7.1429%"),
    ],
)
def test_bounds_of_intervals_may_be_demanded(
    threshold: dict[str, Any], half: float, blessed: bool, words: str
) -> None:
    verdict = judge(read_thresholds({"auc": threshold}, higher), [part({}, 0.8, 0.7, half=half)])
    assert verdict.blessed is blessed, verdict.reasons
    assert words in verdict.reasons[0]


SLICES = [
    part({}, 0.8),
    part({"city": "a"}, 0.9),
    part({"city": "b"}, 0.6),
    part({"city": None}, math.nan),
    part({"city": "a", "hour": 3}, 0.5),
]


@pytest.mark.parametrize(
    ("where", "failed", "unjudged"),
    [
        ("overall", [], []),
        ("all", ["city=b", "city=a, hour=3"], ["city=null"]),
        (["city"], ["city=b"], ["city=null"]),
        ([["hour", "city"]], ["city=a, hour=3"], []),
        ([{"city": "b"}], ["city=b"], []),
        ([{"city": "a"}, {"city": "a", "hour": "3"}], ["city=a, hour=3"], []),
        ({"city": None}, ["city=null"], []),
        ([{"city": "c"}], ["city=c"], []),
    ],
)
def test_thresholds_on_slices(where: Any, failed: list[str], unjudged: list[str]) -> None:
    verdict = judge(read_thresholds({"auc": {"lower": 0.7, "slices": where}}, higher), SLICES)
    assert [c.slice_name for c in verdict.checks if c.passed is False] == failed
    assert [c.slice_name for c in verdict.checks if c.passed is None] == unjudged
    assert verdict.blessed is (not failed)


def test_changes_on_slices_and_what_is_said_of_them() -> None:
    slices = [part({}, 0.8, 0.7), part({"city": "a"}, 0.6, 0.7), part({"city": "b"}, 0.6, math.nan)]
    limits = read_thresholds({"auc": [{"lower": 0.5}, {"min_change": 0, "slices": ["city"]}]}, higher)
    verdict = judge(limits, slices)
    assert verdict.reasons == (
        "auc of city=a is 0.6, 0.1 worse than the baseline's 0.7; at least 0 better is needed",
    )
    assert [check.passed for check in verdict.checks] == [True, False, None]
    fine = judge(read_thresholds({"auc": {"lower": 0.5, "slices": "all"}}, higher), slices)
    assert fine.reasons == ("every threshold is met (auc 0.8, baseline 0.7), 2 checks of slices among them",)


def test_a_model_that_answers_nan_fails_on_any_slice() -> None:
    spoilt = Measure(value=None, reason="2 predictions are NaN or infinite")
    slices = [part({}, 0.8), SliceEvaluation(key={"city": "a"}, rows=2, weight=2.0, model={"auc": spoilt})]
    verdict = judge(read_thresholds({"auc": {"lower": 0.5, "slices": "all"}}, higher), slices)
    assert not verdict.blessed
    assert "city=a" in verdict.reasons[0]


def test_every_failure_is_a_reason_and_metrics_without_threshold_must_be_numbers() -> None:
    limits = read_thresholds({"a": {"lower": 1}, "b": {"upper": 0}}, higher)
    model = {"a": Measure(value=0.0), "b": Measure(value=1.0), "c": Measure(value=None, reason="?")}
    verdict = judge(limits, [SliceEvaluation(key={}, rows=1, weight=1.0, model=model)])
    assert [reason[:5] for reason in verdict.reasons] == ["a is ", "b is ", "c has"]


@pytest.mark.parametrize(
    ("thresholds", "baseline", "policy", "blessed", "stamped", "words"),
    [
        ({}, None, Policy(), True, False, "no thresholds are set; first model"),
        ({}, None, Policy(when_no_thresholds="refuse"), False, False, "no thresholds are set, and"),
        ({"lower": 0.5}, None, Policy(when_no_thresholds="refuse"), True, False, "first model"),
        ({"lower": 0.5}, None, Policy(when_no_baseline="refuse"), False, False, "no baseline to compare"),
        ({"lower": 0.5}, 0.7, Policy(when_no_baseline="refuse"), True, False, "every"),
        ({"min_change": 0.5}, None, Policy(), True, True, "first model"),
        ({"min_change": 0.5, "lower": 0.9}, None, Policy(), False, False, "below the limit 0.9"),
    ],
)
def test_policies(
    thresholds: dict[str, Any],
    baseline: float | None,
    policy: Policy,
    blessed: bool,
    stamped: bool,
    words: str,
) -> None:
    limits = read_thresholds({"auc": thresholds} if thresholds else {}, higher)
    verdict = judge(limits, [part({}, 0.8, baseline)], policy=policy)
    assert (verdict.blessed, verdict.rubber_stamped) == (blessed, stamped)
    assert words in verdict.reasons[0]


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ({"auc": {"lowr": 0.5}}, "the key 'lowr'"),
        ({"auc": {"lower": "0.5"}}, "must be a finite number"),
        ({"auc": {"lower": math.nan}}, "must be a finite number"),
        ({"mine": {"min_change": 0}}, "which way mine improves is not known"),
        ({"mine": {"min_relative_change": 0}}, "which way mine improves is not known"),
        ({"auc": {"direction": "up"}}, "higher or lower"),
        ({"auc": 0.5}, r"thresholds\['auc'\] is 0.5"),
        ({"auc": [{"lower": 0.5}, {"uper": 1}]}, r"thresholds\['auc'\]\[1\] has the key 'uper'"),
        ({"auc": {"on": "interval"}}, "estimate or bound"),
        ({"auc": {"lower": 0.5, "slices": "city"}}, "is 'city'"),
        ({"auc": {"lower": 0.5, "slices": []}}, r"is \[\]"),
        ({"auc": {"value_threshold": {"least": 1}}}, "the key 'least'"),
        ({"auc": {"change_threshold": {"abs": 1}}}, "the key 'abs'"),
        ({"auc": {"change_threshold": {"absolute": "1"}}}, "must be a finite number"),
    ],
)
def test_thresholds_that_make_no_sense_are_refused(thresholds: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_thresholds(thresholds, higher)


@pytest.mark.parametrize(
    ("thresholds", "message", "hint"),
    [
        ({"acu": {"lower": 0.5}}, "thresholds name 'acu'", "did you mean 'auc'"),
        ({"auc": {"lower": 0.5, "slices": ["citi"]}}, "slices by citi", "did you mean 'city'"),
        ({"auc": {"lower": 0.5, "slices": [{"day": 3}]}}, "slices by day", "slices"),
    ],
)
def test_thresholds_on_what_was_not_measured(thresholds: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(DataError, match=message) as raised:
        judge(read_thresholds(thresholds, higher), SLICES)
    assert hint in raised.value.hint


# --- gaps -----------------------------------------------------------------------------------------

GROUPS = [
    part({}, 0.5, metric="recall"),
    part({"sex": "f"}, 0.4, metric="recall"),
    part({"sex": "m"}, 0.8, metric="recall"),
    part({"sex": "x"}, math.nan, metric="recall"),
    part({"sex": "f", "age": 3}, 0.0, metric="recall"),
]


@pytest.mark.parametrize(
    ("wanted", "gap", "ratio", "passed"),
    [
        # by hand; difference and ratio are defined as in fairlearn
        ({"max_gap": 0.4, "min_ratio": 0.5}, 0.4, 0.5, [True, True]),
        ({"max_gap": 0.39, "min_ratio": 0.51}, 0.4, 0.5, [False, False]),
        ({"max_gap": 0.31, "reference": "overall"}, 0.3, 0.625, [True]),
        ({"max_gap": 0.3, "reference": "f"}, 0.4, 0.5, [False]),
        ({"max_gap": 0.5, "reference": {"sex": "f"}}, 0.4, 0.5, [True]),
        ({"max_gap": 0.5, "slices": ["age", "sex"]}, None, None, [None]),
        ({}, 0.4, 0.5, []),
    ],
)
def test_gaps(
    wanted: dict[str, Any], gap: float | None, ratio: float | None, passed: list[bool | None]
) -> None:
    (comparison,) = read_comparisons([{"slices": "sex", "metric": "recall", **wanted}])
    found = measure_gap(comparison, GROUPS)
    assert found.gap == (None if gap is None else pytest.approx(gap))
    assert found.ratio == (None if ratio is None else pytest.approx(ratio))
    checks = check_gap(comparison, found)
    assert [check.passed for check in checks] == passed
    verdict = judge([], GROUPS, extra=checks)
    assert verdict.blessed is (False not in passed)
    if False in passed:
        assert "recall by sex: the gap" in verdict.reasons[0]
        assert "(sex=f: 0.4; sex=m: 0.8)" in verdict.reasons[0]


def test_gaps_of_several_metrics_and_of_numbers_without_a_ratio() -> None:
    found = read_comparisons([{"slices": ["sex"], "metric": ["recall", "auc"], "max_gap": 0.1}])
    assert [comparison.metric for comparison in found] == ["recall", "auc"]
    slices = [part({}, 0.0), part({"sex": "f"}, -1.0), part({"sex": "m"}, 1.0)]
    gap = measure_gap(found[1], slices)
    assert (gap.gap, gap.ratio) == (2.0, None)
    assert gap.groups == {"sex=f": -1.0, "sex=m": 1.0}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"slices": "sex", "metric": "recall", "max": 1}, "the key 'max'"),
        ({"metric": "recall"}, "has no 'slices'"),
        ({"slices": "sex"}, "has no 'metric'"),
        ({"slices": "sex", "metric": "recall", "max_gap": -1}, "must be a number from 0"),
        ({"slices": "sex", "metric": "recall", "min_ratio": "1"}, "must be a number from 0"),
    ],
)
def test_comparisons_that_make_no_sense(given: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_comparisons([given])


def test_a_reference_that_is_no_group() -> None:
    (comparison,) = read_comparisons([{"slices": "sex", "metric": "recall", "reference": "w"}])
    with pytest.raises(DataError, match="refers to sex=w") as raised:
        measure_gap(comparison, GROUPS)
    assert "sex=" in raised.value.hint
