"""Conditions within conditions, of outputs, parameters and facts of the run."""

from __future__ import annotations

from tidemill import Else, When, not_, pipeline, run
from tidemill.testing.scenarios.parts import give, note


@pipeline
def nested_conditions(outer: bool = True, word: str = "yes") -> None:
    """What holds for the inner block holds for the outer one too."""
    number = give(value=4).outputs.result
    with When(outer):
        note(what="outer")
        with When((word == "yes") & (number >= 4)):
            note(what="both").with_id("both")
        with Else():
            note(what="outer only").with_id("outer_only")
    with When(not_(outer) | (run.pipeline == "other")):
        note(what="neither").with_id("neither")
