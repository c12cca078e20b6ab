"""The rules by which a model is blessed: pure, over numbers, with reasons in plain words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tidemill.errors import DataError, did_you_mean

Direction = Literal["higher", "lower"]
_KEYS = ("lower", "upper", "min_change", "direction")


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """What one metric must reach.

    `min_change` is the least improvement over the baseline, in the metric's good direction; a negative
    one is how much worse the model may be.
    """

    lower: float | None = None
    upper: float | None = None
    min_change: float | None = None
    direction: Direction = "higher"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Blessed or not, with every reason; the first says most."""

    blessed: bool
    reasons: tuple[str, ...]


def read_thresholds(
    given: Mapping[str, Mapping[str, Any]], directions: Mapping[str, Direction]
) -> dict[str, Threshold]:
    """Thresholds from a node's parameter. `directions` are those of metrics that have one by nature.

    DataError for an unknown key, a value that is no finite number, and a `min_change` of a metric whose
    direction nobody knows.
    """
    found = {}
    for metric, value in given.items():
        for key, item in value.items():
            if key not in _KEYS:
                raise DataError(f"thresholds[{metric!r}] has the key {key!r}", hint=did_you_mean(key, _KEYS))
            if key != "direction" and not _is_number(item):
                raise DataError(f"thresholds[{metric!r}][{key!r}] must be a finite number, not {item!r}")
        direction = value.get("direction", directions.get(metric))
        if direction is None and "min_change" in value:
            raise DataError(
                f"thresholds[{metric!r}] has min_change, and which way {metric} improves is not known",
                hint='add "direction": "higher" or "lower"',
            )
        if direction not in (None, "higher", "lower"):
            raise DataError(f'thresholds[{metric!r}]["direction"] must be higher or lower, not {direction!r}')
        found[metric] = Threshold(**{**value, "direction": direction or "higher"})
    return found


def judge(
    thresholds: Mapping[str, Threshold],
    model: Mapping[str, float],
    baseline: Mapping[str, float] | None,
    *,
    same_model: bool = False,
) -> Verdict:
    """Bless a model whose metrics meet every threshold, and are numbers.

    Without a baseline, or when it is the same model, changes are not judged, and a reason says so.
    DataError for a threshold on a metric that was not computed.
    """
    failures: list[str] = []
    for metric, threshold in thresholds.items():
        if metric not in model:
            raise DataError(
                f"thresholds name {metric!r}, which was not computed", hint=did_you_mean(metric, model)
            )
        failures += _failures(metric, threshold, model[metric], None if same_model else baseline)
    unjudged = [name for name, value in model.items() if name not in thresholds and not math.isfinite(value)]
    failures += [f"{name} is {model[name]}, not a number that can be judged" for name in unjudged]
    if failures:
        return Verdict(False, tuple(failures))
    return Verdict(True, (_praise(thresholds, model, baseline, same_model),))


def _failures(
    metric: str, threshold: Threshold, value: float, baseline: Mapping[str, float] | None
) -> list[str]:
    if not math.isfinite(value):
        return [f"{metric} is {value}, not a number that can be judged"]
    found = []
    if threshold.lower is not None and value < threshold.lower:
        found.append(f"{metric} is {_short(value)}, below the limit {_short(threshold.lower)}")
    if threshold.upper is not None and value > threshold.upper:
        found.append(f"{metric} is {_short(value)}, above the limit {_short(threshold.upper)}")
    if threshold.min_change is None or baseline is None:
        return found
    old = baseline.get(metric, math.nan)
    if not math.isfinite(old):
        return [*found, f"{metric} of the baseline is {old}, so the change cannot be judged"]
    gain = value - old if threshold.direction == "higher" else old - value
    if gain < threshold.min_change:
        way = "better" if gain > 0 else "worse" if gain < 0 else "no better"
        by = f"{_short(abs(gain))} {way}" if gain else way
        needed = (
            f"at least {_short(threshold.min_change)} better is needed"
            if threshold.min_change >= 0
            else f"at most {_short(-threshold.min_change)} worse is allowed"
        )
        found.append(f"{metric} is {_short(value)}, {by} than the baseline's {_short(old)}; {needed}")
    return found


def _praise(
    thresholds: Mapping[str, Threshold],
    model: Mapping[str, float],
    baseline: Mapping[str, float] | None,
    same_model: bool,
) -> str:
    old = baseline if baseline and not same_model else {}
    compared = {name: f", baseline {_short(old[name])}" for name in thresholds if name in old}
    shown = "; ".join(f"{name} {_short(model[name])}{compared.get(name, '')}" for name in thresholds)
    passed = f"every threshold is met ({shown})" if shown else "no thresholds are set"
    if same_model:
        return f"{passed}; the baseline is this very model, so changes are not judged"
    if baseline is None:
        return f"{passed}; first model: there is no baseline to compare with"
    return passed


def _short(value: float) -> str:
    return f"{value:.6g}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
