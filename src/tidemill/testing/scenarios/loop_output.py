"""A loop over a list that another node made."""

from __future__ import annotations

from tidemill import ForEach, collect, pipeline
from tidemill.testing.scenarios.parts import add, give, list_of, total


@pipeline
def loop_output(count: int = 3) -> None:
    """As many iterations as there are items in the list, none among them."""
    items = list_of(count=count, start=10).outputs.result
    with ForEach(items, name="each") as item:
        first = give(value=item).outputs.result
        second = add(first, plus=1).outputs.result
    total(collect(second))
