"""Whoever walks a lineage, the database or we level by level, finds the same graph; and so does a client."""

from __future__ import annotations

import random

import pytest

from tidemill.metadata.sql.mlmd import lineage
from tidemill.metadata.sql.sqlite import SqliteDialect
from tidemill.mlmd import MetadataStore, errors
from tidemill.mlmd import metadata_store_pb2 as pb

KINDS = ("artifacts", "executions", "contexts")
QUERY = pb.LineageSubgraphQueryOptions


@pytest.fixture
def tangled(store: MetadataStore) -> MetadataStore:
    """Sixty nodes with many ways between them, circles among them."""
    dice = random.Random(3)
    model = store.put_artifact_type(pb.ArtifactType(name="Model", properties={"span": pb.INT}))
    trainer = store.put_execution_type(pb.ExecutionType(name="Trainer"))
    run = store.put_context_type(pb.ContextType(name="Run"))
    artifacts = [pb.Artifact(type_id=model) for _ in range(30)]
    for number, artifact in enumerate(artifacts):
        artifact.properties["span"].int_value = number
    edges = {(dice.randrange(30), dice.randrange(30), dice.choice((1, 2, 3, 4, 5))) for _ in range(45)}
    store.put_lineage_subgraph(
        [pb.Execution(type_id=trainer) for _ in range(30)],
        artifacts,
        [pb.Context(type_id=run, name="r")],
        [(e, a, pb.Event(type=kind, milliseconds_since_epoch=7)) for e, a, kind in sorted(edges)],
    )
    return store


def ask(store: MetadataStore, options: QUERY) -> pb.LineageGraph:
    graph = store.get_lineage_subgraph(options)
    for field in KINDS:
        ids = [node.id for node in getattr(graph, field)]
        assert ids == sorted(set(ids))
    return graph


@pytest.mark.parametrize("direction", [1, 2, 3])
@pytest.mark.parametrize("hops", [None, 0, 1, 2, 3, 7])
@pytest.mark.parametrize("kind", ["artifacts", "executions"])
def test_the_database_walks_as_we_do(
    tangled: MetadataStore, monkeypatch: pytest.MonkeyPatch, direction: int, hops: int | None, kind: str
) -> None:
    for start in ("id = 1", "id < 4", "id = 17"):
        options = QUERY(direction=direction, max_num_hops=hops)
        getattr(options, f"starting_{kind}").filter_query = start
        monkeypatch.setattr(SqliteDialect, "walks", True)
        by_database = ask(tangled, options)
        monkeypatch.setattr(SqliteDialect, "walks", False)
        assert by_database == ask(tangled, options)


def test_a_walk_that_takes_too_many_steps_is_made_level_by_level(
    tangled: MetadataStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = QUERY(direction=3, max_num_hops=12)
    options.starting_artifacts.filter_query = "id = 1"
    before = ask(tangled, options)
    monkeypatch.setattr(lineage, "_MOST_STEPS", 10)
    assert ask(tangled, options) == before


def test_more_nodes_than_an_answer_may_have_are_refused(
    tangled: MetadataStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = QUERY(direction=3)
    options.starting_artifacts.filter_query = "id < 9"
    monkeypatch.setattr(lineage, "MOST_NODES", 8)
    for walks in (True, False):
        monkeypatch.setattr(SqliteDialect, "walks", walks)
        with pytest.raises(errors.FailedPreconditionError, match="more than 8 nodes"):
            tangled.get_lineage_subgraph(options)


@pytest.mark.parametrize("paths", [None, ["artifacts", "execution_types"], ["events"], ["contexts"]])
def test_one_transaction_answers_what_many_do(tangled: MetadataStore, paths: list[str] | None) -> None:
    """A client of a server asks for the skeleton and then for nodes and types."""
    options = QUERY(direction=3, max_num_hops=4)
    options.starting_artifacts.filter_query = "id = 2"
    whole = tangled.get_lineage_subgraph(options, paths)
    connection = tangled._connection
    tangled._connection = type(connection)(connection.call, connection.close)
    assert tangled.get_lineage_subgraph(options, paths) == whole
