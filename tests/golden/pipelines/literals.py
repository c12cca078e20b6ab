"""Values that could be misread on their way through JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tidemill import component, pipeline, run


@component
def take(
    *,
    awkward: Mapping[str, Any],
    numbers: Sequence[float],
    choice: Literal["a", "b", 1] = "a",
    nothing: int | None = None,
    grid: tuple[tuple[int, int], ...] = ((1, 2), (3, 4)),
) -> None:
    """Anything."""


@pipeline
def literals() -> None:
    take(
        awkward={"$run": "date", "$literal": {"$concat": []}},
        numbers=[1, 1.0, -0.0, 1e-7, 1e22, 12345678901234567890],
    )
    take(
        awkward={"$files": [run.date], "ключ": '🌊\n\t"\\', "empty": {}, "none": None, "no": False},
        numbers=(0.1 + 0.2,),
        choice=1,
    ).with_id("again")
