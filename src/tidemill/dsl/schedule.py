"""When a pipeline runs by itself. Data on the pipeline; runners act on it."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tidemill.dsl import arrival
from tidemill.dsl.arrival import Arrival

PRESETS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("weekday", 0, 7, _WEEKDAYS),
)
"""Name, least and greatest number, and names of the numbers from the least on."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """`Schedule("@daily", start="2024-01-01", timezone="Europe/Berlin")`.

    A run processes the interval that ended when it starts: at midnight, the previous day. Its date
    is the start of that interval. `Schedule(on=OnFiles(...))` starts a run when data arrives, and
    `Schedule("@daily", on=...)` at whichever comes first; see tidemill.dsl.arrival. Engines keep schedules:
    Airflow all of this, Kubeflow Pipelines cron. On this machine none is kept; a run starts when told to.
    """

    cron: str = ""
    """Five cron fields, or @hourly, @daily, @weekly, @monthly, @yearly; empty: only when data arrives."""
    start: date | str | None = None
    """First date to process."""
    timezone: str = "UTC"
    catch_up: bool = False
    """Whether dates, and spans of files, missed since `start` are run too."""
    on: Arrival | None = None
    """Data that starts a run when it arrives."""
    deadline: float = 0.0
    """Seconds after the end of its interval by which a run must be complete, or after it was asked for where
    it has no interval; 0: no deadline. An engine tells of runs that are late; it does not end them."""


def problems_of(schedule: Schedule, parameters: Collection[str] = ()) -> list[str]:
    """What is wrong with a schedule, as sentences. `parameters`: runtime parameters of the pipeline."""
    given: object = schedule
    if isinstance(given, Arrival):
        return [f"the schedule is a bare {type(given).__name__}; write schedule=Schedule(on=...)"]
    if not isinstance(given, Schedule):
        meant = repr(given) if isinstance(given, str) else "..."
        return [f"the schedule is {given!r}; write schedule=Schedule({meant})"]
    found = []
    late: object = schedule.deadline
    if isinstance(late, bool) or not isinstance(late, int | float) or not 0 <= late < math.inf:
        found.append(f"schedule deadline is {late!r}; write seconds after the end of a run's interval")
    if schedule.on is not None:
        found.extend(f"schedule: {what}" for what in arrival.problems_of(schedule.on, parameters))
    if not schedule.cron:
        if schedule.on is None:
            found.append("the schedule says neither when nor on what; write a cron expression or on=...")
    elif schedule.cron.startswith("@"):
        if schedule.cron not in PRESETS:
            found.append(f"schedule {schedule.cron!r} is unknown; use {', '.join(PRESETS)}")
    elif len(schedule.cron.split()) != 5:
        found.append(f"schedule {schedule.cron!r} needs five fields: minute hour day month weekday")
    else:
        for text, (name, least, most, names) in zip(schedule.cron.split(), _FIELDS, strict=True):
            if not _is_field(text, least, most, names):
                numbers = f"numbers from {least} to {most}"
                found.append(f"schedule {schedule.cron!r}: {name} {text!r} is wrong; use * or {numbers}")
    try:
        ZoneInfo(schedule.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        found.append(f"time zone {schedule.timezone!r} is unknown; use a name such as Europe/Berlin")
    if isinstance(schedule.start, str):
        try:
            date.fromisoformat(schedule.start)
        except ValueError:
            found.append(f"schedule start {schedule.start!r} is not a date; write YYYY-MM-DD")
    return found


def _is_field(text: str, least: int, most: int, names: tuple[str, ...]) -> bool:
    """Whether `text` is a cron field: `*`, `5`, `1-5`, `*/15`, `mon-fri`, or several with commas."""
    for part in text.split(","):
        match = re.fullmatch(r"(?:\*|(\w+)(?:-(\w+))?)(?:/([1-9]\d*))?", part)
        if match is None:
            return False
        ends = [_number(word, least, names) for word in match.groups()[:2] if word is not None]
        if not all(least <= end <= most for end in ends) or ends != sorted(ends):
            return False
    return True


def _number(word: str, least: int, names: tuple[str, ...]) -> int:
    """The number that a word of a cron field stands for; -1 for none."""
    if word.lower() in names:
        return least + names.index(word.lower())
    return int(word) if word.isascii() and word.isdigit() else -1
