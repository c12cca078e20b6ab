"""The items of a loop, from what its own node was resolved to."""

from __future__ import annotations

import json
from typing import Any

from tidemill.errors import ResolutionError
from tidemill.ir.model import NodeIR
from tidemill.runtime.resolve import Resolved


def loop_items(node: NodeIR, resolved: Resolved) -> list[Any]:
    """Values, or ids of artifacts. ResolutionError when there are too many, or none can be told."""
    assert node.loop is not None
    if node.inputs:
        items: Any = [artifact.id for artifact in resolved.inputs["items"]]
    else:
        items = resolved.parameters["items"]
    if not isinstance(items, list):
        raise ResolutionError(
            f"a loop needs a list, got {type(items).__name__}: {json.dumps(items)[:200]}",
            where=node.id,
            hint="let the node before it return a list",
        )
    if len(items) > node.loop.limit:
        raise ResolutionError(
            f"{len(items)} items, more than the loop's limit of {node.loop.limit}",
            where=node.id,
            hint=f"write ForEach(items, limit={len(items)}), or loop over batches of them",
        )
    return items
