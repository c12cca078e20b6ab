"""What differs between two schemas, field by field, and whether it lets more or less data pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tidemill.data.schema import Schema
from tidemill.data.schema_fields import moment
from tidemill.data.schema_file import plain_fields, plain_value

Effect = Literal["looser", "stricter", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One field that differs; plain values, None where a side does not say it."""

    path: tuple[str, ...]
    """Such as ("columns", "fare", "max")."""
    before: Any
    after: Any
    effect: Effect

    def __str__(self) -> str:
        place = ".".join(self.path)
        if self.before is None:
            return f"+ {place}: {_shown(self.after)}"
        if self.after is None:
            return f"- {place}: {_shown(self.before)}"
        if isinstance(self.before, list) and isinstance(self.after, list):
            gone = [v for v in self.before if v not in self.after]
            new = [v for v in self.after if v not in self.before]
            parts = [f"+{_shown(new)}"] * bool(new) + [f"-{_shown(gone)}"] * bool(gone)
            return f"~ {place}: {' '.join(parts) or 'in another order'}"
        return f"~ {place}: {_shown(self.before)} -> {_shown(self.after)}"


_LOWER = {"min", "min_fraction", "min_count", "min_values", "min_unique", "min_domain_mass", "min_examples",
          "min_examples_ratio"}  # fmt: skip
_UPPER = {"max", "max_values", "max_unique", "max_examples", "max_examples_ratio", "linf", "jsd", "psi", "ks",
          "wasserstein", "chi2", "nad", "missing"}  # fmt: skip
_DEFAULTS = {"required": True, "allow_nan": False, "allow_infinite": False, "min_domain_mass": 1.0,
             "min_fraction": 0.0, "min_count": 0, "min_examples": 1}  # fmt: skip


def diff_schemas(old: Schema, new: Schema) -> list[Change]:
    """Every difference, the rows as a whole first, then columns by name. Empty when the two mean the same."""
    changes: list[Change] = []
    for name in ("version", "default_environments"):
        _compare(changes, (name,), plain_value(getattr(old, name)), plain_value(getattr(new, name)))
    _fields(changes, ("dataset",), plain_fields(old.dataset, ()), plain_fields(new.dataset, ()))
    _fields(changes, ("severity",), old.severity, new.severity)
    for name in sorted({*old.rules, *new.rules}):
        sides = [plain_fields(s.rules[name]) if name in s.rules else None for s in (old, new)]
        _compare(changes, ("rules", name), *sides)
    for name in sorted({*old.columns, *new.columns}):
        before, after = old.columns.get(name), new.columns.get(name)
        place = ("columns", name)
        if before is None or after is None:
            sides = [None if c is None else plain_fields(c) for c in (before, after)]
            _compare(changes, place, *sides)
        elif before != after:
            _fields(changes, place, plain_fields(before), plain_fields(after))
    return changes


def _fields(
    changes: list[Change], place: tuple[str, ...], before: Mapping[str, Any], after: Mapping[str, Any]
) -> None:
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name), after.get(name)
        if name in ("drift", "skew", "severity") and (old is not None or new is not None):
            _fields(changes, (*place, name), old or {}, new or {})
        else:
            _compare(changes, (*place, name), old, new)


def _compare(changes: list[Change], path: tuple[str, ...], before: Any, after: Any) -> None:
    if before != after:
        effect = _effect(path[-1], before, after, whole=len(path) == 2 and path[0] in ("columns", "rules"))
        changes.append(Change(path=path, before=before, after=after, effect=effect))


def _effect(name: str, before: Any, after: Any, *, whole: bool) -> Effect:
    if whole:
        return (
            "other"
            if before is not None and after is not None
            else "stricter"
            if before is None
            else "looser"
        )
    if name in _DEFAULTS:
        before = _DEFAULTS[name] if before is None else before
        after = _DEFAULTS[name] if after is None else after
    if name == "required":
        return "stricter" if after else "looser"
    if name in ("allow_nan", "allow_infinite"):
        return "looser" if after else "stricter"
    if name == "domain" and isinstance(before, list) and isinstance(after, list):
        grew, shrank = set(after) - set(before), set(before) - set(after)
        return "other" if bool(grew) == bool(shrank) else "looser" if grew else "stricter"
    if name in ("domain", "bool_domain", "text_of", "shape") and (before is None or after is None):
        return "looser" if after is None else "stricter"
    if name in _LOWER or name in _UPPER:
        return _bound(before, after, upper=name in _UPPER)
    return "other"


def _bound(before: Any, after: Any, *, upper: bool) -> Effect:
    if before is None or after is None:
        return "looser" if after is None else "stricter"
    if isinstance(before, str) and isinstance(after, str):
        before, after = moment(before), moment(after)
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        upper, before, after = False, before["false_alarm"], after["false_alarm"]
    elif isinstance(before, Mapping) or isinstance(after, Mapping):
        return "other"
    return "looser" if (after > before) == upper else "stricter"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {_shown(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        more = f", {len(value) - 8} more" if len(value) > 8 else ""
        return "[" + ", ".join(map(_shown, value[:8])) + more + "]"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
