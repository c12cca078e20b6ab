"""Intermediate values of a training run: a curve, and in a trial the question whether to go on."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tidemill.errors import DataError, TidemillError

CURVE = "curve.jsonl"


class TrialPruned(TidemillError):
    """Ends a trial that does worse than others did at the same step. Let it pass."""

    code = "TRIAL_PRUNED"


@dataclass(slots=True)
class Reports:
    """Values by step. `prune` is asked after each: True ends the trial."""

    values: dict[int, float] = field(default_factory=dict)
    prune: Callable[[int, float], bool] | None = None
    lower_is_better: bool | None = None
    """Which way of the reported values is better; None: that of the metric."""

    def add(self, step: int, value: float) -> None:
        """Keep a value; DataError when steps do not grow, TrialPruned when the trial shall end."""
        step, value = int(step), float(value)
        if self.values and step <= max(self.values):
            raise DataError(f"step {step} was reported after step {max(self.values)}", hint="steps must grow")
        self.values[step] = value
        if self.prune is not None and math.isfinite(value) and self.prune(step, value):
            raise TrialPruned(f"pruned at step {step}, with {value:.6g}")

    def write(self, folder: Path) -> None:
        """Write the curve, one JSON object per step; nothing when there is none."""
        if self.values:
            lines = [json.dumps({"step": s, "value": _plain(v)}) for s, v in sorted(self.values.items())]
            (folder / CURVE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
