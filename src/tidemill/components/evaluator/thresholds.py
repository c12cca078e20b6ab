"""What a metric must reach, where, and in which of its forms: read from a node's parameter."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tidemill.errors import DataError, did_you_mean

Direction = Literal["higher", "lower"]
OVERALL, ALL = "overall", "all"

_NUMBERS = ("lower", "upper", "min_change", "min_relative_change")
_KEYS = (*_NUMBERS, "direction", "on", "slices", "value_threshold", "change_threshold")
_CHANGE_KEYS = ("absolute", "relative", "direction")


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """What one metric must reach.

    `min_change` is the least improvement over the baseline, in the metric's good direction; a negative
    one is how much worse the model may be. `min_relative_change` is the same as a share of the baseline.
    """

    metric: str
    lower: float | None = None
    upper: float | None = None
    min_change: float | None = None
    min_relative_change: float | None = None
    direction: Direction = "higher"
    on: Literal["estimate", "bound"] = "estimate"
    """`bound`: the end of the confidence interval that is worse for the model must reach it."""
    slices: Any = OVERALL
    """OVERALL, ALL (that of all rows too), or a tuple: a tuple of columns stands for every slice by them,
    a mapping for one slice."""

    @property
    def wants_change(self) -> bool:
        """Whether it is about the baseline."""
        return self.min_change is not None or self.min_relative_change is not None


def read_thresholds(
    given: Mapping[str, Any], direction_of: Callable[[str], Direction | None]
) -> list[Threshold]:
    """Thresholds from a node's parameter: per metric one mapping, or a list of them.

    `direction_of` tells which way a metric improves by nature. DataError for an unknown key, a value that is
    no finite number, and a demanded change of a metric whose direction nobody knows.
    """
    found = []
    for metric, value in given.items():
        several = isinstance(value, Sequence) and not isinstance(value, str)
        for at, one in enumerate(value if several else [value]):
            where = f"thresholds[{metric!r}]" + (f"[{at}]" if several else "")
            found.append(_read(metric, one, where, direction_of(metric)))
    return found


def _read(metric: str, value: Any, where: str, natural: Direction | None) -> Threshold:
    if not isinstance(value, Mapping):
        raise DataError(f"{where} is {value!r}", hint='write {"lower": 0.7} or the like')
    for key in value:
        if key not in _KEYS:
            raise DataError(f"{where} has the key {key!r}", hint=did_you_mean(str(key), _KEYS))
    flat = _flat(dict(value), where, natural)
    for key in _NUMBERS:
        if key in flat and not _is_number(flat[key]):
            raise DataError(f"{where}[{key!r}] must be a finite number, not {flat[key]!r}")
    direction = flat.get("direction", natural)
    change = next((key for key in ("min_change", "min_relative_change") if key in flat), "")
    if direction is None and change:
        raise DataError(
            f"{where} has {change}, and which way {metric} improves is not known",
            hint='add "direction": "higher" or "lower"',
        )
    if direction not in (None, "higher", "lower"):
        raise DataError(f'{where}["direction"] must be higher or lower, not {direction!r}')
    if flat.get("on", "estimate") not in ("estimate", "bound"):
        raise DataError(f'{where}["on"] must be estimate or bound, not {flat["on"]!r}')
    return Threshold(
        metric=metric,
        direction=direction or "higher",
        on=flat.get("on", "estimate"),
        slices=_read_slices(flat.get("slices", OVERALL), where),
        **{key: float(flat[key]) for key in _NUMBERS if key in flat},
    )


def _flat(value: dict[str, Any], where: str, natural: Direction | None) -> dict[str, Any]:
    """TFMA's nested forms as ours: a change there is new - old, whichever way is better (config.proto)."""
    bounds = value.pop("value_threshold", {})
    for key, number in dict(bounds).items():
        name = str(key).removesuffix("_bound")
        if name not in ("lower", "upper"):
            raise DataError(
                f"{where}['value_threshold'] has the key {key!r}", hint=did_you_mean(name, ["lower", "upper"])
            )
        value.setdefault(name, number)
    change = dict(value.pop("change_threshold", {}))
    for key in change:
        if key not in _CHANGE_KEYS:
            raise DataError(
                f"{where}['change_threshold'] has the key {key!r}", hint=did_you_mean(str(key), _CHANGE_KEYS)
            )
    if "direction" in change:
        value.setdefault("direction", change["direction"])
    sign = -1 if value.get("direction", natural) == "lower" else 1
    for key, name in (("absolute", "min_change"), ("relative", "min_relative_change")):
        if key in change:
            value.setdefault(name, sign * change[key] if _is_number(change[key]) else change[key])
    return value


def _read_slices(given: Any, where: str) -> Any:
    if given in (OVERALL, ALL):
        return given
    if isinstance(given, Mapping):
        given = [given]
    if isinstance(given, str):
        raise DataError(
            f'{where}["slices"] is {given!r}', hint=f'write "{OVERALL}", "{ALL}", or [{given!r}] for a column'
        )
    if not isinstance(given, Sequence) or not given:
        raise DataError(f'{where}["slices"] is {given!r}', hint=f'write "{OVERALL}", "{ALL}" or a list')
    found: list[Any] = []
    for item in given:
        if isinstance(item, Mapping):
            found.append(dict(item))
        else:
            found.append((item,) if isinstance(item, str) else tuple(item))
    return tuple(found)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
