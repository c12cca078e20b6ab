"""Inputs that take any number of artifacts."""

from __future__ import annotations

from collections.abc import Sequence

from tidemill import Examples, Input, Output, component, pipeline


@component
def read(examples: Output[Examples], *, part: int) -> None:
    """One part of the rows."""


@component
def merge(examples: Input[list[Examples]], merged: Output[Examples]) -> None:
    """All parts."""


@component
def count(examples: Input[Examples | list[Examples]], more: Input[Sequence[Examples]] | None = None) -> int:
    """Rows in all parts."""
    return len(examples) + len(more or ())


@pipeline
def lists_of_artifacts() -> None:
    parts = [read(part=i).with_id(f"read_{i}") for i in range(3)]
    merged = merge(examples=[part.outputs.examples for part in parts])
    count(examples=merged.outputs.merged).with_id("count_one")
    count(examples=[part.outputs.examples for part in parts], more=[]).with_id("count_all")
