"""MLMD's Python interface answers on PostgreSQL and MariaDB as it does on SQLite."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tidemill import mlmd
from tidemill.metadata.retention import RetentionPolicy
from tidemill.metadata.sql import open_store
from tidemill.mlmd import MetadataStore, errors
from tidemill.mlmd import metadata_store_pb2 as pb
from tidemill.testing.mlmd_stories import MlmdStory, record_of


def config_of(url: str) -> Any:
    """The config with which MLMD's users name the database at `url`."""
    parts = urlsplit(url)
    named = {"host": parts.hostname, "user": unquote(parts.username or "")}
    if parts.password:
        named["password"] = unquote(parts.password)
    if parts.scheme.startswith("postgresql"):
        return pb.ConnectionConfig(postgresql={**named, "port": str(parts.port), "dbname": parts.path[1:]})
    return pb.ConnectionConfig(mysql={**named, "port": parts.port, "database": parts.path[1:]})


@pytest.fixture
def config(server: Any) -> Iterator[Any]:
    with server.database() as name:
        yield config_of(server.url(name, server.port))


def test_a_store_is_written_and_asked(config: Any) -> None:
    store = MetadataStore(config)
    model = store.put_artifact_type(pb.ArtifactType(name="Model", properties={"loss": pb.DOUBLE}))
    trainer = store.put_execution_type(pb.ExecutionType(name="Trainer", base_type=pb.ExecutionType.TRAIN))
    run = pb.Context(type_id=store.put_context_type(pb.ContextType(name="run")), name="r")
    with pytest.raises(errors.AlreadyExistsError):
        store.put_artifact_type(pb.ArtifactType(name="Model"))
    assert store.get_execution_type("Trainer").base_type == pb.ExecutionType.TRAIN
    made = pb.Event(type=pb.Event.OUTPUT)
    for step in ({"key": "model"}, {"index": 0}, {"key": "again"}, {"index": 1}):
        made.path.steps.add(**step)
    artifact = pb.Artifact(type_id=model, name="m", uri="u", properties={"loss": pb.Value(double_value=0.5)})
    pairs = [(artifact, made)]
    execution, (artifact_id,), (context_id,) = store.put_execution(
        pb.Execution(type_id=trainer, name="e"), pairs, [run]
    )
    with pytest.raises(errors.AlreadyExistsError):
        store.put_execution(pb.Execution(type_id=trainer), pairs, [run], reuse_context_if_already_exist=True)
    with pytest.raises(errors.AlreadyExistsError):
        store.put_events([pb.Event(artifact_id=artifact_id, execution_id=execution, type=pb.Event.OUTPUT)])
    assert len(store.get_executions()) == 1
    (event,) = store.get_events_by_artifact_ids([artifact_id])
    assert event.path == made.path
    assert [c.id for c in store.get_contexts_by_execution(execution)] == [context_id]
    new = pb.Artifact(
        id=artifact_id, state=pb.Artifact.LIVE, custom_properties={"k": pb.Value(bool_value=True)}
    )
    store.put_artifacts([new], ["state", "custom_properties.k"])
    (found,) = store.get_artifacts(
        mlmd.ListOptions(filter_query="properties.loss.double_value < 1 AND uri = 'u'")
    )
    assert (found.state, found.uri, found.custom_properties["k"].bool_value) == (pb.Artifact.LIVE, "u", True)
    store.put_artifacts([pb.Artifact(id=artifact_id)])
    assert not store.get_artifact_by_type_and_name("Model", "m").properties
    assert store.get_artifact_by_type_and_name("model", "m") is None
    nodes = pb.LineageSubgraphQueryOptions.StartingNodes(filter_query="name = 'm'")
    graph = store.get_lineage_subgraph(pb.LineageSubgraphQueryOptions(starting_artifacts=nodes))
    assert ([e.name for e in graph.executions], len(graph.events)) == (["e"], 1)
    newest = mlmd.ListOptions(order_by=mlmd.OrderByField.UPDATE_TIME, is_asc=False, limit=1)
    assert [a.id for a in store.get_artifacts_by_context(context_id, newest)] == [artifact_id]
    store.close()


def test_values_of_every_kind(config: Any) -> None:
    store = MetadataStore(config)
    type_id = store.put_artifact_type(pb.ArtifactType(name="x"))
    artifact = pb.Artifact(type_id=type_id, uri="ü🜁'\"%s?", name="n" * 200)
    artifact.custom_properties["large"].int_value = 2**63 - 1
    artifact.custom_properties["small"].double_value = 5e-324
    artifact.custom_properties["ä"].string_value = "x" * 5000 + "🜁"
    artifact.custom_properties["any"].proto_value.Pack(pb.Event(artifact_id=-1))
    artifact.custom_properties["no"].bool_value = False
    batch = [pb.Artifact(type_id=type_id, uri=str(i)) for i in range(300)]
    first, *rest = store.put_artifacts([artifact, *batch])
    (found,) = store.get_artifacts_by_id([first])
    assert (found.uri, found.name) == (artifact.uri, artifact.name)
    assert found.custom_properties == artifact.custom_properties
    assert [a.uri for a in store.get_artifacts_by_id(rest)] == [a.uri for a in batch]  # ids in order
    store.close()


def test_two_that_create_the_same_type_and_context_at_once(config: Any) -> None:
    """Nothing is stored twice, and nobody is told of a race."""
    store = MetadataStore(config)
    barrier, found, failed = threading.Barrier(4), list[Any](), list[Exception]()

    def work() -> None:
        try:
            for i in range(8):
                barrier.wait()
                kind = store.put_context_type(pb.ContextType(name=f"t{i}", properties={"p": pb.INT}))
                barrier.wait()
                execution = pb.Execution(type_id=store.put_execution_type(pb.ExecutionType(name="e")))
                run = pb.Context(type_id=kind, name="run")
                made = store.put_execution(execution, [], [run], reuse_context_if_already_exist=True)
                found.append((i, kind, *made[2]))
        except Exception as error:
            failed.append(error)
            barrier.abort()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(set(found)) == 8
    assert len(found) == len(store.get_executions()) == 32
    assert len(store.get_contexts()) == len(store.get_context_types()) == 8
    store.close()


@pytest.mark.parametrize("kubeflow", [False, True])
def test_what_others_recorded_is_pruned(server: Any, kubeflow: bool) -> None:
    """Marked, deleted, removed: as on SQLite, and nothing else is touched."""
    with server.database() as name:
        mlmd_store = MetadataStore(config_of(server.url(name, server.port)))
        story = MlmdStory(mlmd_store, "/p", kubeflow=kubeflow)
        (shared,) = story.execute("r1", "taxi", outputs=("/p/1",))
        (old,) = story.execute("r2", "taxi", inputs=(shared,), outputs=("/p/2",))
        (new,) = story.execute("r3", "taxi", inputs=(shared,), outputs=("/p/3",))
        store = open_store(server.url(name))
        record, policy = record_of(store), RetentionPolicy(root="/p", keep_last=1)
        assert [a.id for a in record.mark_for_deletion(policy).artifacts] == [old]
        store.mark_deleted([old])
        ((run,),) = record.plan_row_retention(policy).batches
        assert (run.id, record.remove_runs([run.context])) == ("r2", 1)
        assert store.findings() == []
        assert [a.id for a in mlmd_store.get_artifacts()] == [shared, new]
        assert len(mlmd_store.get_executions()) == 2
        store.close()
        mlmd_store.close()
