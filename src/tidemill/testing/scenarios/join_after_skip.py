"""A join of a branch that was skipped and one that failed, with exit nodes after all of it."""

from __future__ import annotations

from tidemill import Else, When, on_exit, one_of, pipeline, run
from tidemill.testing.scenarios.parts import add, give, note, refuse


@pipeline
def join_after_skip(value: int = 1, bad: int = 0) -> None:
    """Skipped is no failure, before a join and before the end; a failed branch is one."""
    number = give(value=value).outputs.result
    with When(number > 1):
        left = refuse(value=number, bad=bad).with_id("left").outputs.result
    with Else():
        right = add(number, plus=10).with_id("right").outputs.result
    add(one_of(left, right), plus=1).with_id("join")
    with When(number > 100):
        deep = give(value=100).with_id("deep")
    deep >> note(what="after a skipped node").with_id("after_deep")
    on_exit(note(what=run.state, facts=run.failures).with_id("tell"))
