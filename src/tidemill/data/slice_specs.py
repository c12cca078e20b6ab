"""How rows are to be sliced, as a node's parameter says it; which slices there are is found in `slices`.

Kept apart from there, so that reading a parameter loads no data library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tidemill.errors import DataError, did_you_mean

MOST_SLICES = 100
"""Slices measured of one specification, largest first."""
_FIELDS = ("feature_keys", "feature_values", "bins")


@dataclass(frozen=True, slots=True)
class SliceSpec:
    """One way of slicing."""

    keys: tuple[str, ...]
    """Columns that are crossed."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """Columns, and the value that rows must have there."""
    bins: Mapping[str, Any] = field(default_factory=dict)
    """Column -> ascending edges, or a number of bins with equally many rows."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column it needs."""
        return tuple(dict.fromkeys((*self.keys, *self.values)))

    @property
    def name(self) -> str:
        """What it is called in what is left out."""
        return "/".join(self.columns)


def read_specs(given: Sequence[Any]) -> list[SliceSpec]:
    """Specifications from a node's parameter: a column, a list of columns, or a mapping with `feature_keys`,
    `feature_values` and `bins`. DataError for anything else."""
    found: list[SliceSpec] = []
    for item in given:
        spec = _read_spec(item)
        if spec.columns and spec not in found:
            found.append(spec)
    return found


def _read_spec(item: Any) -> SliceSpec:
    if isinstance(item, str):
        return SliceSpec((item,))
    if not isinstance(item, Mapping):
        if not isinstance(item, Sequence) or not all(isinstance(name, str) for name in item):
            raise DataError(
                f"slices has {item!r}", hint="a slice is a column, a list of columns, or a mapping"
            )
        return SliceSpec(tuple(dict.fromkeys(item)))
    for name in item:
        if name not in _FIELDS:
            raise DataError(f"a slice has the key {name!r}", hint=did_you_mean(str(name), _FIELDS))
    keys, values = item.get("feature_keys", ()), dict(item.get("feature_values", {}))
    keys = (keys,) if isinstance(keys, str) else tuple(dict.fromkeys(keys))
    bins = {name: _read_bins(name, wanted) for name, wanted in dict(item.get("bins", {})).items()}
    for name in bins:
        if name not in keys:
            raise DataError(
                f"a slice has bins for {name!r}, which is none of its feature_keys",
                hint=did_you_mean(name, keys),
            )
    return SliceSpec(tuple(k for k in keys if k not in values), values, bins)


def _read_bins(name: str, wanted: Any) -> Any:
    if isinstance(wanted, int) and not isinstance(wanted, bool) and 2 <= wanted <= MOST_SLICES:
        return wanted
    numbers = isinstance(wanted, Sequence) and all(isinstance(edge, (int, float)) for edge in wanted)
    if not numbers or not wanted or list(wanted) != sorted(set(wanted)):
        raise DataError(
            f"the bins of {name!r} are {wanted!r}",
            hint=f"give ascending edges, or a number of bins from 2 to {MOST_SLICES}",
        )
    return tuple(wanted)
