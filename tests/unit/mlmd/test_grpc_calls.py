"""Every call of MLMD's service over a real socket: through our client, and as bytes on a bare channel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2

from tidemill.metadata.sql import open_store
from tidemill.mlmd import ListOptions, MetadataStore, errors
from tidemill.mlmd import metadata_store_pb2 as pb
from tidemill.mlmd import metadata_store_service_pb2 as service
from tidemill.mlmd.grpc_server import Server
from tidemill.mlmd.grpc_wire import CALLS


@pytest.fixture
def server(folder: Any) -> Iterator[Server]:
    """A server on an empty database."""
    store = open_store(str(folder / "served.db"))
    server = Server(store)
    server.start()
    yield server
    server.stop(5)
    store.close()


def client_of(server: Server, **fields: Any) -> MetadataStore:
    host, _, port = server.address.rpartition(":")
    return MetadataStore(pb.MetadataStoreClientConfig(host=host, port=int(port), **fields))


@pytest.fixture
def remote(server: Server) -> Iterator[MetadataStore]:
    store = client_of(server)
    yield store
    store.close()


Ask = Callable[..., Any]


def _types(ask: Ask) -> None:
    assert ask("PutArtifactType", artifact_type={"name": "A", "external_id": "ta"}).type_id == 10
    assert ask("PutExecutionType", execution_type={"name": "E", "external_id": "te"}).type_id == 11
    assert ask("PutContextType", context_type={"name": "C", "external_id": "tc"}).type_id == 12
    put = ask("PutTypes", artifact_types=[{"name": "A2"}], context_types=[{"name": "C2"}])
    assert (list(put.artifact_type_ids), list(put.context_type_ids)) == ([13], [14])
    for kind, type_id, names in (
        ("Artifact", 10, ["A", "A2"]), ("Execution", 11, ["E"]), ("Context", 12, ["C", "C2"])
    ):  # fmt: skip
        one, many = f"{kind.lower()}_type", f"{kind.lower()}_types"
        assert getattr(ask(f"Get{kind}Type", type_name=names[0]), one).id == type_id
        assert [t.name for t in getattr(ask(f"Get{kind}Types"), many)] == names
        (found,) = getattr(ask(f"Get{kind}TypesByID", type_ids=[type_id]), many)
        assert found.name == names[0]
        (found,) = getattr(ask(f"Get{kind}TypesByExternalIds", external_ids=[found.external_id]), many)
        assert found.id == type_id


def _nodes(ask: Ask) -> None:
    artifacts = [{"type_id": 10, "name": "a", "uri": "u", "external_id": "xa"}, {"type_id": 10}]
    assert list(ask("PutArtifacts", artifacts=artifacts).artifact_ids) == [1, 2]
    execution = {"type_id": 11, "name": "a", "external_id": "xa"}
    assert list(ask("PutExecutions", executions=[execution]).execution_ids) == [1]
    contexts = [{"type_id": 12, "name": "a", "external_id": "xa"}, {"type_id": 12, "name": "b"}]
    assert list(ask("PutContexts", contexts=contexts).context_ids) == [1, 2]
    for kind, title, ids in (
        ("artifact", "Artifacts", [1, 2]), ("execution", "Executions", [1]), ("context", "Contexts", [1, 2])
    ):  # fmt: skip

        def listed(call: str, many: str = f"{kind}s", **fields: Any) -> list[int]:
            return [node.id for node in getattr(ask(call, **fields), many)]

        type_name = title[0]
        assert listed(f"Get{title}") == listed(f"Get{title}ByType", type_name=type_name) == ids
        assert listed(f"Get{title}ByID", **{f"{kind}_ids": [1, 99]}) == [1]
        assert listed(f"Get{title}ByExternalIds", external_ids=["xa"]) == [1]
        wanted = {"type_name": type_name, f"{kind}_name": "a"}
        found = ask(f"Get{kind.capitalize()}ByTypeAndName", **wanted)
        assert getattr(found, kind).external_id == "xa"
    assert [a.id for a in ask("GetArtifactsByURI", uris=["u"]).artifacts] == [1]


def _edges(ask: Ask) -> None:
    ask("PutEvents", events=[{"artifact_id": 1, "execution_id": 1, "type": pb.Event.INPUT}])
    links = {"attributions": [{"artifact_id": 1, "context_id": 1}]}
    ask("PutAttributionsAndAssociations", **links, associations=[{"execution_id": 1, "context_id": 1}])
    ask("PutParentContexts", parent_contexts=[{"child_id": 1, "parent_id": 2}])
    assert [e.execution_id for e in ask("GetEventsByArtifactIDs", artifact_ids=[1]).events] == [1]
    assert [e.artifact_id for e in ask("GetEventsByExecutionIDs", execution_ids=[1]).events] == [1]
    assert [c.id for c in ask("GetContextsByArtifact", artifact_id=1).contexts] == [1]
    assert [c.id for c in ask("GetContextsByExecution", execution_id=1).contexts] == [1]
    assert [a.id for a in ask("GetArtifactsByContext", context_id=1).artifacts] == [1]
    assert [e.id for e in ask("GetExecutionsByContext", context_id=1).executions] == [1]
    assert [c.id for c in ask("GetParentContextsByContext", context_id=1).contexts] == [2]
    assert [c.id for c in ask("GetChildrenContextsByContext", context_id=2).contexts] == [1]
    above = ask("GetParentContextsByContexts", context_ids=[1, 2]).contexts
    assert {i: [c.id for c in above[i].parent_contexts] for i in above} == {1: [2]}
    below = ask("GetChildrenContextsByContexts", context_ids=[1, 2]).contexts
    assert {i: [c.id for c in below[i].children_contexts] for i in below} == {2: [1]}


def _publish(ask: Ask) -> None:
    pair = {"artifact": {"type_id": 10, "name": "made"}, "event": {"type": pb.Event.OUTPUT}}
    put = ask("PutExecution", execution={"id": 1, "type_id": 11}, artifact_event_pairs=[pair],
              contexts=[{"type_id": 12, "name": "c"}])  # fmt: skip
    assert (put.execution_id, list(put.artifact_ids), list(put.context_ids)) == (1, [3], [3])
    edge = {"execution_index": 0, "artifact_index": 0, "event": {"type": pb.Event.OUTPUT}}
    put = ask("PutLineageSubgraph", executions=[{"type_id": 11}], artifacts=[{"type_id": 10}],
              event_edges=[edge])  # fmt: skip
    assert (list(put.execution_ids), list(put.artifact_ids)) == ([2], [4])
    graph = ask(
        "GetLineageSubgraph",
        lineage_subgraph_query_options={"starting_artifacts": {"filter_query": "name = 'made'"}},
    ).lineage_subgraph
    assert [a.id for a in graph.artifacts] == [1, 3]
    assert [(e.artifact_id, e.type) for e in graph.events] == [(1, pb.Event.INPUT), (3, pb.Event.OUTPUT)]


def every_call(ask: Ask, refused: type[Exception]) -> None:
    """Make each of the 52 calls, through `ask(name, **fields)`."""
    made = set()

    def note(call: str, **fields: Any) -> Any:
        made.add(call)
        return ask(call, **fields)

    for part in (_types, _nodes, _edges, _publish):
        part(note)
    with pytest.raises(refused, match="deprecated"):
        note("GetLineageGraph")
    assert made == set(CALLS)
    assert len(made) == 52


def test_every_call_through_our_client(remote: MetadataStore) -> None:
    every_call(remote._ask, errors.UnimplementedError)


def test_every_call_as_bytes(server: Server) -> None:
    """Paths and bytes as any gRPC client would send them, without a line of our client."""
    with grpc.insecure_channel(server.address) as channel:

        def ask(call: str, **fields: Any) -> Any:
            request = getattr(service, f"{call}Request")(**fields).SerializeToString()
            stub = channel.unary_unary(f"/ml_metadata.MetadataStoreService/{call}")
            return getattr(service, f"{call}Response").FromString(stub(request, timeout=30))

        every_call(ask, grpc.RpcError)


def test_what_a_message_holds_survives_the_wire(remote: MetadataStore, store: MetadataStore) -> None:
    """Every kind of property, oneofs and unset fields: over the wire as without one."""
    kinds = {"i": 1, "d": 2, "s": 3, "o": 4, "p": 5, "b": 6}
    packed = any_pb2.Any(type_url="type/x", value=b"\x00\xff")
    artifact = pb.Artifact(name="ü\n", uri="file:///ü", state=pb.Artifact.LIVE, properties={
        "i": pb.Value(int_value=-(2**63)), "d": pb.Value(double_value=0.1), "s": pb.Value(string_value="ß%"),
        "o": pb.Value(struct_value={"a": [None, 1.5, "x"]}), "b": pb.Value(bool_value=False),
    })  # fmt: skip
    artifact.properties["p"].proto_value.type_url = packed.type_url
    artifact.properties["p"].proto_value.value = packed.value
    found = []
    for one in (remote, store):
        artifact.type_id = one.put_artifact_type(pb.ArtifactType(name="T", properties=kinds))
        (artifact_id,) = one.put_artifacts([artifact])
        (read,) = one.get_artifacts_by_id([artifact_id])
        read.ClearField("create_time_since_epoch")
        read.ClearField("last_update_time_since_epoch")
        found.append(read)
    assert found[0] == found[1]
    assert found[0].properties == artifact.properties


def test_lists_come_page_by_page(remote: MetadataStore) -> None:
    type_id = remote.put_artifact_type(pb.ArtifactType(name="T"))
    ids = remote.put_artifacts([pb.Artifact(type_id=type_id, name=f"n{i}") for i in range(250)])
    assert [a.id for a in remote.get_artifacts()] == ids
    options = ListOptions(limit=150, is_asc=False, filter_query="name LIKE 'n1%'")
    assert [a.name for a in remote.get_artifacts(options)] == [
        f"n{i}" for i in range(249, -1, -1) if f"n{i}".startswith("n1")
    ]


@pytest.mark.parametrize(
    ("error", "ask"),
    [
        (errors.InvalidArgumentError, lambda s: s.put_artifact_type(pb.ArtifactType())),
        (errors.InvalidArgumentError, lambda s: s.get_artifacts(ListOptions(filter_query="name ="))),
        (errors.NotFoundError, lambda s: s.get_artifact_type("nobody")),
        (errors.AlreadyExistsError, lambda s: [s.put_context_type(pb.ContextType(name="C", external_id=x))
                                               for x in "ab"] and s.put_context_type(
                                                   pb.ContextType(name="D", external_id="b"))),
        (errors.OutOfRangeError, lambda s: s.put_lineage_subgraph(
            [], [], [], [(1, 1, pb.Event(type=pb.Event.INPUT))])),
        (errors.UnimplementedError, lambda s: s._ask("GetLineageGraph")),
    ],
)  # fmt: skip
def test_errors_are_the_same_with_a_server_and_without(
    remote: MetadataStore, store: MetadataStore, error: type[errors.StatusError], ask: Any
) -> None:
    said = []
    for one in (remote, store):
        with pytest.raises(error) as caught:
            ask(one)
        said.append((type(caught.value), caught.value.error_code, caught.value.message))
    assert said[0] == said[1]


def test_optimistic_updates_over_the_wire(remote: MetadataStore) -> None:
    """Only the service has this option; MLMD's Python methods do not."""
    type_id = remote.put_artifact_type(pb.ArtifactType(name="T"))
    (artifact_id,) = remote.put_artifacts([pb.Artifact(type_id=type_id)])
    stale = pb.Artifact(id=artifact_id, uri="late", last_update_time_since_epoch=1)
    with pytest.raises(errors.FailedPreconditionError):
        remote._ask("PutArtifacts", artifacts=[stale], options={"abort_if_latest_updated_time_changed": True})
    assert remote.get_artifacts_by_id([artifact_id])[0].uri == ""


def test_a_lineage_larger_than_a_message(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its ids come at once, its nodes in portions: each must fit into a message, all need not."""
    monkeypatch.setattr("tidemill.mlmd.store._PORTION", 10)
    store = client_of(server, channel_arguments={"max_receive_message_length": 4000})
    model = store.put_artifact_type(pb.ArtifactType(name="M"))
    trainer = store.put_execution_type(pb.ExecutionType(name="T"))
    made = [(0, i, pb.Event(type=pb.Event.OUTPUT)) for i in range(50)]
    artifacts = [pb.Artifact(type_id=model, uri=f"{i}" * 100) for i in range(50)]
    store.put_lineage_subgraph([pb.Execution(type_id=trainer)], artifacts, [], made)
    start = pb.LineageSubgraphQueryOptions.StartingNodes(filter_query="id = 1")
    found = store.get_lineage_subgraph(pb.LineageSubgraphQueryOptions(starting_executions=start))
    assert [a.uri for a in found.artifacts] == [a.uri for a in artifacts]
    with pytest.raises(errors.ResourceExhaustedError):
        store.get_artifacts_by_id(range(1, 51))
    store.close()
