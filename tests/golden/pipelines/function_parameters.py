"""Functions as parameters: of this module, of another, of a class, and components."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from tidemill import component, pipeline


def scale(inputs: dict[str, Any]) -> dict[str, Any]:
    """Called by the executor."""
    return inputs


class Losses:
    """Functions may stand in classes."""

    @staticmethod
    def squared(a: float, b: float) -> float:
        """Called by the executor."""
        return (a - b) ** 2


@component
def apply(
    first: Callable[..., Any],
    second: Callable[..., Any] | None = None,
    *,
    more: Sequence[Callable[..., Any]] = (scale,),
) -> None:
    """Calls what it is given."""


@pipeline
def function_parameters() -> None:
    apply(scale)
    apply(Losses.squared, json.dumps, more=[scale, apply]).with_id("again")
