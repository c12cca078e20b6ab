"""A pipeline in a pipeline."""

from __future__ import annotations

from typing import Any

from tidemill import pipeline
from tidemill.testing.scenarios.parts import add, give


@pipeline
def twice(number: Any, plus: int) -> Any:
    """Adds the same twice."""
    once = add(number, plus=plus).with_id("once").outputs.result
    return add(once, plus=plus).with_id("again").outputs.result


@pipeline
def sub_pipeline() -> None:
    """The same one twice, under two names."""
    number = twice(give(value=1).outputs.result, plus=2)
    twice.with_id("more")(number, plus=30)
