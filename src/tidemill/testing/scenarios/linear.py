"""One node after another."""

from __future__ import annotations

from tidemill import pipeline
from tidemill.testing.scenarios.parts import add, give


@pipeline
def linear(start: int = 1) -> None:
    """A chain of data, and one of order alone."""
    first = give(value=start)
    second = add(first.outputs.result, plus=1)
    third = add(second.outputs.result, plus=1).with_id("third")
    third >> give(value=7).with_id("last")
