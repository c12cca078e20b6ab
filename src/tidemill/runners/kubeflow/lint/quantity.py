"""Quantities of Kubernetes: `500m`, `4Gi`, `1e3` (k8s.io/apimachinery, pkg/api/resource)."""

from __future__ import annotations

import re
from decimal import Decimal

_FORM = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))([eE][+-]?\d{1,3}|Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE])?")
_UNITS = {
    "": Decimal(1), "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"),
    **{unit: Decimal(1000) ** (i + 1) for i, unit in enumerate("kMGTPE")},
    **{f"{unit}i": Decimal(1024) ** (i + 1) for i, unit in enumerate("KMGTPE")},
}  # fmt: skip


def quantity(text: str) -> Decimal | None:
    """The amount; None when the text is no quantity."""
    match = _FORM.fullmatch(text)
    if match is None or len(text) > 60:
        return None
    number, unit = Decimal(match.group(1)), match.group(2) or ""
    return number * (_UNITS[unit] if unit in _UNITS else Decimal(f"1{unit}"))
