"""What a skipped node does to those after it."""

from __future__ import annotations

from tidemill import ForEach, When, collect, one_of, pipeline
from tidemill.testing.scenarios.parts import add, give, list_of, note, seen, total


@pipeline
def skips(wanted: bool = False) -> None:
    """Those that need its output are skipped in turn; those that can do without it run."""
    number = give(value=1).outputs.result
    with When(wanted):
        left_out = add(number).with_id("left_out")
        items = list_of(count=2)
    add(left_out.outputs.result).with_id("needs_it") >> note(what="later").with_id("after_it")
    seen(left_out.outputs.result).with_id("can_do_without")
    add(one_of(left_out.outputs.result, number)).with_id("takes_one_of")
    with ForEach(items.outputs.result, name="never") as item:
        inside = give(value=item).with_id("inside")
    total(collect(inside.outputs.result)).with_id("collects")
