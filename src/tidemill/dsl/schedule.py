"""When a pipeline runs by itself. Data on the pipeline; runners act on it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

PRESETS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}


@dataclass(frozen=True, slots=True)
class Schedule:
    """`Schedule("@daily", start="2024-01-01", timezone="Europe/Berlin")`.

    A run processes the interval that ended when it starts: at midnight, the previous day. Its date
    is the start of that interval.
    """

    cron: str
    """Five cron fields, or @hourly, @daily, @weekly, @monthly, @yearly."""
    start: date | str | None = None
    """First date to process."""
    timezone: str = "UTC"
    catch_up: bool = False
    """Whether dates missed since `start` are run too."""


def problems_of(schedule: Schedule) -> list[str]:
    """What is wrong with a schedule, as sentences."""
    found = []
    if schedule.cron.startswith("@"):
        if schedule.cron not in PRESETS:
            found.append(f"schedule {schedule.cron!r} is unknown; use {', '.join(PRESETS)}")
    elif len(schedule.cron.split()) != 5:
        found.append(f"schedule {schedule.cron!r} needs five fields: minute hour day month weekday")
    try:
        ZoneInfo(schedule.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        found.append(f"time zone {schedule.timezone!r} is unknown; use a name such as Europe/Berlin")
    if isinstance(schedule.start, str):
        try:
            date.fromisoformat(schedule.start)
        except ValueError:
            found.append(f"schedule start {schedule.start!r} is not a date; write YYYY-MM-DD")
    return found
