"""Runtime parameters of every kind, by their defaults and given: text that could be JSON stays text."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from tidemill import Allowed, pipeline
from tidemill.testing.scenarios.parts import note


@pipeline
def runtime_values(
    mode: Literal["fast", "5"] = "fast",
    name: str | None = None,
    days: list[int] = [1, 2],  # noqa: B006 - read once, when the pipeline is compiled
    rates: dict[str, float] = {"a": 0.5},  # noqa: B006
    most: Annotated[int, Allowed(minimum=1, maximum=9)] = 3,
    until: Annotated[str, Allowed(date=True)] = "2024-01-01",
    other: str | None = "null",
    anything: Any = "[1]",
) -> None:
    """Each value as the node was given it."""
    values = {"mode": mode, "name": name, "days": days, "rates": rates, "most": most, "until": until,
              "other": other, "anything": anything}  # fmt: skip
    note(what="given", facts=values)
