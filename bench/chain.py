"""The pipeline that bench/overhead.py times: ten nodes that do nothing, one after another."""

from __future__ import annotations

from typing import Any

from tidemill import Node, NodeOptions, component, pipeline

NODES = 10


@component
def nothing(step: int) -> None:
    """Do nothing."""


@pipeline(options=NodeOptions(cache=False))
def chain() -> None:
    """Ten nodes in a row, never cached."""
    before: Node[Any] | None = None
    for step in range(NODES):
        node = nothing(step=step).with_id(f"nothing_{step}")
        if before is not None:
            before >> node
        before = node
