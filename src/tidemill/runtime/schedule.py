"""The dates of a schedule: on which days an interval starts, and in which interval a moment lies."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from tidemill.ir.model import ScheduleIR

_PRESETS = {
    "@hourly": "* * *", "@daily": "* * *", "@weekly": "* * 0", "@monthly": "1 * *", "@yearly": "1 1 *",
}  # fmt: skip
_TIMES = {name: "0 *" if name == "@hourly" else "0 0" for name in _PRESETS}
"""At which minutes and hours the presets fire."""
_MOST_DAYS = 2 * 366
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


def interval_start(schedule: ScheduleIR, moment: datetime) -> datetime | None:
    """When the last interval began that was over at `moment`, in the schedule's own zone.

    A run that is started at the end of an interval has its start as its date. None when there was no such
    interval within two years: `0 0 30 2 *`. A moment without a zone is taken to be in the schedule's.
    """
    zone = ZoneInfo(schedule.timezone)
    local = (moment.astimezone(zone) if moment.tzinfo else moment).replace(tzinfo=None)
    ticks = _ticks_before(schedule, local)
    end = next(ticks, None)
    start = next(ticks, None) if end is not None else None
    return None if start is None else start.replace(tzinfo=zone)


def _ticks_before(schedule: ScheduleIR, moment: datetime) -> Iterator[datetime]:
    """When a run is due, at `moment` or earlier, newest first, by the clock on the wall."""
    minute, hour = (_TIMES.get(schedule.cron) or schedule.cron).split()[:2]
    minutes, hours = _numbers(minute, 0, 59, ()), _numbers(hour, 0, 23, ())
    fields = _fields(schedule)
    for back in range(_MOST_DAYS):
        day = moment.date() - timedelta(days=back)
        if not _matches(fields, day):
            continue
        for h in sorted(hours, reverse=True):
            for m in sorted(minutes, reverse=True):
                tick = datetime(day.year, day.month, day.day, h, m)
                if tick <= moment:
                    yield tick


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
