"""Loops in loops."""

from __future__ import annotations

from tidemill import ForEach, collect, pipeline
from tidemill.testing.scenarios.parts import add, give, list_of, total


@pipeline
def nested_loops() -> None:
    """The inner loop's items come from the outer one's iteration; one of them has none."""
    with ForEach([2, 0, 1], name="outer") as count:
        base = give(value=count).with_id("base").outputs.result
        items = list_of(count=count, start=5).outputs.result
        with ForEach(items, name="inner", limit=10) as item:
            leaf = add(base, plus=item).with_id("leaf").outputs.result
        row = total(collect(leaf)).with_id("row").outputs.result
    total(collect(row)).with_id("of_rows")
    total(collect(leaf)).with_id("of_leaves")
