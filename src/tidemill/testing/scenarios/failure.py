"""A node that fails, and what that blocks."""

from __future__ import annotations

from tidemill import pipeline
from tidemill.testing.scenarios.parts import add, give, refuse


@pipeline
def failure(value: int = 1) -> None:
    """What needs the failed node does not start; what does not need it runs."""
    number = refuse(value=value, bad=1).outputs.result
    after = add(number, plus=1).outputs.result
    add(after, plus=1).with_id("further")
    give(value=2) >> give(value=3).with_id("beside")
