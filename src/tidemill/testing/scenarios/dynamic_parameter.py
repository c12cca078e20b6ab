"""A parameter whose value another node makes."""

from __future__ import annotations

from tidemill import pipeline
from tidemill.testing.scenarios.parts import give, list_of, note, read_day


@pipeline
def dynamic_parameter() -> None:
    """As a whole, within a list, within text, and as a property of an artifact."""
    count = give(value=2).outputs.result
    numbers = list_of(count=count).outputs.result
    day = read_day(day="tuesday", span=count).outputs.examples
    note(what=f"{count} of them", facts={"numbers": numbers, "span": day.span, "fixed": [1, count]})
