"""MLMD's 52 calls and one of our own, each a function from a request to a response inside one transaction.

What a call does to nodes, types and edges is told in the other files; here stands what each is made of.
Nothing here knows how a request came in: the Python interface and a server run the same Service.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from tidemill.metadata.sql.collector import collector_paused
from tidemill.metadata.sql.database import Database, Transaction
from tidemill.metadata.sql.mlmd import lineage, linking, listing, publishing, reading, types, writing
from tidemill.metadata.sql.mlmd.kinds import ARTIFACT, CONTEXT, EXECUTION, KINDS, Kind, Message
from tidemill.metadata.sql.mlmd.refusal import Refusal, Status, not_found
from tidemill.metadata.sql.reading import events_at

WHOLE_SUBGRAPH = "tidemill.GetWholeSubgraph"
"""GetLineageSubgraph with whole nodes in place of ids, in one transaction: for callers in this process. A
client of MLMD's asks for the nodes itself, and no server offers this call."""

Handler = Callable[[Transaction, Message, Message], None]
Landed = Callable[[Transaction, Message, Message], bool]


@dataclass(frozen=True, slots=True)
class Rpc:
    """One call.

    `landed` says whether a change is stored whose connection was lost at commit, from the request and the
    response that it had; a change that can simply be made again needs none.
    """

    handle: Handler
    writes: bool = False
    landed: Landed | None = None


class Service:
    """MLMD's calls on one database. Threads may share it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.rpcs = _rpcs(types.TypeMemory())
        """Name of the call -> the call."""

    def call(self, method: str, request: Message, response: Message) -> None:
        """Run one call in a transaction of its own, filling `response`. Raises Refusal and StoreError."""
        rpc = self.rpcs.get(method)
        if rpc is None:
            raise Refusal(Status.UNIMPLEMENTED, f"there is no call {method}")
        landed = rpc.landed

        def attempt(tx: Transaction) -> None:
            response.Clear()  # an attempt that is made again begins with nothing
            rpc.handle(tx, request, response)

        if not rpc.writes:
            self.database.read(attempt)
        elif landed is None:
            self.database.write(attempt)
        else:
            self.database.write(attempt, lambda tx, _: landed(tx, request, response))


def _rpcs(memory: types.TypeMemory) -> dict[str, Rpc]:
    special = {
        "PutTypes": Rpc(_put_all_types, writes=True),
        "PutEvents": Rpc(
            lambda tx, q, _: linking.put_events(tx, q.events),
            True,
            lambda tx, q, _: linking.has_event(tx, q.events[:1]),
        ),
        "PutAttributionsAndAssociations": Rpc(_put_links, writes=True),
        "PutParentContexts": Rpc(
            lambda tx, q, _: linking.put_parents(tx, q.parent_contexts),
            True,
            lambda tx, q, _: linking.has_parent(tx, q.parent_contexts[:1]),
        ),
        "PutExecution": Rpc(
            lambda tx, q, a: publishing.put_execution(tx, memory, q, a),
            True,
            lambda tx, q, a: (
                not q.execution.HasField("id") and writing.is_stored(tx, EXECUTION, a.execution_id)
            ),
        ),
        "PutLineageSubgraph": Rpc(
            lambda tx, q, a: publishing.put_subgraph(tx, memory, q, a), True, _subgraph_landed
        ),
        "GetArtifactsByID": Rpc(partial(_get_artifacts_by_id, memory)),
        "GetArtifactsByURI": Rpc(
            lambda tx, q, a: reading.fill_by_ids(
                tx, memory, ARTIFACT, reading.ids_by_uris(tx, q.uris), a.artifacts
            )
        ),
        "GetEventsByExecutionIDs": Rpc(
            lambda tx, q, a: reading.fill_events(
                tx, sorted(events_at(tx, "execution_id", q.execution_ids)), a.events
            )
        ),
        "GetEventsByArtifactIDs": Rpc(
            lambda tx, q, a: reading.fill_events(
                tx, sorted(events_at(tx, "artifact_id", q.artifact_ids)), a.events
            )
        ),
        "GetLineageGraph": Rpc(_no_lineage_graph),
        "GetLineageSubgraph": Rpc(_get_lineage_subgraph),
        WHOLE_SUBGRAPH: Rpc(partial(_get_whole_subgraph, memory)),
    }
    found: dict[str, Rpc] = {}
    for kind in KINDS:
        found |= _of_types(kind) | _of_nodes(memory, kind)
    return found | _of_contexts(memory) | special


def _of_types(kind: Kind) -> dict[str, Rpc]:
    """The calls that exist for each kind's types."""
    title, one, many = kind.name.capitalize(), f"{kind.name}_type", f"{kind.name}_types"

    def put(tx: Transaction, request: Message, response: Message) -> None:
        _require_all_fields(request)
        (response.type_id,) = types.put_types(
            tx, kind, [getattr(request, one)],
            can_add=request.can_add_fields, can_omit=request.can_omit_fields,
        )  # fmt: skip

    def get(tx: Transaction, request: Message, response: Message) -> None:
        types.fill_type(tx, kind, request.type_name, request.type_version, getattr(response, one))

    def by_id(tx: Transaction, request: Message, response: Message) -> None:
        types.fill_types_by_id(tx, kind, request.type_ids, getattr(response, many))

    def everything(tx: Transaction, _: Message, response: Message) -> None:
        types.fill_all_types(tx, kind, getattr(response, many))

    def by_external_ids(tx: Transaction, request: Message, response: Message) -> None:
        types.fill_types_by_external_ids(tx, kind, request.external_ids, getattr(response, many))

    return {
        f"Put{title}Type": Rpc(put, writes=True),
        f"Get{title}Type": Rpc(get),
        f"Get{title}Types": Rpc(everything),
        f"Get{title}TypesByID": Rpc(by_id),
        f"Get{title}TypesByExternalIds": Rpc(by_external_ids),
    }


def _of_nodes(memory: types.TypeMemory, kind: Kind) -> dict[str, Rpc]:
    """The calls that exist for each kind of node."""
    title, many = kind.plural.capitalize(), kind.plural

    def put(tx: Transaction, request: Message, response: Message) -> None:
        abort = kind is ARTIFACT and request.options.abort_if_latest_updated_time_changed
        getattr(response, f"{kind.name}_ids").extend(
            writing.put_nodes(
                tx, memory, kind, getattr(request, many),
                mask=request.update_mask.paths, abort_if_changed=abort,
            )
        )  # fmt: skip

    def listed(tx: Transaction, request: Message, response: Message) -> None:
        if request.HasField("options"):
            ids = listing.page(tx, kind, request.options, response)
        else:
            ids = [i for (i,) in tx.rows(f"SELECT id FROM {kind.table} ORDER BY id")]
        reading.fill_nodes(tx, memory, kind, ids, getattr(response, many))

    def by_type(tx: Transaction, request: Message, response: Message) -> None:
        type_id = types.find_type(tx, kind, request.type_name, request.type_version)
        if not type_id:
            return
        if request.HasField("options"):
            ids = listing.page(tx, kind, request.options, response, type_id=type_id)
        else:
            ids = reading.ids_of_type(tx, kind, type_id)
        reading.fill_nodes(tx, memory, kind, ids, getattr(response, many))

    def by_id(tx: Transaction, request: Message, response: Message) -> None:
        ids = getattr(request, f"{kind.name}_ids")
        reading.fill_by_ids(tx, memory, kind, ids, getattr(response, many))

    def by_name(tx: Transaction, request: Message, response: Message) -> None:
        type_id = types.find_type(tx, kind, request.type_name, request.type_version)
        node_id = type_id and reading.id_by_name(tx, kind, type_id, getattr(request, f"{kind.name}_name"))
        if node_id:
            reading.fill_one(tx, memory, kind, node_id, getattr(response, kind.name))

    def by_external_ids(tx: Transaction, request: Message, response: Message) -> None:
        ids = reading.require_external_ids(tx, kind, request.external_ids)
        reading.fill_by_ids(tx, memory, kind, ids, getattr(response, many))

    def landed(tx: Transaction, request: Message, response: Message) -> bool:
        stored = getattr(response, f"{kind.name}_ids")
        return _first_new_is_stored(tx, kind, getattr(request, many), stored)

    return {
        f"Put{title}": Rpc(put, True, landed),
        f"Get{title}": Rpc(listed),
        f"Get{title}ByType": Rpc(by_type),
        f"Get{title}ByID": Rpc(by_id),
        f"Get{kind.name.capitalize()}ByTypeAndName": Rpc(by_name),
        f"Get{title}ByExternalIds": Rpc(by_external_ids),
    }


def _of_contexts(memory: types.TypeMemory) -> dict[str, Rpc]:
    """The calls that follow links into contexts and between them."""

    def contexts_of(kind: Kind, tx: Transaction, request: Message, response: Message) -> None:
        node_id = getattr(request, kind.owner)
        ids = [context_id for _, context_id in reading.links_of(tx, kind, [node_id])]
        if not ids:
            raise not_found(f"No contexts found for {kind.owner}: {node_id}")
        reading.fill_by_ids(tx, memory, CONTEXT, ids, response.contexts)

    def nodes_in(kind: Kind, tx: Transaction, request: Message, response: Message) -> None:
        if request.HasField("options"):
            ids = listing.page(tx, kind, request.options, response, context_id=request.context_id)
        else:
            ids = reading.ids_in_context(tx, kind, request.context_id)
        reading.fill_nodes(tx, memory, kind, ids, getattr(response, kind.plural))

    def above(tx: Transaction, request: Message, response: Message) -> None:
        ids = [parent for _, parent in reading.parents_of(tx, [request.context_id])]
        reading.fill_by_ids(tx, memory, CONTEXT, ids, response.contexts)

    def below(tx: Transaction, request: Message, response: Message) -> None:
        ids = [child for child, _ in reading.children_of(tx, [request.context_id])]
        reading.fill_by_ids(tx, memory, CONTEXT, ids, response.contexts)

    def above_each(tx: Transaction, request: Message, response: Message) -> None:
        pairs = reading.parents_of(tx, request.context_ids)
        reading.fill_linked_contexts(tx, memory, pairs, response.contexts, "parent_contexts", parents=True)

    def below_each(tx: Transaction, request: Message, response: Message) -> None:
        pairs = reading.children_of(tx, request.context_ids)
        reading.fill_linked_contexts(tx, memory, pairs, response.contexts, "children_contexts", parents=False)

    return {
        "GetContextsByArtifact": Rpc(partial(contexts_of, ARTIFACT)),
        "GetContextsByExecution": Rpc(partial(contexts_of, EXECUTION)),
        "GetArtifactsByContext": Rpc(partial(nodes_in, ARTIFACT)),
        "GetExecutionsByContext": Rpc(partial(nodes_in, EXECUTION)),
        "GetParentContextsByContext": Rpc(above),
        "GetChildrenContextsByContext": Rpc(below),
        "GetParentContextsByContexts": Rpc(above_each),
        "GetChildrenContextsByContexts": Rpc(below_each),
    }


def _first_new_is_stored(tx: Transaction, kind: Kind, nodes: Sequence[Message], ids: Sequence[int]) -> bool:
    """Whether the first node that a call made is there. Ids are not given out twice."""
    made = (i for node, i in zip(nodes, ids, strict=True) if not node.HasField("id"))
    return writing.is_stored(tx, kind, next(made, 0))


def _subgraph_landed(tx: Transaction, request: Message, response: Message) -> bool:
    return any(
        _first_new_is_stored(tx, kind, getattr(request, kind.plural), getattr(response, f"{kind.name}_ids"))
        for kind in (ARTIFACT, EXECUTION)
    )


def _put_all_types(tx: Transaction, request: Message, response: Message) -> None:
    _require_all_fields(request)
    for kind in KINDS:
        ids = types.put_types(
            tx, kind, getattr(request, f"{kind.name}_types"),
            can_add=request.can_add_fields, can_omit=request.can_omit_fields,
        )  # fmt: skip
        getattr(response, f"{kind.name}_type_ids").extend(ids)


def _put_links(tx: Transaction, request: Message, _: Message) -> None:
    linking.put_links(tx, ARTIFACT, request.attributions)
    linking.put_links(tx, EXECUTION, request.associations)


def _get_artifacts_by_id(
    memory: types.TypeMemory, tx: Transaction, request: Message, response: Message
) -> None:
    reading.fill_by_ids(tx, memory, ARTIFACT, request.artifact_ids, response.artifacts)
    if request.populate_artifact_types:
        type_ids = _distinct(artifact.type_id for artifact in response.artifacts)
        types.fill_types_by_id(tx, ARTIFACT, type_ids, response.artifact_types)


def _get_lineage_subgraph(tx: Transaction, request: Message, response: Message) -> None:
    fields = response.DESCRIPTOR.fields_by_name["lineage_subgraph"].message_type.fields
    mask = request.read_mask.paths or [field.name for field in fields]
    with collector_paused():
        lineage.fill_subgraph(tx, request.lineage_subgraph_query_options, mask, response.lineage_subgraph)


def _get_whole_subgraph(
    memory: types.TypeMemory, tx: Transaction, request: Message, response: Message
) -> None:
    options, mask = request.lineage_subgraph_query_options, request.read_mask.paths
    with collector_paused():
        lineage.fill_whole(tx, memory, options, mask, response.lineage_subgraph)


def _no_lineage_graph(*_: object) -> None:
    raise Refusal(Status.UNIMPLEMENTED, "GetLineageGraph is deprecated: use GetLineageSubgraph")


def _require_all_fields(request: Message) -> None:
    if not request.all_fields_match:
        raise Refusal(Status.UNIMPLEMENTED, "Must match all fields.")


def _distinct(ids: Iterable[int]) -> list[int]:
    return list(dict.fromkeys(ids))
