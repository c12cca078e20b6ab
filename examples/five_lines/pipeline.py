"""A component of your own: five lines, and it stands in a pipeline beside all others.

tidemill run examples/five_lines/pipeline.py
"""

from __future__ import annotations

from tidemill import Input, JsonValue, component, pipeline


@component
def squares(count: int) -> list[int]:
    return [number * number for number in range(count)]


@component
def total(numbers: Input[JsonValue], *, at_least: int = 0) -> int:
    return sum(number for number in numbers.value if number >= at_least)


@pipeline
def five_lines(count: int = 10) -> None:
    """`count` is a runtime parameter: tidemill run ... --param count=20."""
    made = squares(count=count)
    total(numbers=made.outputs.result, at_least=5)
