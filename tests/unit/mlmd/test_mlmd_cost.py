"""What MLMD's calls cost: statements, whatever the number of nodes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tidemill.mlmd import MetadataStore, errors
from tidemill.mlmd import metadata_store_pb2 as pb

pytestmark = pytest.mark.parametrize("store", ["here"], indirect=True)  # it looks into the database


@contextmanager
def counted(store: MetadataStore) -> Iterator[list[str]]:
    """The statements that SQLite runs inside the block."""
    assert store._connection.database is not None
    statements: list[str] = []
    connection = store._connection.database.connection()
    connection.set_trace_callback(statements.append)
    yield statements
    connection.set_trace_callback(None)


def publish(store: MetadataStore, mark: str, inputs: int, outputs: int, contexts: int) -> list[str]:
    """The statements of one put_execution, of types that are known."""
    model = store.put_artifact_type(pb.ArtifactType(name="Model", properties={"span": pb.INT}))
    trainer = store.put_execution_type(pb.ExecutionType(name="Trainer"))
    run = store.put_context_type(pb.ContextType(name="Run"))
    used = [pb.Artifact(type_id=model, uri=f"in/{i}") for i in range(inputs)]
    for artifact, artifact_id in zip(used, store.put_artifacts(used), strict=True):
        artifact.id, artifact.uri = artifact_id, "moved"
        artifact.properties["span"].int_value = artifact_id
    made = [pb.Artifact(type_id=model, name=f"{mark}/{i}") for i in range(outputs)]
    for artifact in made:
        artifact.custom_properties[f"own {artifact.name}"].string_value = "text"
    event = pb.Event(type=pb.Event.INPUT)
    event.path.steps.add(key="x")
    pairs = [(artifact, event) for artifact in used]
    pairs += [(artifact, pb.Event(type=pb.Event.OUTPUT)) for artifact in made]
    runs = [pb.Context(type_id=run, name=f"run {i}") for i in range(contexts)]
    with counted(store) as statements:
        store.put_execution(pb.Execution(type_id=trainer, name=mark), pairs, runs, True)
    return statements


def test_statements_of_put_execution(store: MetadataStore) -> None:
    publish(store, "first", 2, 2, 1)
    usual = publish(store, "usual", 2, 2, 1)
    assert len(usual) <= 14, usual


def test_statements_of_put_execution_do_not_grow(store: MetadataStore) -> None:
    publish(store, "first", 1, 1, 8)
    counts = [len(publish(store, f"{n}", n, n, n)) for n in (2, 8)]
    assert counts[0] == counts[1]


def test_a_batch_that_fails_halfway_leaves_nothing(store: MetadataStore) -> None:
    model = store.put_artifact_type(pb.ArtifactType(name="Model"))
    (stored,) = store.put_artifacts([pb.Artifact(type_id=model, name="taken")])
    batch = [pb.Artifact(type_id=model, name=name) for name in ("a", "b", "taken", "c")]
    with pytest.raises(errors.AlreadyExistsError):
        store.put_artifacts(batch)
    assert [artifact.id for artifact in store.get_artifacts()] == [stored]


@pytest.mark.parametrize("hops", [None, 50])
def test_statements_of_a_lineage_do_not_grow_with_its_depth(store: MetadataStore, hops: int | None) -> None:
    model = store.put_artifact_type(pb.ArtifactType(name="Model"))
    trainer = store.put_execution_type(pb.ExecutionType(name="Trainer"))
    counts = []
    for depth in (2, 40):
        artifacts = [pb.Artifact(type_id=model) for _ in range(depth + 1)]
        edges = [(i, i, pb.Event(type=pb.Event.INPUT)) for i in range(depth)]
        edges += [(i, i + 1, pb.Event(type=pb.Event.OUTPUT)) for i in range(depth)]
        executions = [pb.Execution(type_id=trainer) for _ in range(depth)]
        last = store.put_lineage_subgraph(executions, artifacts, [], edges)[1][-1]
        query = pb.LineageSubgraphQueryOptions(direction=1, max_num_hops=hops)
        query.starting_artifacts.filter_query = f"id = {last}"
        with counted(store) as statements:
            graph = store.get_lineage_subgraph(query)
        assert len(graph.executions) == min(depth, 25 if hops else depth)
        counts.append(len(statements))
    assert counts[0] == counts[1] <= 19
