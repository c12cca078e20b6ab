"""What needed several attempts once is reused like anything else, and is not attempted again."""

from __future__ import annotations

from tidemill import pipeline
from tidemill.testing.scenarios.parts import add, fail_first


@pipeline
def retry_then_cached(folder: str, plus: int = 1) -> None:
    """The second run has the first one's number without an attempt; what follows it is new."""
    number = fail_first(folder=folder, times=1).with_options(retries=1, backoff=0.01).outputs.result
    add(number, plus=plus)
