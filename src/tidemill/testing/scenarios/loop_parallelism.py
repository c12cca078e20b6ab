"""A loop whose iterations must not run at the same time."""

from __future__ import annotations

from tidemill import ForEach, collect, pipeline
from tidemill.testing.scenarios.parts import alone, total


@pipeline
def loop_parallelism(folder: str) -> None:
    """Each call fails when it meets another one."""
    with ForEach([1, 2, 3, 4], parallelism=1, name="one_by_one") as item:
        number = alone(folder=folder, value=item).outputs.result
    total(collect(number))
