"""An input that may be left out."""

from __future__ import annotations

from tidemill import pipeline
from tidemill.testing.scenarios.parts import add, give


@pipeline
def optional_input() -> None:
    """The same component with its optional input and without."""
    number = give(value=2).outputs.result
    add(number).with_id("without")
    add(number, number).with_id("with_both")
