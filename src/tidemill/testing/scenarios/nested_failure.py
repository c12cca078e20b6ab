"""A failure in a loop inside a loop: what it blocks in its own iterations, and what it does not elsewhere."""

from __future__ import annotations

from tidemill import ForEach, collect, on_exit, pipeline, run
from tidemill.testing.scenarios.parts import add, give, list_of, note, refuse, total


@pipeline
def nested_failure() -> None:
    """The row of the failed leaf is blocked, the other rows are made, what needs all rows is blocked."""
    with ForEach([1, 0, 2], name="outer") as count:
        items = list_of(count=count, start=count).outputs.result
        with ForEach(items, name="inner", limit=10) as item:
            leaf = refuse(value=item, bad=3).with_id("leaf").outputs.result
            add(leaf, plus=1).with_id("more")
        total(collect(leaf)).with_id("row")
        beside = give(value=count).with_id("beside").outputs.result
    total(collect(beside)).with_id("of_beside")
    total(collect(leaf)).with_id("of_leaves")
    on_exit(note(what=run.state).with_id("tell"))
