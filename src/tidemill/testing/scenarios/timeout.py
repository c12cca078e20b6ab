"""A node that takes too long, with a node beside it and an exit node that is told of it."""

from __future__ import annotations

from tidemill import on_exit, pipeline, run
from tidemill.testing.scenarios.parts import add, give, hold, note


@pipeline
def timeout() -> None:
    """It is ended, what needs it does not start, the exit node knows its name."""
    number = give(value=1)
    held = hold(value=number.outputs.result).with_options(isolation="process", timeout=1.5)
    add(held.outputs.result).with_id("never")
    add(number.outputs.result, plus=1).with_id("beside")
    on_exit(note(what=run.state).with_id("tell"))
