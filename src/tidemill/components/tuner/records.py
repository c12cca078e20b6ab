"""`trials.json`: every trial of a search as plain data. It is the whole memory of the search."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidemill.data.metrics import METRICS
from tidemill.errors import DataError, did_you_mean

FILE = "trials.json"
FORMAT = "tidemill.trials/1"
DIRECTIONS = {"maximize": 1, "minimize": -1}


@dataclass(frozen=True, slots=True)
class Study:
    """What is searched, and every trial: asked, complete, pruned or failed."""

    metric: str
    direction: str
    sampler: str
    seed: int
    space: Mapping[str, Any]
    trials: tuple[Mapping[str, Any], ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "format": FORMAT,
            "metric": self.metric,
            "direction": self.direction,
            "sampler": self.sampler,
            "seed": self.seed,
            "space": dict(self.space),
            "trials": [dict(trial) for trial in self.trials],
        }

    def write(self, folder: Path) -> None:
        """Write `trials.json`."""
        (folder / FILE).write_text(json.dumps(self.to_json(), indent=1) + "\n", encoding="utf-8")

    def with_results(self, finished: Sequence[Mapping[str, Any]]) -> Study:
        """The trials that were asked for with what came of them, in order."""
        results = iter(finished)
        trials = [
            {**trial, **next(results, {"state": "failed", "error": "the trial left no result"})}
            if trial["state"] == "asked"
            else trial
            for trial in self.trials
        ]
        return Study(self.metric, self.direction, self.sampler, self.seed, self.space, tuple(trials))

    def best(self) -> Mapping[str, Any]:
        """The complete trial with the best value, the earliest of equals; DataError when there is none."""
        complete = [trial for trial in self.trials if trial["state"] == "complete"]
        if not complete:
            errors = [trial["error"] for trial in self.trials if trial.get("error")]
            raise DataError(
                f"none of {len(self.trials)} trials was completed",
                hint=f"the first failed with: {errors[0]}" if errors else "let fewer be pruned",
            )
        sign = DIRECTIONS[self.direction]
        return max(complete, key=lambda trial: (sign * trial["value"], -trial["number"]))


def read_study(folder: Path) -> Study:
    """The study of a TunerResults folder; DataError when missing or damaged."""
    path = folder / FILE
    try:
        value = json.loads(path.read_bytes())
        if value.get("format") != FORMAT:
            raise DataError(f"not trials of this version: {value.get('format')!r}", where=str(path))
        return Study(
            value["metric"],
            value["direction"],
            value["sampler"],
            value["seed"],
            value["space"],
            tuple(value["trials"]),
        )
    except FileNotFoundError:
        raise DataError(f"there is no {FILE}", where=str(folder), hint="was it made by Tuner?") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{FILE} is damaged: {error!r}", where=str(path)) from None


def direction_of(metric: str, direction: str) -> str:
    """maximize or minimize; DataError when nobody knows which."""
    if direction and direction not in DIRECTIONS:
        raise DataError(f"unknown direction {direction!r}", hint=did_you_mean(direction, DIRECTIONS))
    if metric in METRICS:
        known = "maximize" if METRICS[metric].direction == "higher" else "minimize"
        if direction and direction != known:
            raise DataError(f"{metric} is to {known}, not to {direction}", hint="leave direction out")
        return known
    if not direction:
        raise DataError(
            f"which way is {metric!r} better?",
            hint=f'say direction="maximize" or "minimize"; {did_you_mean(metric, METRICS)}',
        )
    return direction


def plain(value: float) -> float | None:
    """A number as JSON has it: NaN and infinities are null."""
    return float(value) if math.isfinite(value) else None
