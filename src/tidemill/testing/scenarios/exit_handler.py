"""Nodes that run in the end, whatever became of the others."""

from __future__ import annotations

from tidemill import on_exit, pipeline, run
from tidemill.testing.scenarios.parts import add, note, refuse


@pipeline
def exit_handler(value: int = 1) -> None:
    """The exit node is told how the run ends and what failed."""
    number = refuse(value=value, bad=13).outputs.result
    add(number, plus=1)
    told = on_exit(note(what=run.state, facts=run.failures).with_id("tell"))
    told >> on_exit(note(what="cleaned up").with_id("clean_up"))
