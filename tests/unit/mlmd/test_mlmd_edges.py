"""What connects nodes: events, contexts, parents; and the two calls that store all of it at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tidemill.mlmd import MetadataStore, errors
from tidemill.mlmd import metadata_store_pb2 as pb
from tidemill.mlmd import metadata_store_service_pb2 as service


@dataclass(frozen=True)
class World:
    """A store with a type of each kind, and two artifacts, executions and contexts."""

    store: MetadataStore
    model: int
    trainer: int
    run: int
    artifacts: list[int]
    executions: list[int]
    contexts: list[int]

    def counts(self) -> list[int]:
        """Artifacts, executions, contexts."""
        store = self.store
        return [len(store.get_artifacts()), len(store.get_executions()), len(store.get_contexts())]


@pytest.fixture
def world(store: MetadataStore) -> World:
    model = store.put_artifact_type(pb.ArtifactType(name="Model"))
    trainer = store.put_execution_type(pb.ExecutionType(name="Trainer"))
    run = store.put_context_type(pb.ContextType(name="run"))
    return World(
        store, model, trainer, run,
        store.put_artifacts([pb.Artifact(type_id=model) for _ in range(2)]),
        store.put_executions([pb.Execution(type_id=trainer) for _ in range(2)]),
        store.put_contexts([pb.Context(type_id=run, name=name) for name in "ab"]),
    )  # fmt: skip


def event(kind: int = pb.Event.OUTPUT, **fields: Any) -> Any:
    return pb.Event(type=kind, **fields)


def test_events_keep_path_and_time(world: World) -> None:
    made = event(artifact_id=1, execution_id=1, milliseconds_since_epoch=5)
    for step in ({"key": "models"}, {"index": 2}, {"key": ""}, {"index": 0}):
        made.path.steps.add(**step)
    used = event(pb.Event.INPUT, artifact_id=1, execution_id=2)
    world.store.put_events([made, used])
    first, second = world.store.get_events_by_artifact_ids([1])
    assert first == made
    assert second.milliseconds_since_epoch > 1_600_000_000_000
    assert not second.HasField("path")
    assert world.store.get_events_by_execution_ids(iter([1, 1])) == [first]
    assert world.store.get_events_by_execution_ids([]) == world.store.get_events_by_artifact_ids([9]) == []


def test_events_that_are_refused(world: World) -> None:
    world.store.put_events([event(artifact_id=1, execution_id=1)])
    for bad in (
        pb.Event(artifact_id=2, execution_id=1),
        event(artifact_id=2),
        event(execution_id=1),
        event(artifact_id=9, execution_id=1),
        event(artifact_id=2, execution_id=9),
    ):
        with pytest.raises(errors.InvalidArgumentError):
            world.store.put_events([event(artifact_id=2, execution_id=2), bad])
    with pytest.raises(errors.AlreadyExistsError):
        world.store.put_events([event(artifact_id=2, execution_id=2), event(artifact_id=1, execution_id=1)])
    assert len(world.store.get_events_by_execution_ids([1, 2])) == 1


def test_contexts_of_nodes_and_nodes_of_contexts(world: World) -> None:
    attribution, association = pb.Attribution, pb.Association
    put = world.store.put_attributions_and_associations
    put([attribution(artifact_id=1, context_id=1)] * 2, [association(execution_id=2, context_id=1)])
    put([attribution(artifact_id=1, context_id=2), attribution(artifact_id=1, context_id=1)], [])
    assert [c.name for c in world.store.get_contexts_by_artifact(1)] == ["a", "b"]
    assert [c.name for c in world.store.get_contexts_by_execution(2)] == ["a"]
    assert [a.id for a in world.store.get_artifacts_by_context(1)] == [1]
    assert [e.id for e in world.store.get_executions_by_context(1)] == [2]
    assert world.store.get_executions_by_context(2) == world.store.get_artifacts_by_context(9) == []
    for ask in (world.store.get_contexts_by_artifact, world.store.get_contexts_by_execution):
        with pytest.raises(errors.NotFoundError, match="No contexts found"):
            ask(9)
    for bad in (
        attribution(artifact_id=9, context_id=1),
        attribution(artifact_id=1, context_id=9),
        attribution(),
    ):
        with pytest.raises(errors.InvalidArgumentError, match="id not found"):
            put([attribution(artifact_id=2, context_id=1), bad], [])
    assert [a.id for a in world.store.get_artifacts_by_context(1)] == [1]


def test_parents_form_no_circle(world: World) -> None:
    store = world.store
    ids = store.put_contexts([pb.Context(type_id=world.run, name=f"c{i}") for i in range(4)])

    def put(*pairs: tuple[int, int]) -> None:
        store.put_parent_contexts([pb.ParentContext(child_id=ids[c], parent_id=ids[p]) for c, p in pairs])

    put((0, 1), (1, 2))
    for circle in ([(2, 0)], [(0, 0)], [(2, 3), (3, 0)]):  # the last closes only within the call
        with pytest.raises(errors.InvalidArgumentError, match="cycle"):
            put(*circle)
    with pytest.raises(errors.AlreadyExistsError):
        put((0, 3), (0, 1))
    put((0, 2))  # a second way up is none
    assert [c.id for c in store.get_parent_contexts_by_context(ids[0])] == [ids[1], ids[2]]
    assert [c.id for c in store.get_children_contexts_by_context(ids[2])] == [ids[0], ids[1]]
    assert store.get_parent_contexts_by_context(ids[3]) == []
    for bad in (pb.ParentContext(child_id=1), pb.ParentContext(child_id=1, parent_id=99)):
        with pytest.raises(errors.InvalidArgumentError, match="parent_context"):
            store.put_parent_contexts([bad])
    above = store._call(
        "GetParentContextsByContexts", service.GetParentContextsByContextsRequest(context_ids=ids)
    )
    assert {k: [c.id for c in v.parent_contexts] for k, v in above.contexts.items()} == {
        ids[0]: [ids[1], ids[2]],
        ids[1]: [ids[2]],
    }
    below = store._call(
        "GetChildrenContextsByContexts", service.GetChildrenContextsByContextsRequest(context_ids=ids)
    )
    assert [c.id for c in below.contexts[ids[2]].children_contexts] == [ids[0], ids[1]]


def test_an_execution_with_all_that_belongs_to_it(world: World) -> None:
    store = world.store
    made = event()
    made.path.steps.add(key="model")
    artifact = pb.Artifact(type_id=world.model, uri="new")
    contexts = [
        pb.Context(type_id=world.run, name="new"),
        pb.Context(id=1, type_id=world.run, name="renamed"),
    ]
    execution_id, artifact_ids, context_ids = store.put_execution(
        pb.Execution(type_id=world.trainer, last_known_state=pb.Execution.COMPLETE),
        [
            (pb.Artifact(id=1, uri="used"), event(pb.Event.INPUT)),
            (artifact, made),
            (artifact, None),
            (None, None),
        ],
        contexts,
    )
    assert (execution_id, artifact_ids, context_ids) == (3, [1, 3, 4, -1], [3, 1])
    used, found = store.get_events_by_execution_ids([execution_id])
    assert (used.artifact_id, used.type, found.artifact_id, found.path) == (1, pb.Event.INPUT, 3, made.path)
    assert [c.name for c in store.get_contexts_by_execution(execution_id)] == ["renamed", "new"]
    for artifact_id in (1, 3, 4):
        assert [c.id for c in store.get_contexts_by_artifact(artifact_id)] == [1, 3]
    assert store.get_artifacts_by_id([1])[0].uri == "used"


def test_contexts_are_reused_on_demand(world: World) -> None:
    store, execution = world.store, pb.Execution(type_id=world.trainer)
    again = pb.Context(type_id=world.run, name="a", custom_properties={"p": pb.Value(int_value=1)})
    with pytest.raises(errors.AlreadyExistsError):
        store.put_execution(execution, [], [again])
    _, _, ids = store.put_execution(execution, [], [again, again], reuse_context_if_already_exist=True)
    assert ids == [1, 1]
    assert not store.get_contexts_by_id([1])[0].custom_properties  # reused, not updated
    assert store.put_execution(execution, [], [pb.Context(id=2)], force_reuse_context=True)[2] == [2]
    with pytest.raises(errors.NotFoundError):
        store.put_execution(execution, [], [pb.Context(id=9)], force_reuse_context=True)
    with pytest.raises(errors.InvalidArgumentError, match="type_id"):
        store.put_execution(execution, [], [pb.Context(id=2)])
    assert world.counts() == [2, 4, 2]
    renamed = pb.Context(id=1, type_id=world.run, name="renamed")
    old = pb.Context(type_id=world.run, name="a")  # nobody's any more, once the first is stored
    _, _, ids = store.put_execution(execution, [], [renamed, old], reuse_context_if_already_exist=True)
    assert ids == [1, 3]


def test_artifacts_are_reused_by_external_id_on_demand(world: World) -> None:
    store, execution = world.store, pb.Execution(type_id=world.trainer)
    versions = [pb.Artifact(type_id=world.model, external_id="e", uri=uri) for uri in ("1", "2", "3")]
    reuse = {"reuse_artifact_if_already_exist_by_external_id": True}
    pairs = [(versions[0], event()), (versions[1], event(pb.Event.INPUT))]
    _, ids, _ = store.put_execution(execution, pairs, [], **reuse)
    assert ids == [3, 3]
    assert store.get_artifacts_by_id([3])[0].uri == "2"
    _, ids, _ = store.put_lineage_subgraph([], [versions[2]], [], [], **reuse)
    assert (ids, store.get_artifacts_by_id([3])[0].uri) == ([3], "3")
    with pytest.raises(errors.AlreadyExistsError):
        store.put_execution(execution, [(versions[0], event())], [])


def test_an_execution_is_stored_whole_or_not_at_all(world: World) -> None:
    store, execution = world.store, pb.Execution(type_id=world.trainer)
    new, run = pb.Artifact(type_id=world.model), pb.Context(type_id=world.run, name="new")
    before = world.counts()
    for pairs, error in (
        ([(new, event()), (None, event())], errors.InvalidArgumentError),
        ([(new, event()), (pb.Artifact(id=1), event(artifact_id=2))], errors.InvalidArgumentError),
        ([(new, event()), (pb.Artifact(id=1), event(execution_id=1))], errors.InvalidArgumentError),
        ([(new, event()), (pb.Artifact(id=1), pb.Event())], errors.InvalidArgumentError),
        (
            [(new, event()), (pb.Artifact(id=1), event()), (pb.Artifact(id=1), event())],
            errors.AlreadyExistsError,
        ),
        ([(new, event()), (pb.Artifact(type_id=99), None)], errors.NotFoundError),
    ):
        with pytest.raises(error):
            store.put_execution(execution, pairs, [run])
    with pytest.raises(errors.NotFoundError):
        store.put_execution(pb.Execution(type_id=99), [(new, event())], [run])
    with pytest.raises(errors.InvalidArgumentError, match="No execution"):
        store._call("PutExecution", service.PutExecutionRequest())
    assert world.counts() == before


def test_the_update_time_of_an_execution_can_be_forced(world: World) -> None:
    (read,) = world.store.get_executions_by_id([1])
    world.store.put_execution(read, [], [])
    assert world.store.get_executions_by_id([1]) == [read]
    world.store.put_execution(read, [], [], force_update_time=True)
    (found,) = world.store.get_executions_by_id([1])
    assert found.last_update_time_since_epoch > read.last_update_time_since_epoch


def test_a_subgraph_at_once(world: World) -> None:
    nodes = (
        [pb.Execution(type_id=world.trainer)] * 2,
        [pb.Artifact(type_id=world.model)] * 2,
        [pb.Context(type_id=world.run, name=name) for name in ("a", "new")],
    )
    edges = [(0, 0, event()), (1, 0, event(pb.Event.INPUT)), (None, 1, event(execution_id=1)),
             (1, None, event(artifact_id=2))]  # fmt: skip
    with pytest.raises(errors.AlreadyExistsError):
        world.store.put_lineage_subgraph(*nodes, edges)
    assert world.counts() == [2, 2, 2]
    found = world.store.put_lineage_subgraph(*nodes, edges, reuse_context_if_already_exist=True)
    assert found == ([3, 4], [3, 4], [1, 3])
    events = world.store.get_events_by_execution_ids([1, 3, 4])
    assert [(e.execution_id, e.artifact_id) for e in events] == [(3, 3), (4, 3), (1, 4), (4, 2)]
    for context_id in (1, 3):
        assert [a.id for a in world.store.get_artifacts_by_context(context_id)] == [3, 4]
        assert sorted(e.id for e in world.store.get_executions_by_context(context_id)) == [3, 4]


@pytest.mark.parametrize(
    ("edge", "error"),
    [
        ((1, 0, event()), errors.OutOfRangeError),
        ((0, -1, event()), errors.OutOfRangeError),
        ((None, 0, event()), errors.InvalidArgumentError),
        ((0, None, event()), errors.InvalidArgumentError),
        ((0, 0, None), errors.InvalidArgumentError),
        ((0, 0, event(artifact_id=1)), errors.InvalidArgumentError),
        ((0, 0, pb.Event()), errors.InvalidArgumentError),
    ],
)
def test_edges_that_are_refused(world: World, edge: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        world.store.put_lineage_subgraph(
            [pb.Execution(type_id=world.trainer)], [pb.Artifact(type_id=world.model)], [], [edge]
        )
    assert world.counts() == [2, 2, 2]
