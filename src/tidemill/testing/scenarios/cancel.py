"""A run that is asked to end while a node of it is under way."""

from __future__ import annotations

from tidemill import on_exit, pipeline, run
from tidemill.testing.scenarios.parts import add, give, hold, note


@pipeline
def cancel() -> None:
    """What is complete stays, what runs is ended, what waits never starts, and exit nodes run."""
    number = give(value=1)
    # In a process of its own everywhere: a runner cannot end what runs inside itself.
    held = hold(value=number.outputs.result).with_options(isolation="process")
    add(held.outputs.result).with_id("never")
    on_exit(note(what=run.state).with_id("tell"))
