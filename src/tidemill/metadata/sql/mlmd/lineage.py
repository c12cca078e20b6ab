"""The lineage query: which nodes lie around the starting ones.

Where the database can walk by itself, it is asked once. Else one query per level and direction of step,
until nothing is new, `max_num_hops` is reached, or the graph would outgrow MOST_NODES. MLMD stops silently
after 100 hops; here only the caller's number counts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from operator import itemgetter

from tidemill.metadata.lineage import INPUT_EVENTS, OUTPUT_EVENTS
from tidemill.metadata.sql.database import Row, Transaction
from tidemill.metadata.sql.mlmd import listing, reading, types
from tidemill.metadata.sql.mlmd.kinds import ARTIFACT, CONTEXT, EXECUTION, KINDS, Kind, Message
from tidemill.metadata.sql.mlmd.refusal import Refusal, Status, invalid, not_found
from tidemill.metadata.sql.reading import events_at

MOST_NODES = 1_000_000
"""Artifacts and executions of one answer; a larger graph is refused, never cut."""

_UPSTREAM, _DOWNSTREAM = 1, 2
"""Numbers of LineageSubgraphQueryOptions.Direction; the other two mean both ways."""


_MOST_STARTS = 400
"""Starting nodes of a walk by the database: each is a parameter."""
_MOST_STEPS = 20_000
"""Steps of a walk by the database that counts hops. It visits a node once per distance at which it lies;
where that goes out of hand, levels are cheaper."""


def fill_subgraph(tx: Transaction, options: Message, mask: Iterable[str], out: Message) -> None:
    """Fill a LineageGraph with ids of nodes, with events and links, as far as `mask` names them."""
    wanted = set(mask)
    for kind, ids in _fill_edges(tx, options, wanted, out).items():
        if kind.plural in wanted:
            nodes = getattr(out, kind.plural)
            for node_id in ids:
                nodes.add(id=node_id)
        if f"{kind.name}_types" in wanted:
            types.fill_all_types(tx, kind, getattr(out, f"{kind.name}_types"), system=True)


def fill_whole(
    tx: Transaction, memory: types.TypeMemory, options: Message, mask: Iterable[str], out: Message
) -> None:
    """Fill a LineageGraph with whole nodes and their types, and all that fill_subgraph does."""
    wanted = set(mask)
    for kind, ids in _fill_edges(tx, options, wanted, out).items():
        type_ids = set[int]()
        if kind.plural in wanted:
            type_ids = reading.fill_nodes(tx, memory, kind, ids, getattr(out, kind.plural))
        elif f"{kind.name}_types" in wanted:
            sql = f"SELECT DISTINCT type_id FROM {kind.table} WHERE id IN ({{ids}})"
            type_ids = {type_id for (type_id,) in tx.rows_in(sql, ids)}
        if type_ids and f"{kind.name}_types" in wanted:
            types.fill_types_by_id(tx, kind, sorted(type_ids), getattr(out, f"{kind.name}_types"))


def _fill_edges(tx: Transaction, options: Message, wanted: set[str], out: Message) -> dict[Kind, list[int]]:
    """Fill in what connects the nodes of the graph; the ids of these."""
    walk = _Walk(tx, options)
    walk.run()
    ids = {kind: sorted(walk.seen[kind]) for kind in (ARTIFACT, EXECUTION)}
    links = {ARTIFACT: list[Row](), EXECUTION: list[Row]()}
    for kind, field in ((ARTIFACT, "attributions"), (EXECUTION, "associations")):
        if wanted & {"contexts", "context_types", field}:
            links[kind] = reading.links_of(tx, kind, ids[kind])
    if "events" in wanted:
        reading.fill_events(tx, walk.edges(), out.events)
    if "attributions" in wanted:
        for artifact_id, context_id in links[ARTIFACT]:
            out.attributions.add(artifact_id=artifact_id, context_id=context_id)
    if "associations" in wanted:
        for execution_id, context_id in links[EXECUTION]:
            out.associations.add(execution_id=execution_id, context_id=context_id)
    return ids | {CONTEXT: sorted({c for pairs in links.values() for _, c in pairs})}


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
        if not any(self.ends.values()):
            return sorted(self.events)
        artifacts, executions = self.seen[ARTIFACT], self.seen[EXECUTION]
        return sorted(row for row in self.events if row[1] in artifacts and row[2] in executions)

    def run(self) -> None:
        """Walk from the starting nodes."""
        hops = self.options.max_num_hops if self.options.HasField("max_num_hops") else None
        if hops is not None and hops < 0:
            raise invalid(f"max_num_hops cannot be negative: max_num_hops = {hops}")
        kind, level = self._start()
        ending = (self.options.ending_artifacts, self.options.ending_executions)
        ends = any(nodes.filter_query for nodes in ending)
        if not ends and hops != 0 and self.tx.dialect.walks and len(level) <= _MOST_STARTS:
            reached = self._reach(kind, level, hops)
            if reached is not None:
                self._connect(reached, hops)
                return
        level = self._take(kind, level)
        while level and hops != 0:
            other = EXECUTION if kind is ARTIFACT else ARTIFACT
            level = self._take(other, self._neighbours(kind, level))
            kind = other
            hops = None if hops is None else hops - 1

    def _reach(self, kind: Kind, start: set[int], hops: int | None) -> dict[int, int] | None:
        """Let the database walk: node -> least hops to it. None when that would take too long.

        An execution is known by its id's negative.
        """
        steps = f"{self._step(ARTIFACT, 'w.node')} OR {self._step(EXECUTION, '-w.node')}"
        counted, limit = ("w.hop + 1", "w.hop < ? AND") if hops is not None else ("0", "")
        sql = (
            f"WITH RECURSIVE walk(node, hop) AS (VALUES {', '.join(['(?, 0)'] * len(start))} UNION "
            f"SELECT CASE WHEN w.node > 0 THEN -e.execution_id ELSE e.artifact_id END, {counted} "
            f"FROM walk w CROSS JOIN Event e WHERE {limit} ({steps})) SELECT node, hop FROM walk"
        )
        sign = 1 if kind is ARTIFACT else -1
        most = MOST_NODES if hops is None else _MOST_STEPS
        values = [*(sign * i for i in start), *(() if hops is None else (hops,)), most + 1]
        rows = self.tx.rows(f"{sql} LIMIT ?", values)
        if len(rows) > most:
            self._check_size(len(rows) if hops is None else 0)
            return None
        rows.sort(key=itemgetter(1), reverse=True)  # what comes last stays: the least
        return dict(rows)

    def _step(self, kind: Kind, node: str) -> str:
        """Which events `e` go on from a node of a kind; `node` is its id there, else negative."""
        allowed = self._allowed(kind)
        numbers = ", ".join(str(int(number)) for number in sorted(allowed))
        types = f" AND e.type IN ({numbers})" if allowed else ""
        return f"({node} > 0 AND e.{kind.owner} = {node}{types})"

    def _connect(self, reached: dict[int, int], hops: int | None) -> None:
        """Take what the database reached, and the events from every node that it went on from."""
        on = [node for node, hop in reached.items() if hops is None or hop < hops]
        self.seen[ARTIFACT] = {node for node in reached if node > 0}
        self.seen[EXECUTION] = {-node for node in reached if node < 0}
        gone_on = {ARTIFACT: {n for n in on if n > 0}, EXECUTION: {-n for n in on if n < 0}}
        kinds = [ARTIFACT, EXECUTION]
        if hops is None and self.options.direction not in (_UPSTREAM, _DOWNSTREAM):
            kinds = [
                min(kinds, key=lambda kind: len(gone_on[kind]))
            ]  # each event lies at nodes of both kinds
        for kind in kinds:
            self._neighbours(kind, gone_on[kind])

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
        rows = events_at(self.tx, kind.owner, level, self._allowed(kind))
        self.events.update(rows)
        return {row[2 if kind is ARTIFACT else 1] for row in rows}

    def _allowed(self, kind: Kind) -> Collection[int]:
        """Types of the events that are followed from nodes of a kind; none means any."""
        if self.options.direction == _UPSTREAM:
            return OUTPUT_EVENTS if kind is ARTIFACT else INPUT_EVENTS
        if self.options.direction == _DOWNSTREAM:
            return INPUT_EVENTS if kind is ARTIFACT else OUTPUT_EVENTS
        return ()

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
        self._check_size(len(self.seen[ARTIFACT]) + len(self.seen[EXECUTION]))
        return fresh

    def _check_size(self, nodes: int) -> None:
        if nodes > MOST_NODES:
            raise Refusal(
                Status.FAILED_PRECONDITION,
                f"the lineage has more than {MOST_NODES} nodes: ask for fewer with max_num_hops",
            )
