"""Branches, and a join that takes what there is."""

from __future__ import annotations

from tidemill import Else, ElseWhen, When, one_of, pipeline
from tidemill.testing.scenarios.parts import add, give, note


@pipeline
def condition(value: int = 5) -> None:
    """One of three branches runs; the join takes its output."""
    number = give(value=value).outputs.result
    with When(number > 10):
        big = add(number, plus=1000).with_id("big")
    with ElseWhen(number > 3):
        middle = add(number, plus=100).with_id("middle")
    with Else():
        small = add(number, plus=10).with_id("small")
    add(one_of(big.outputs.result, middle.outputs.result, small.outputs.result)).with_id("join")
    note(what="big", facts=one_of(big.outputs.result, -1))
