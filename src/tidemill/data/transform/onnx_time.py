"""Operations on timestamps in ONNX: whole-number arithmetic on microseconds since 1970-01-01 UTC.

Dates come from days by the shift to years that begin in March (Hinnant, "chrono-compatible low-level date
algorithms"), in which only the last month has an odd length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tidemill.data.transform.onnx_build import Builder, Col
from tidemill.data.transform.ops_time import DAY, FIRST_SECOND, HOUR, LAST_SECOND, MINUTE, SECOND

Operator = Callable[[Builder, list[Col], Mapping[str, Any]], Col]


class _Ints:
    """A tensor of ints with Python's operators; `//` and `%` round down, as in Python."""

    def __init__(self, b: Builder, name: str) -> None:
        self.b, self.name = b, name

    def _with(self, kind: str, other: _Ints | int) -> _Ints:
        right = other.name if isinstance(other, _Ints) else self.b.const(other, "int")
        return _Ints(self.b, self.b.op(kind, self.name, right))

    def __add__(self, other: _Ints | int) -> _Ints:
        return self._with("Add", other)

    def __sub__(self, other: _Ints | int) -> _Ints:
        return self._with("Sub", other)

    def __mul__(self, other: int) -> _Ints:
        return self._with("Mul", other)

    def __mod__(self, other: int) -> _Ints:
        return self._with("Mod", other)

    def __floordiv__(self, other: int) -> _Ints:
        return (self - self % other)._with("Div", other)

    def at_least(self, other: int) -> _Ints:
        """1 where it is at least `other`, else 0."""
        found = self.b.op("GreaterOrEqual", self.name, self.b.const(other, "int"))
        return _Ints(self.b, self.b.op("Where", found, self.b.const(1, "int"), self.b.const(0, "int")))


def _civil(days: _Ints) -> tuple[_Ints, _Ints, _Ints]:
    """Year, month and day of days since 1970-01-01."""
    shifted = days + 719_468
    era, of_era = shifted // 146_097, shifted % 146_097
    years = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (years * 365 + years // 4 - years // 100)
    shifted_month = (of_year * 5 + 2) // 153
    day = of_year - (shifted_month * 153 + 2) // 5 + 1
    month = shifted_month + 3 - shifted_month.at_least(10) * 12
    year = years + era * 400 + shifted_month.at_least(10)
    return year, month, day


def _day_of_year(x: _Ints) -> _Ints:
    """Days since the first of January of the year: 365 per year before, and the leap days."""
    days = x // DAY
    before = _civil(days)[0] - 1
    first = before * 365 + before // 4 - before // 100 + before // 400 - 719_162
    return days - first + 1


def _time(function: Callable[[_Ints], _Ints]) -> Operator:
    return lambda b, x, _: Col(function(_Ints(b, x[0].data)).name)


def _from_unix(b: Builder, x: list[Col], _p: Mapping[str, Any]) -> Col:
    fits = b.op(
        "And",
        b.op("GreaterOrEqual", x[0].data, b.const(FIRST_SECOND, "int")),
        b.op("LessOrEqual", x[0].data, b.const(LAST_SECOND, "int")),
    )
    return Col(b.op("Mul", b.op("Where", fits, x[0].data, b.const(0, "int")), b.const(SECOND, "int")), fits)


OPERATORS: dict[str, Operator | str] = {
    "from_unix": _from_unix,
    "to_unix": _time(lambda x: x // SECOND),
    "year": _time(lambda x: _civil(x // DAY)[0]),
    "month": _time(lambda x: _civil(x // DAY)[1]),
    "day": _time(lambda x: _civil(x // DAY)[2]),
    "day_of_year": _time(_day_of_year),
    "weekday": _time(lambda x: (x // DAY + 3) % 7 + 1),
    "hour": _time(lambda x: x // HOUR % 24),
    "minute": _time(lambda x: x // MINUTE % 60),
    "second": _time(lambda x: x // SECOND % 60),
}
