"""What did not change is not done again."""

from __future__ import annotations

from tidemill import pipeline
from tidemill.testing.scenarios.parts import add, give, note


@pipeline
def cache(value: int = 1) -> None:
    """A node that must always run stands among those that may be reused."""
    number = give(value=value).outputs.result
    more = add(number, plus=1).outputs.result
    add(more, plus=1).with_id("further")
    note(what="always").with_options(cache=False)
