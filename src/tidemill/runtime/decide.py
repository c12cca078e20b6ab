"""Whether a node runs: the trigger rule, skipped nodes before it, its condition.

The launcher asks this once it owns the node, on every runner alike. Who calls it too early is told so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from tidemill.errors import ResolutionError
from tidemill.ir import model as ir
from tidemill.metadata.model import NodeState, Run, RunState
from tidemill.metadata.store import MetadataStore
from tidemill.runtime.upstream import Upstream

_DONE = (NodeState.COMPLETE, NodeState.CACHED)


class Skip(Exception):
    """The node is to be skipped; the message says why."""


def check_trigger(node: ir.NodeIR, upstream: Upstream) -> None:
    """Go on, or Skip. ResolutionError when a node before this one has to succeed first and did not."""
    if node.on_exit or node.trigger == "all_done":
        return
    states = {u: upstream.states(u) for u in node.upstream()}
    if node.trigger == "one_success":
        if states and not any(state in _DONE for found in states.values() for state in found):
            raise Skip(f"none of {', '.join(states)} succeeded")
        return
    for node_id, found in states.items():
        for state in found:
            if state is None or not state.succeeded:
                raise ResolutionError(
                    f"node {node_id!r} must succeed first; it is {state or 'not started'}", where=node.id
                )
    needed = set(_needed(node))
    for node_id, found in states.items():
        if node_id in needed and found and all(s is NodeState.SKIPPED for s in found):
            raise Skip(f"{node_id} was skipped")


def exit_facts(store: MetadataStore, run: Run, state: str) -> dict[str, str]:
    """What an exit node may ask of its run: how it ends, and what failed in it."""
    failed = [
        {"node": r.node_id, "iteration": r.iteration, "message": r.message}
        for r in store.get_nodes(run.id)
        if r.state is NodeState.FAILED
    ]
    ends = state or (RunState.FAILED if failed else RunState.COMPLETE).value
    return {"state": ends, "failures": json.dumps(failed)}


def _needed(node: ir.NodeIR) -> Iterator[str]:
    """Nodes that this one cannot do without."""
    yield from node.after
    yield from node.loops[-1:]
    if node.when is not None:
        yield from _needed_by_value(node.when)
    for value in node.parameters.values():
        yield from _needed_by_value(value)
    for inp in node.inputs:
        for source in inp.sources:
            if not inp.optional and not isinstance(source, ir.FirstOf):
                yield from ir.nodes_of(source)


def _needed_by_value(value: ir.Value) -> Iterator[str]:
    match value:
        case ir.FirstValue():
            return
        case ir.Compare(left=left, right=right):
            yield from _needed_by_value(left)
            yield from _needed_by_value(right)
        case ir.Not(part=part):
            yield from _needed_by_value(part)
        case ir.Concat(parts=parts) | ir.Array(items=parts) | ir.AllOf(parts=parts) | ir.AnyOf(parts=parts):
            for part in parts:
                yield from _needed_by_value(part)
        case ir.Object(items=items):
            for item in items.values():
                yield from _needed_by_value(item)
        case _:
            yield from ir.nodes_in(value)
