"""A node that succeeds at its third attempt."""

from __future__ import annotations

from tidemill import pipeline
from tidemill.testing.scenarios.parts import add, fail_first


@pipeline
def retry(folder: str) -> None:
    """Every attempt is on record."""
    number = fail_first(folder=folder, times=2).with_options(retries=2, backoff=0.01).outputs.result
    add(number, plus=1)
