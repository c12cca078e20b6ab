"""A loop over a list that stands in the definition."""

from __future__ import annotations

from typing import Any

from tidemill import ForEach, When, collect, pipeline
from tidemill.testing.scenarios.parts import add, give, note, total

SIZES: list[Any] = [{"name": "s", "size": 1}, {"name": "m", "size": 5}, {"name": "l", "size": 9}]


@pipeline
def loop_literal() -> None:
    """Parts of an item; a condition inside; what is collected leaves out what was skipped."""
    base = give(value=100).with_id("base").outputs.result
    with ForEach(SIZES) as size:
        note(what=size["name"]).with_id("named")
        number = add(base, plus=size["size"]).with_id("sized").outputs.result
        with When(number > 103):
            large = add(number, plus=1000).with_id("large").outputs.result
    total(collect(number)).with_id("all_sizes")
    total(collect(large)).with_id("large_ones")
    note(what="values", facts=collect(number)).with_id("values")
