"""A node that waits for somebody to decide."""

from __future__ import annotations

from tidemill import approval, pipeline
from tidemill.testing.scenarios.parts import add, give


@pipeline
def gates(value: int = 1) -> None:
    """One number passes the gate, and the other one never stood before it."""
    given = give(value=value)
    number = given.outputs.result
    gate = approval(message="Is it a good number?").with_id("gate")
    given >> gate >> add(number, plus=1).with_id("behind")
    add(number, plus=2).with_id("beside")
