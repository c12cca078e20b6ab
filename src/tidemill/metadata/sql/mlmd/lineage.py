"""The lineage query: which nodes lie around the starting ones, level by level.

One query per level and direction of step, until nothing is new, `max_num_hops` is reached, or the graph
would outgrow MOST_NODES. MLMD stops silently after 100 hops; here only the caller's number counts.
"""

from __future__ import annotations

from collections.abc import Iterable

from tidemill.metadata.lineage import INPUT_EVENTS, OUTPUT_EVENTS
from tidemill.metadata.sql.database import Row, Transaction
from tidemill.metadata.sql.mlmd import listing, reading, types
from tidemill.metadata.sql.mlmd.kinds import ARTIFACT, CONTEXT, EXECUTION, KINDS, Kind, Message
from tidemill.metadata.sql.mlmd.refusal import Refusal, Status, invalid, not_found

MOST_NODES = 1_000_000
"""Artifacts and executions of one answer; a larger graph is refused, never cut."""

_UPSTREAM, _DOWNSTREAM = 1, 2
"""Numbers of LineageSubgraphQueryOptions.Direction; the other two mean both ways."""


def fill_subgraph(tx: Transaction, options: Message, mask: Iterable[str], out: Message) -> None:
    """Fill a LineageGraph with ids of nodes, with events and links, as far as `mask` names them."""
    walk = _Walk(tx, options)
    walk.run()
    wanted = set(mask)
    ids = {ARTIFACT: sorted(walk.seen[ARTIFACT]), EXECUTION: sorted(walk.seen[EXECUTION])}
    for kind, found in ids.items():
        if kind.plural in wanted:
            for node_id in found:
                getattr(out, kind.plural).add(id=node_id)
    links = {kind: reading.links_of(tx, kind, found) for kind, found in ids.items()}
    if "contexts" in wanted:
        for context_id in sorted({c for pairs in links.values() for _, c in pairs}):
            out.contexts.add(id=context_id)
    if "events" in wanted:
        reading.fill_events(tx, walk.edges(), out.events)
    if "attributions" in wanted:
        for artifact_id, context_id in links[ARTIFACT]:
            out.attributions.add(artifact_id=artifact_id, context_id=context_id)
    if "associations" in wanted:
        for execution_id, context_id in links[EXECUTION]:
            out.associations.add(execution_id=execution_id, context_id=context_id)
    for kind in (*ids, CONTEXT):
        if f"{kind.name}_types" in wanted:
            types.fill_all_types(tx, kind, getattr(out, f"{kind.name}_types"))


class _Walk:
    """What was found so far: nodes, events, and the nodes at which the walk ends."""

    def __init__(self, tx: Transaction, options: Message) -> None:
        self.tx = tx
        self.options = options
        self.seen: dict[Kind, set[int]] = {kind: set() for kind in KINDS}
        self.ends: dict[Kind, set[int]] = {kind: set() for kind in KINDS}
        self.events: set[Row] = set()

    def edges(self) -> list[Row]:
        """The events between nodes of the graph: an ending node may be left out of it."""
        artifacts, executions = self.seen[ARTIFACT], self.seen[EXECUTION]
        return sorted(row for row in self.events if row[1] in artifacts and row[2] in executions)

    def run(self) -> None:
        """Walk from the starting nodes."""
        hops = self.options.max_num_hops if self.options.HasField("max_num_hops") else None
        if hops is not None and hops < 0:
            raise invalid(f"max_num_hops cannot be negative: max_num_hops = {hops}")
        kind, level = self._start()
        level = self._take(kind, level)
        while level and hops != 0:
            other = EXECUTION if kind is ARTIFACT else ARTIFACT
            level = self._take(other, self._neighbours(kind, level))
            kind = other
            hops = None if hops is None else hops - 1

    def _start(self) -> tuple[Kind, set[int]]:
        which = self.options.WhichOneof("starting_nodes")
        if which is None:
            raise invalid("Missing arguments for listing starting nodes.")
        kind = ARTIFACT if which == "starting_artifacts" else EXECUTION
        query = getattr(self.options, which).filter_query
        if not query:
            raise invalid("Cannot list starting nodes if `filter_query` is unspecified.")
        found = listing.matching(self.tx, kind, query)
        if not found:
            raise not_found("Cannot find qualified nodes to start the traversal.")
        return kind, found

    def _neighbours(self, kind: Kind, level: set[int]) -> set[int]:
        """Nodes one event away, in the direction asked for."""
        direction = self.options.direction
        if direction == _UPSTREAM:
            allowed = OUTPUT_EVENTS if kind is ARTIFACT else INPUT_EVENTS
        elif direction == _DOWNSTREAM:
            allowed = INPUT_EVENTS if kind is ARTIFACT else OUTPUT_EVENTS
        else:
            allowed = INPUT_EVENTS | OUTPUT_EVENTS
        rows = reading.events_at(self.tx, kind.owner, level)
        if direction in (_UPSTREAM, _DOWNSTREAM):
            rows = [row for row in rows if row[3] in allowed]
        self.events.update(rows)
        return {row[2 if kind is ARTIFACT else 1] for row in rows}

    def _take(self, kind: Kind, found: set[int]) -> set[int]:
        """Keep new nodes; those from which the walk goes on."""
        fresh = found - self.seen[kind] - self.ends[kind]
        ending = self.options.ending_artifacts if kind is ARTIFACT else self.options.ending_executions
        if fresh and ending.filter_query:
            ends = listing.matching(self.tx, kind, ending.filter_query, fresh)
            fresh -= ends
            self.ends[kind] |= ends
            if ending.include_ending_nodes:
                self.seen[kind] |= ends
        self.seen[kind] |= fresh
        if len(self.seen[ARTIFACT]) + len(self.seen[EXECUTION]) > MOST_NODES:
            raise Refusal(
                Status.FAILED_PRECONDITION,
                f"the lineage has more than {MOST_NODES} nodes: ask for fewer with max_num_hops",
            )
        return fresh
