"""Two branches from one node, and back."""

from __future__ import annotations

from tidemill import pipeline
from tidemill.testing.scenarios.parts import add, give


@pipeline
def diamond() -> None:
    """Both branches are inputs of the last node."""
    top = give(value=5).with_id("top").outputs.result
    left = add(top, plus=10).with_id("left").outputs.result
    right = add(top, plus=20).with_id("right").outputs.result
    add(left, right).with_id("bottom")
