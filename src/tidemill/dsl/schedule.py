"""When a pipeline runs by itself. Data on the pipeline; runners act on it."""

from __future__ import annotations

import re
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
