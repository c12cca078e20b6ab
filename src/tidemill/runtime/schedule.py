"""The dates of a schedule: on which days an interval starts. Hours and minutes are for who starts runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from tidemill.ir.model import ScheduleIR

_PRESETS = {
    "@hourly": "* * *", "@daily": "* * *", "@weekly": "* * 0", "@monthly": "1 * *", "@yearly": "1 1 *",
}  # fmt: skip
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def dates_of(schedule: ScheduleIR | None, first: date, last: date) -> list[str]:
    """Every date from `first` to `last` on which an interval starts, ISO 8601, oldest first.

    Without a schedule, or one that only waits for data, that is every day. As cron has it, day and weekday
    are joined with or when neither is `*`. Nothing lies before the schedule's own start.
    """
    fields = _fields(schedule)
    if schedule is not None and schedule.start:
        first = max(first, date.fromisoformat(schedule.start))
    return [day.isoformat() for day in _days(first, last) if _matches(fields, day)]


def _fields(schedule: ScheduleIR | None) -> tuple[str, str, str]:
    cron = schedule.cron if schedule and schedule.cron else "@daily"
    day, month, weekday = _PRESETS[cron].split() if cron in _PRESETS else cron.split()[2:]
    return day, month, weekday


def _days(first: date, last: date) -> Iterator[date]:
    day = first
    while day <= last:
        yield day
        day += timedelta(days=1)


def _matches(fields: tuple[str, str, str], day: date) -> bool:
    days, months, weekdays = fields
    if day.month not in _numbers(months, 1, 12, _MONTHS):
        return False
    on_day = day.day in _numbers(days, 1, 31, ())
    on_weekday = day.isoweekday() % 7 in {n % 7 for n in _numbers(weekdays, 0, 7, _WEEKDAYS)}
    if days.startswith("*") or weekdays.startswith("*"):
        return on_day and on_weekday
    return on_day or on_weekday


def _numbers(text: str, least: int, most: int, names: tuple[str, ...]) -> set[int]:
    """The numbers of a cron field, which the definition language has checked."""
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        if span == "*":
            start, end = least, most
        else:
            begin, _, finish = span.partition("-")
            start = _number(begin, least, names)
            end = _number(finish, least, names) if finish else (most if step else start)
        found.update(range(start, end + 1, int(step or 1)))
    return found


def _number(word: str, least: int, names: tuple[str, ...]) -> int:
    return least + names.index(word.lower()) if word.lower() in names else int(word)
