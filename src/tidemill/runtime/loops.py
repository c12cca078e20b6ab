"""Positions in loops: which iteration of which loops a node is launched for, as one number.

A node in loops has a path, its position in each of them, outermost first. The number counts paths as a
clock counts seconds: position in the outermost loop, times the next loop's limit, plus the position in
that one, and so on. So every runner gets the same number without asking, and the record's column for it
fits every database.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tidemill.errors import RunnerError
from tidemill.ir.model import NodeIR, PipelineIR
from tidemill.metadata.model import NodeRecord

MOST = 2**31 - 1
"""The largest number the record takes."""

Path = tuple[int, ...]


def limits(pipeline: PipelineIR, loops: Sequence[str]) -> tuple[int, ...]:
    """How many iterations each of these loops may have."""
    found = []
    for loop_id in loops:
        loop = pipeline.node(loop_id).loop
        assert loop is not None, f"{loop_id} is not a loop"
        found.append(loop.limit)
    return tuple(found)


def number(path: Sequence[int], limits: Sequence[int]) -> int:
    """The number of a path; 0 for a node in no loop. RunnerError when it does not fit the record."""
    found = 0
    for position, limit in zip(path, limits, strict=True):
        found = found * limit + position
    if found > MOST:
        raise RunnerError(
            f"iteration {list(path)} of loops with limits {list(limits)} is beyond what the record counts",
            hint="give the inner loops a smaller limit: ForEach(items, limit=...)",
        )
    return found


def path(iteration: int, limits: Sequence[int]) -> Path:
    """Inverse of `number`."""
    found: list[int] = []
    for limit in reversed(limits[1:]):
        iteration, position = divmod(iteration, limit)
        found.append(position)
    return (*([iteration] if limits else []), *reversed(found))


def shared(node: NodeIR, other: NodeIR) -> int:
    """How many loops, from the outermost on, are around both."""
    pairs = zip(node.loops, other.loops, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(node.loops), len(other.loops)))


def place(pipeline: PipelineIR, node_id: str, iteration: int) -> str:
    """A node as people read it: `train`, or `train[2]` and `train[2,0]` in loops."""
    loops = pipeline.node(node_id).loops
    if not loops:
        return node_id
    return f"{node_id}[{','.join(map(str, path(iteration, limits(pipeline, loops))))}]"


def by_place(ir: PipelineIR, records: Iterable[NodeRecord]) -> dict[str, NodeRecord]:
    """The nodes of a run by their place (`train`, `train[2]`), in the pipeline's order."""
    order = {node.id: i for i, node in enumerate(ir.nodes)}
    ordered = sorted(records, key=lambda n: (order.get(n.node_id, len(order)), n.iteration))
    return {place(ir, n.node_id, n.iteration): n for n in ordered}
