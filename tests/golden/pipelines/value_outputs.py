"""Values that components return, as parameters of others."""

from __future__ import annotations

from typing import Any, TypedDict

from tidemill import Input, Integer, Model, Output, component, pipeline


class Found(TypedDict):
    """What `search` returns."""

    rate: float
    depth: int
    name: str
    exact: bool
    notes: dict[str, Any]


@component
def search() -> Found:
    """Good settings."""
    return {"rate": 0.1, "depth": 3, "name": "x", "exact": True, "notes": {}}


@component
def train(
    model: Output[Model], *, rate: float, depth: float, name: str | None, exact: bool, notes: dict[str, Any]
) -> float:
    """A model and its loss."""
    return rate


@component
def report(text: str, *, losses: list[float], by_name: dict[str, float]) -> None:
    """For people."""


@component
def take(count: Input[Integer]) -> None:
    """Value artifacts are artifacts too."""


@pipeline
def value_outputs() -> None:
    found = search().outputs
    loss = train(
        rate=found.rate, depth=found.depth, name=found["name"], exact=found.exact, notes=found.notes
    ).outputs.result
    report(f"loss: {loss}", losses=[0.5, loss], by_name={"new": loss, "old": 0.25})
    take(found.depth)
