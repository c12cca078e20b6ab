"""What arrived and started a run, where an engine tells of it: the run's date, its parameters, its record.

The engine's room makes a list of `Arrived` of whatever its events are; all else is the same for every engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from tidemill.ir.arrivals import FilesArrival, leaves
from tidemill.ir.model import PipelineIR
from tidemill.runtime.arriving import PATTERN, SPAN, day_of

DATE = "date"
KNOWN = (
    "pipeline", "node", "output", "run", "artifact", "artifact_uri", "type", "digest", "state", DATE, PATTERN,
    SPAN,
)  # fmt: skip
"""What is kept of an event's facts. Others are somebody else's: they may be large, or secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """One event of data that a pipeline waits for."""

    name: str
    """What the engine calls the data."""
    time: str = ""
    """When it happened, ISO 8601."""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As it is kept in the settings of the run."""
        kept = {k: v for k in KNOWN if isinstance(v := self.facts.get(k), str | int | float)}
        return {"name": self.name, "time": self.time, **kept}


def files_arrived(pattern: str, span: int) -> dict[str, Any]:
    """The facts of a span of files."""
    return {PATTERN: pattern, SPAN: span, **({DATE: day} if (day := day_of(pattern, span)) else {})}


def date_of(arrived: Iterable[Arrived]) -> str:
    """The date of the run that they start: the newest that one of them names, or none."""
    return max((day for a in arrived if (day := _day(a.facts.get(DATE)))), default="")


def parameters_of(ir: PipelineIR, arrived: Sequence[Arrived]) -> dict[str, Any]:
    """The runtime parameters that they give the run: the newest span of a pattern that names one."""
    found: dict[str, Any] = {}
    for files in leaves(ir.schedule.on if ir.schedule else None):
        if isinstance(files, FilesArrival) and files.parameter:
            spans = [a.facts.get(SPAN) for a in arrived if a.facts.get(PATTERN) == files.pattern]
            numbers = [span for span in spans if isinstance(span, int)]
            if numbers:
                found[files.parameter] = max(numbers)
    return found


def _day(text: object) -> str:
    try:
        return date.fromisoformat(text).isoformat() if isinstance(text, str) else ""
    except ValueError:
        return ""
