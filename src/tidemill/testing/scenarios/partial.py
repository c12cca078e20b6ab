"""A part of a pipeline; what is not run has the results of an earlier run."""

from __future__ import annotations

from tidemill import pipeline
from tidemill.testing.scenarios.parts import add, give


@pipeline
def partial(plus: int = 1) -> None:
    """Two chains that meet."""
    left = give(value=1).with_id("left")
    right = add(give(value=10).with_id("far_right").outputs.result, plus=plus).with_id("right")
    both = add(left.outputs.result, right.outputs.result).with_id("both")
    add(both.outputs.result, plus=plus).with_id("last")
