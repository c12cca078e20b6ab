"""Lists: order, limit, pages, filters; and the lineage query."""

from __future__ import annotations

from typing import Any

import pytest

from tidemill.metadata.sql.mlmd import lineage
from tidemill.mlmd import ListOptions, MetadataStore, OrderByField, errors
from tidemill.mlmd import metadata_store_pb2 as pb
from tidemill.mlmd import metadata_store_service_pb2 as service

COUNT = 230
"""More than two pages of the client."""


@pytest.fixture
def many(store: MetadataStore) -> MetadataStore:
    """Artifacts whose order by update time is not that by id; every third is in the context."""
    model = store.put_artifact_type(pb.ArtifactType(name="Model"))
    ids = store.put_artifacts([pb.Artifact(type_id=model, uri=f"u{i % 10}") for i in range(COUNT)])
    run = store.put_context_type(pb.ContextType(name="run"))
    store.put_contexts([pb.Context(type_id=run, name="r")])
    links = [pb.Attribution(artifact_id=i, context_id=1) for i in ids[::3]]
    store.put_attributions_and_associations(links, [])
    store.put_artifacts([pb.Artifact(id=i, uri="late") for i in reversed(ids[:5])])
    return store


def ids(found: list[Any]) -> list[int]:
    return [node.id for node in found]


def test_orders_and_limits(many: MetadataStore) -> None:
    everything = list(range(1, COUNT + 1))
    assert ids(many.get_artifacts()) == ids(many.get_artifacts(ListOptions())) == everything
    newest = ListOptions(order_by=OrderByField.ID, is_asc=False)
    assert ids(many.get_artifacts(newest)) == everything[::-1]
    for limit in (1, 99, 100, 101, 229, 230, 1000):
        assert ids(many.get_artifacts(ListOptions(limit=limit))) == everything[:limit]
    by_update = ids(many.get_artifacts(ListOptions(order_by=OrderByField.UPDATE_TIME)))
    assert by_update == everything[5:] + everything[:5]
    assert (
        ids(many.get_artifacts(ListOptions(order_by=OrderByField.UPDATE_TIME, is_asc=False)))
        == by_update[::-1]
    )
    assert ids(many.get_artifacts(ListOptions(order_by=OrderByField.CREATE_TIME, is_asc=False)))[0] == COUNT
    with pytest.raises(errors.InvalidArgumentError, match="limit"):
        many.get_artifacts(ListOptions(limit=-1))


def test_lists_of_a_context(many: MetadataStore) -> None:
    assert ids(many.get_artifacts_by_context(1)) == list(range(1, COUNT + 1, 3))
    newest = ListOptions(limit=2, order_by=OrderByField.ID, is_asc=False)
    assert ids(many.get_artifacts_by_context(1, newest)) == [229, 226]
    narrow = ListOptions(filter_query="uri = 'u9'")
    assert ids(many.get_artifacts_by_context(1, narrow)) == list(range(10, COUNT + 1, 30))


def test_executions_of_a_context_come_newest_first(store: MetadataStore) -> None:
    trainer = store.put_execution_type(pb.ExecutionType(name="T"))
    run = pb.Context(type_id=store.put_context_type(pb.ContextType(name="run")), name="r")
    for _ in range(3):
        store.put_execution(pb.Execution(type_id=trainer), [], [run], reuse_context_if_already_exist=True)
    assert ids(store.get_executions_by_context(1)) == [3, 2, 1]
    assert ids(store.get_executions_by_context(1, ListOptions(limit=2))) == [1, 2]


def test_filters(many: MetadataStore) -> None:
    assert ids(many.get_artifacts(ListOptions(filter_query="uri = 'late'"))) == [1, 2, 3, 4, 5]
    paged = ListOptions(filter_query="uri LIKE 'u%'", order_by=OrderByField.ID, is_asc=False)
    assert ids(many.get_artifacts(paged)) == list(range(COUNT, 5, -1))
    joined = ListOptions(filter_query="contexts_a.name = 'r' AND id < 10")
    assert ids(many.get_artifacts(joined)) == [1, 4, 7]
    for mistake in ("uri =", "nobody = 1", "uri = 'a'; DROP TABLE Artifact"):
        with pytest.raises(errors.InvalidArgumentError):
            many.get_artifacts(ListOptions(filter_query=mistake))


def page(store: MetadataStore, **options: Any) -> Any:
    return store._call("GetArtifacts", service.GetArtifactsRequest(options=options))


def test_pages_are_cut_by_place(many: MetadataStore) -> None:
    """What is stored between two pages neither repeats nor hides anything."""
    first = page(many, max_result_size=100)
    many.put_artifacts([pb.Artifact(type_id=10, uri="between")])
    second = page(many, max_result_size=1000, next_page_token=first.next_page_token)
    assert ids(first.artifacts) + ids(second.artifacts) == list(range(1, COUNT + 2))
    assert not second.next_page_token
    assert len(page(many, max_result_size=10_000).artifacts) == COUNT + 1


@pytest.mark.parametrize(
    "options",
    [
        {"next_page_token": "!!"},
        {"next_page_token": "AAAA"},
        {"max_result_size": 0},
        {"max_result_size": -1},
        {"order_by_field": {"field": 0}},
    ],
)
def test_pages_that_are_refused(many: MetadataStore, options: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidArgumentError):
        page(many, **options)


def test_a_token_is_good_for_one_order(many: MetadataStore) -> None:
    token = page(many, max_result_size=5).next_page_token
    with pytest.raises(errors.InvalidArgumentError, match="another order"):
        page(many, next_page_token=token, order_by_field={"is_asc": False})


def test_lists_of_a_type_have_pages_too(many: MetadataStore) -> None:
    request = service.GetArtifactsByTypeRequest(type_name="Model", options={"max_result_size": 200})
    first = many._call("GetArtifactsByType", request)
    request.options.next_page_token = first.next_page_token
    assert len(first.artifacts) + len(many._call("GetArtifactsByType", request).artifacts) == COUNT


HOPS = 150


@pytest.fixture
def chain(store: MetadataStore) -> MetadataStore:
    """a1 -> e1 -> a2 -> ... -> e150 -> a151, all in one context; and e151, which uses a1 alone."""
    model = store.put_artifact_type(pb.ArtifactType(name="Model"))
    trainer = store.put_execution_type(pb.ExecutionType(name="T"))
    run = store.put_context_type(pb.ContextType(name="run"))
    edges = [(i, i, pb.Event(type=pb.Event.INPUT)) for i in range(HOPS)]
    edges += [(i, i + 1, pb.Event(type=pb.Event.OUTPUT)) for i in range(HOPS)]
    edges.append((HOPS, 0, pb.Event(type=pb.Event.DECLARED_INPUT)))
    store.put_lineage_subgraph(
        [pb.Execution(type_id=trainer) for _ in range(HOPS + 1)],
        [pb.Artifact(type_id=model, uri=f"u{i}") for i in range(HOPS + 1)],
        [pb.Context(type_id=run, name="r")],
        edges,
    )
    return store


def ask(store: MetadataStore, query: str, mask: list[str] | None = None, **options: Any) -> Any:
    start = pb.LineageSubgraphQueryOptions.StartingNodes(filter_query=query)
    asked = pb.LineageSubgraphQueryOptions(**({"starting_artifacts": start} | options))
    return store.get_lineage_subgraph(asked, mask)


def test_lineage_is_not_cut_at_100_hops(chain: MetadataStore) -> None:
    whole = ask(chain, "uri = 'u0'")
    assert (len(whole.artifacts), len(whole.executions), len(whole.events)) == (151, 151, 301)
    assert len(whole.attributions) == len(whole.associations) == 151
    assert [t.name for t in (*whole.artifact_types, *whole.execution_types, *whole.context_types)] == [
        "Model",
        "T",
        "run",
    ]
    assert len(ask(chain, "uri = 'u150'", max_num_hops=240, direction=1).executions) == 120
    upstream = ask(chain, "uri = 'u150'", direction=pb.LineageSubgraphQueryOptions.UPSTREAM)
    assert (len(upstream.artifacts), len(upstream.executions)) == (151, 150)
    downstream = ask(chain, "uri = 'u140'", direction=pb.LineageSubgraphQueryOptions.DOWNSTREAM)
    assert (len(downstream.artifacts), len(downstream.executions)) == (11, 10)


def test_lineage_from_executions_and_with_ends(chain: MetadataStore) -> None:
    nodes = pb.LineageSubgraphQueryOptions.StartingNodes(filter_query="id = 3")
    found = chain.get_lineage_subgraph(
        pb.LineageSubgraphQueryOptions(starting_executions=nodes, max_num_hops=1)
    )
    assert (ids(found.executions), ids(found.artifacts)) == ([3], [3, 4])
    ending = pb.LineageSubgraphQueryOptions.EndingNodes(filter_query="uri = 'u3'")
    found = ask(chain, "uri = 'u1'", ending_artifacts=ending, direction=2)
    assert (ids(found.artifacts), ids(found.executions), len(found.events)) == ([2, 3], [2, 3], 3)
    ending.include_ending_nodes = True
    found = ask(chain, "uri = 'u1'", ending_artifacts=ending, direction=2)
    assert (ids(found.artifacts), len(found.events)) == ([2, 3, 4], 4)


def test_lineage_fills_what_the_mask_names(chain: MetadataStore) -> None:
    found = ask(chain, "uri = 'u1'", ["events", "artifact_types"], max_num_hops=2)
    assert [field.name for field, _ in found.ListFields()] == ["artifact_types", "events"]
    assert not ask(chain, "uri = 'u1'", ["contexts"], max_num_hops=0).artifacts


def test_lineage_that_is_refused(chain: MetadataStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for options in ({"starting_artifacts": None}, {"max_num_hops": -1}):
        with pytest.raises(errors.InvalidArgumentError):
            ask(chain, "id = 1", **options)
    for query in ("", "id ="):
        with pytest.raises(errors.InvalidArgumentError):
            ask(chain, query)
    with pytest.raises(errors.NotFoundError):
        ask(chain, "uri = 'nobody'")
    monkeypatch.setattr(lineage, "MOST_NODES", 100)
    with pytest.raises(errors.FailedPreconditionError, match="max_num_hops"):
        ask(chain, "id = 1")
    assert len(ask(chain, "id = 1", max_num_hops=50).events) > 0
    with pytest.raises(errors.UnimplementedError, match="GetLineageSubgraph"):
        chain._call("GetLineageGraph", service.GetLineageGraphRequest())


@pytest.mark.parametrize("options", [None, ListOptions(limit=1)])
def test_no_context_has_the_id_0(many: MetadataStore, options: ListOptions | None) -> None:
    """It once meant any."""
    assert many.get_artifacts_by_context(0, options) == []
    assert many.get_executions_by_context(0, options) == []


def test_none_is_not_taken_for_nothing(many: MetadataStore) -> None:
    """Protobuf takes it for a field that was left out; MLMD's client raises TypeError too."""
    for ask in (
        lambda: many.get_artifacts_by_context(None),  # type: ignore[arg-type]  # what is tested
        lambda: many.get_artifacts_by_id(None),  # type: ignore[arg-type]  # what is tested
        lambda: many.get_artifacts_by_type(None),  # type: ignore[arg-type]  # what is tested
        lambda: many.put_events(None),  # type: ignore[arg-type]  # what is tested
        lambda: many.put_artifacts(None),  # type: ignore[arg-type]  # what is tested
    ):
        with pytest.raises(TypeError, match="is None; give a value"):
            ask()
    assert many.get_artifact_by_type_and_name("Model", "none", None) is None


def test_the_skeleton_of_a_lineage_has_every_type(many: MetadataStore) -> None:
    """MLMD's system types among them, which lists of types leave out."""
    request = service.GetLineageSubgraphRequest()
    request.lineage_subgraph_query_options.starting_artifacts.filter_query = "id = 1"
    found = many._call("GetLineageSubgraph", request).lineage_subgraph
    names = [t.name for t in found.artifact_types]
    assert (names[0], names[-1]) == ("mlmd.Dataset", "Model")
    assert len(found.execution_types) == 5
