"""Order without data: `>>` between nodes and lists of nodes."""

from __future__ import annotations

from tidemill import Examples, Input, Output, component, pipeline


@component
def read(examples: Output[Examples]) -> None:
    """Rows."""


@component
def check(examples: Input[Examples]) -> None:
    """Fails when the rows are bad."""


@component
def tell() -> None:
    """Tells somebody."""


@pipeline
def order_only() -> None:
    last = tell().with_id("last")
    rows = read()
    checks = [check(examples=rows.outputs.examples).with_id(f"check_{i}") for i in range(2)]
    first = tell().with_id("first")
    first >> rows >> checks >> tell().with_id("between") >> last
    rows >> last  # follows already, and is said again
