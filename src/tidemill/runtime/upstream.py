"""What became of the nodes before one: their states, their outputs, the items of the loops around it.

`Upstream` reads them from the record, for one node in one iteration, with a fixed number of questions
to the store. It judges nothing; that is decide.py's affair.
"""

from __future__ import annotations

import copy
import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from tidemill.errors import ResolutionError
from tidemill.ir import model as ir
from tidemill.metadata.model import Artifact, ExecutionState, NodeRecord, NodeState, Run
from tidemill.metadata.store import MetadataStore
from tidemill.runtime import loops

ITEMS = "tidemill.items"
"""Custom property of a loop's execution: its items as a JSON list; for artifacts their ids."""


class Before(Protocol):
    """The nodes before one, as a Resolver asks for them."""

    def exists(self, node_id: str) -> bool:
        """Whether the node has outputs: it succeeded, and was not skipped."""

    def outputs(self, node_id: str) -> Mapping[str, list[Artifact]]:
        """Outputs of the node, in the iteration that goes with this one."""

    def collected(self, node_id: str, output: str) -> list[Artifact]:
        """An output in all iterations that were not skipped, in order."""

    def item(self, loop_id: str) -> Any:
        """This iteration's item of a loop; for a loop over artifacts, the artifact's id."""


class Upstream:
    """`Before`, from the record of a run."""

    def __init__(
        self, store: MetadataStore, pipeline: ir.PipelineIR, run: Run, node: ir.NodeIR, iteration: int
    ) -> None:
        self.store = store
        self.pipeline = pipeline
        self.run = run
        self.node = node
        self.path = loops.path(iteration, loops.limits(pipeline, node.loops))
        wanted = [*dict.fromkeys(key for u in node.upstream() for key in self._keys(u))]
        records = store.get_nodes(run.id, wanted) if wanted else []
        self.records = {(r.node_id, r.iteration): r for r in records}
        self._outputs: dict[int, Mapping[str, list[Artifact]]] | None = None
        self._items: dict[tuple[str, int], list[Any]] = {}

    # --- states -------------------------------------------------------------------------------------

    def states(self, node_id: str) -> list[NodeState | None]:
        """States of a node before this one, in all iterations that this one waits for; None for those
        that did not start. A node in a loop that was skipped is SKIPPED, whatever the loop's items."""
        return [record.state if record else None for record in self._waited_for(node_id)]

    def _waited_for(self, node_id: str) -> Iterator[NodeRecord | None]:
        other = self.pipeline.node(node_id)
        common = loops.shared(self.node, other)
        yield from self._below(other, self.path[:common])

    def _below(self, other: ir.NodeIR, path: loops.Path) -> Iterator[NodeRecord | None]:
        """Records of `other` in every iteration whose path starts with this one; those of a loop's own
        node where the loop has no items to iterate over because it did not succeed."""
        if len(path) == len(other.loops):
            yield self._record(other.id, path)
            return
        head = self._record(other.loops[len(path)], path)
        if head is None or head.state not in (NodeState.COMPLETE, NodeState.CACHED):
            yield head
            return
        for position in range(len(self._items_of(head))):
            yield from self._below(other, (*path, position))

    def _record(self, node_id: str, path: loops.Path) -> NodeRecord | None:
        limits = loops.limits(self.pipeline, self.pipeline.node(node_id).loops)
        return self.records.get((node_id, loops.number(path, limits)))

    def _keys(self, node_id: str) -> Iterator[tuple[str, int | None]]:
        """What to read about a node before this one: itself, and the loops around it alone."""
        other = self.pipeline.node(node_id)
        common = loops.shared(self.node, other)
        for depth, name in enumerate((*other.loops, other.id)):
            if depth >= common:
                around = other.loops[:depth]
                exact = depth == common
                limits = loops.limits(self.pipeline, around)
                yield name, loops.number(self.path[:common], limits) if exact else None

    # --- outputs and items --------------------------------------------------------------------------

    def exists(self, node_id: str) -> bool:
        """See Before."""
        return all(s in (NodeState.COMPLETE, NodeState.CACHED) for s in self.states(node_id))

    def outputs(self, node_id: str) -> Mapping[str, list[Artifact]]:
        """See Before."""
        (record,) = self._waited_for(node_id)
        return self._outputs_of(record)

    def collected(self, node_id: str, output: str) -> list[Artifact]:
        """See Before."""
        return [a for record in self._waited_for(node_id) for a in self._outputs_of(record).get(output, [])]

    def _outputs_of(self, record: NodeRecord | None) -> Mapping[str, list[Artifact]]:
        if self._outputs is None:
            done = (NodeState.COMPLETE, NodeState.CACHED)
            ids = [r.execution_id for r in self.records.values() if r.state in done]
            self._outputs = dict(self.store.get_outputs(ids)) if ids else {}
        return self._outputs.get(record.execution_id, {}) if record else {}

    def item(self, loop_id: str) -> Any:
        """See Before."""
        depth = self.node.loops.index(loop_id)
        head = self._record(loop_id, self.path[:depth])
        items = self._items_of(head) if head else []
        if self.path[depth] >= len(items):
            raise ResolutionError(
                f"loop {loop_id!r} has {len(items)} items, so there is no iteration {self.path[depth]}",
                where=self.node.id,
            )
        return copy.deepcopy(items[self.path[depth]])  # user code may change what it is given

    def _items_of(self, head: NodeRecord) -> list[Any]:
        key = (head.node_id, head.iteration)
        if key not in self._items:
            self._items[key] = items_of(self.store, [head.execution_id])[head.execution_id]
        return self._items[key]


def items_of(store: MetadataStore, execution_ids: Sequence[int]) -> dict[int, list[Any]]:
    """The items of loops, by the execution that found them."""
    with _lock:
        known = _known.setdefault(store, OrderedDict())
        found = {i: known[i] for i in execution_ids if i in known}
    for execution in store.get_executions_by_id([i for i in execution_ids if i not in found]):
        found[execution.id] = list(json.loads(str(execution.custom_properties.get(ITEMS, "[]"))))
        if execution.state in (ExecutionState.COMPLETE, ExecutionState.CACHED):
            with _lock:
                known[execution.id] = found[execution.id]
                while len(known) > _MOST_KNOWN:
                    known.popitem(last=False)
    return found


_lock = threading.Lock()
_known: WeakKeyDictionary[MetadataStore, OrderedDict[int, list[Any]]] = WeakKeyDictionary()
"""Items that were read before, by store: they never change again, and every iteration asks for them."""
_MOST_KNOWN = 16
