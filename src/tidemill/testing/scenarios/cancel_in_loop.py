"""A cancel while an iteration is under way: those that ended stay, those that wait never start."""

from __future__ import annotations

from tidemill import ForEach, collect, on_exit, pipeline, run
from tidemill.testing.scenarios.parts import add, hold, note, total


@pipeline
def cancel_in_loop() -> None:
    """One iteration that never ends, what needs it, and an exit node."""
    with ForEach([7], name="each") as item:
        held = hold(value=item).with_options(isolation="process")
        more = add(held.outputs.result).with_id("more")
    total(collect(more.outputs.result)).with_id("needs_all")
    on_exit(note(what=run.state).with_id("tell"))
