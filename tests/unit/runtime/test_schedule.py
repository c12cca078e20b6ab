"""The dates of a schedule."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from tidemill.ir.model import ScheduleIR
from tidemill.runtime.schedule import dates_of

FIRST, LAST = date(2024, 1, 1), date(2024, 12, 31)
EVERY = [FIRST + timedelta(days=i) for i in range(366)]


@pytest.mark.parametrize(
    ("cron", "holds"),
    [
        ("@hourly", lambda d: True),
        ("@daily", lambda d: True),
        ("15 3 * * *", lambda d: True),
        ("@weekly", lambda d: d.isoweekday() == 7),
        ("0 0 * * 7", lambda d: d.isoweekday() == 7),
        ("0 0 * * mon-fri", lambda d: d.isoweekday() <= 5),
        ("0 0 * * 1,3", lambda d: d.isoweekday() in (1, 3)),
        ("@monthly", lambda d: d.day == 1),
        ("@yearly", lambda d: (d.day, d.month) == (1, 1)),
        ("0 0 1 */3 *", lambda d: d.day == 1 and d.month in (1, 4, 7, 10)),
        ("0 0 10-12 FEB *", lambda d: d.month == 2 and 10 <= d.day <= 12),
        ("0 0 */10 * *", lambda d: d.day in (1, 11, 21, 31)),
        ("0 0 5/10 * *", lambda d: d.day in (5, 15, 25)),
        ("0 0 13 * fri", lambda d: d.day == 13 or d.isoweekday() == 5),
        ("0 0 31 * *", lambda d: d.day == 31),
    ],
)
def test_days_on_which_an_interval_starts(cron: str, holds) -> None:
    expected = [d.isoformat() for d in EVERY if holds(d)]
    assert dates_of(ScheduleIR(cron=cron), FIRST, LAST) == expected
    assert expected


def test_without_a_schedule_every_day_counts() -> None:
    assert dates_of(None, date(2024, 2, 28), date(2024, 3, 1)) == ["2024-02-28", "2024-02-29", "2024-03-01"]
    assert dates_of(None, date(2024, 2, 2), date(2024, 2, 1)) == []


def test_nothing_lies_before_the_start() -> None:
    schedule = ScheduleIR(cron="@daily", start="2024-12-30")
    assert dates_of(schedule, FIRST, LAST) == ["2024-12-30", "2024-12-31"]
