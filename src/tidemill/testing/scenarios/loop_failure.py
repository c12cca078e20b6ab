"""A loop of which one iteration fails."""

from __future__ import annotations

from tidemill import ForEach, collect, pipeline
from tidemill.testing.scenarios.parts import add, note, refuse, total


@pipeline
def loop_failure() -> None:
    """The others run to their ends; what needs all of them is blocked, what takes any end is not."""
    with ForEach([1, 2, 3], name="each") as item:
        refusing = refuse(value=item, bad=2)
        more = add(refusing.outputs.result, plus=10).with_id("more")
    total(collect(more.outputs.result)).with_id("needs_all")
    more >> note(what="whatever came of it").with_options(trigger="all_done").with_id("after_all")
    more >> note(what="one was enough").with_options(trigger="one_success").with_id("after_one")
