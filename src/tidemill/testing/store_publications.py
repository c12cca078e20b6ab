"""How attempts end: published whole, published once, or not at all."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.errors import FencedError, StoreError
from tidemill.metadata.model import (
    Artifact,
    ArtifactState,
    ArtifactType,
    EventType,
    ExecutionState,
    NodeState,
    PropertyType,
    Publication,
)
from tidemill.metadata.store import MetadataStore
from tidemill.testing.store_races import MakeStore
from tidemill.testing.store_stories import claim_node, end_node, examples, model, snapshot, start_run

ENDS = [s for s in NodeState if s is not NodeState.RUNNING]
VALUES = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
)


def _complete(*artifacts: Artifact) -> Publication:
    return Publication(state=NodeState.COMPLETE, outputs={"x": artifacts})


NAMED = Artifact(type="Model", uri="u", name="one")
BAD = [
    (Publication(state=NodeState.COMPLETE, inputs={"x": [999]}), "999"),
    (Publication(state=NodeState.CACHED, outputs={"x": [Artifact(type="Model", uri="", id=999)]}), "999"),
    (_complete(Artifact(type="Modle", uri="u")), "Model"),
    (_complete(Artifact(type="Examples", uri="u", properties={"spam": 1})), "span"),
    (_complete(Artifact(type="Examples", uri="u", properties={"span": "1"})), "INT"),
    (Publication(state=NodeState.COMPLETE, properties={"loss": math.nan}), "NaN"),
    (Publication(state=NodeState.COMPLETE, properties={"rows": 2**63}), "large"),
    # The database's own uniqueness of names refuses the second `one`, after most was written.
    (_complete(model(), NAMED, NAMED), "contradicts"),
]


class StorePublications:
    """The part of StoreSuite that ends attempts."""

    def test_a_complete_node_is_published_whole(self, store: MetadataStore) -> None:
        """Execution, artifacts, their names and states, events with paths, the node's row."""
        start_run(store, "r1")
        given = end_node(store, "r1", "gen", outputs={"examples": [examples(3), examples(4)]})
        ended = end_node(
            store, "r1", "trainer", inputs={"examples": given.outputs["examples"]},
            outputs={"model": [Artifact(type="Model", uri="file:///m", custom_properties={"digest": "d"})]},
            properties={"seconds": 1.5, "reason": "first"}, cache_key="k1", message="first execution",
        )  # fmt: skip
        (execution,) = store.get_executions_by_id([ended.execution_id])
        assert execution.state is ExecutionState.COMPLETE
        assert execution.custom_properties == {"seconds": 1.5, "reason": "first"}
        assert execution.update_time >= execution.create_time > 0
        made = ended.only("model")
        assert (made.type, made.uri, made.state) == ("Model", "file:///m", ArtifactState.LIVE)
        assert (made.name, made.custom_properties) == ("r1/trainer/0/1/model/0", {"digest": "d"})
        assert store.get_artifact(made.id) == made
        events = store.get_events(execution_ids=[ended.execution_id])
        assert [(e.artifact_id, e.type, e.path) for e in events] == [
            (given.outputs["examples"][0].id, EventType.INPUT, ("examples", 0)),
            (given.outputs["examples"][1].id, EventType.INPUT, ("examples", 1)),
            (made.id, EventType.OUTPUT, ("model", 0)),
        ]
        record = store.get_nodes("r1")[1]
        assert (record.state, record.cache_key, record.message) == (
            NodeState.COMPLETE, "k1", "first execution",
        )  # fmt: skip
        assert record.end_time >= record.start_time

    @pytest.mark.parametrize("state", ENDS)
    def test_the_same_end_twice_is_recorded_once(self, store: MetadataStore, state: NodeState) -> None:
        """A lost answer can be asked for again; another end of the same claim is refused."""
        start_run(store, "r1")
        claim = claim_node(store, "r1", "a")
        outputs = {"model": [model()]} if state is NodeState.COMPLETE else {}
        publication = Publication(state=state, outputs=outputs)
        assert store.publish(claim, publication) == claim.execution_id
        before = snapshot(store, "r1")
        assert store.publish(claim, publication) == claim.execution_id
        for other in ENDS:
            if other is not state:
                with pytest.raises(FencedError, match=state.value):
                    store.publish(claim, Publication(state=other))
        assert snapshot(store, "r1") == before

    @pytest.mark.parametrize("state", ENDS)
    def test_a_stale_attempt_changes_nothing(self, store: MetadataStore, state: NodeState) -> None:
        """Neither while the newer attempt runs, nor after it ended."""
        start_run(store, "r1")
        stale = claim_node(store, "r1", "a")
        fresh = claim_node(store, "r1", "a", owner="other")
        before = snapshot(store, "r1")
        with pytest.raises(FencedError, match="attempt 2 of other"):
            store.publish(stale, Publication(state=state))
        assert snapshot(store, "r1") == before
        store.publish(fresh, Publication(state=NodeState.COMPLETE))
        before = snapshot(store, "r1")
        with pytest.raises(FencedError):
            store.publish(stale, Publication(state=state))
        assert snapshot(store, "r1") == before

    def test_what_makes_no_sense_is_refused(self, store: MetadataStore) -> None:
        """Claims that were not granted; ends that are none; new artifacts from the cache."""
        start_run(store, "r1")
        claim = claim_node(store, "r1", "a", attempt=1)
        refused = claim_node(store, "r1", "a", attempt=1)
        with pytest.raises(FencedError, match="granted"):
            store.publish(refused, Publication(state=NodeState.COMPLETE))
        for state, word in (
            (NodeState.RUNNING, "RUNNING"),
            (NodeState.CACHED, "stored"),
            (NodeState.SKIPPED, "no outputs"),
        ):
            with pytest.raises(StoreError, match=word):
                store.publish(claim, Publication(state=state, outputs={"model": [model()]}))

    @pytest.mark.parametrize(("publication", "word"), BAD)
    def test_a_failed_publication_leaves_nothing(
        self, store: MetadataStore, publication: Publication, word: str
    ) -> None:
        """Wherever it fails, all of it is undone, and the attempt can still be published."""
        start_run(store, "r1")
        claim = claim_node(store, "r1", "a")
        before = snapshot(store, "r1")
        with pytest.raises(StoreError, match=word):
            store.publish(claim, publication)
        assert snapshot(store, "r1") == before
        store.publish(claim, Publication(state=NodeState.COMPLETE, outputs={"x": [model()]}))
        assert store.get_nodes("r1")[0].state is NodeState.COMPLETE

    def test_properties_read_back_as_they_were(self, store: MetadataStore) -> None:
        """Of every kind and size, on artifacts and executions; True is not 1, and 1.0 is not 1."""

        @settings(max_examples=25, deadline=None)
        @given(values=st.dictionaries(st.text("abcäöü_ .", min_size=1), VALUES, max_size=5))
        def check(values: dict[str, Any]) -> None:
            run_id = f"r{store.statistics()['tidemill_run']}"
            start_run(store, run_id)
            artifact = Artifact(type="Model", uri="u", custom_properties=values)
            ended = end_node(store, run_id, "a", outputs={"x": [artifact]}, properties=values)
            (execution,) = store.get_executions_by_id([ended.execution_id])
            for found in (ended.only("x").custom_properties, execution.custom_properties):
                assert found == values
                assert {k: type(v) for k, v in found.items()} == {k: type(v) for k, v in values.items()}

        check()

    def test_thousands_of_artifacts_at_once(self, store: MetadataStore) -> None:
        """More than a database takes parameters in one statement; order is kept."""
        start_run(store, "r1")
        made = end_node(store, "r1", "gen", outputs={"x": [examples(i) for i in range(1200)]})
        assert [a.properties["span"] for a in made.outputs["x"]] == list(range(1200))
        used = end_node(store, "r1", "all", inputs={"x": made.outputs["x"][::-1]})
        events = store.get_events(execution_ids=[used.execution_id])
        by_index = sorted(events, key=lambda e: e.path[1])
        assert [e.artifact_id for e in by_index] == [a.id for a in made.outputs["x"]][::-1]

    def test_an_artifact_in_two_places(self, store: MetadataStore) -> None:
        """Candidate and baseline may be one model: one event, with both places in its path."""
        start_run(store, "r1")
        made = end_node(store, "r1", "a", outputs={"x": [model()]}).only("x")
        ended = end_node(
            store, "r1", "b", state=NodeState.CACHED,
            inputs={"model": [made], "baseline": [made]}, outputs={"best": [made], "all": [made, made]},
        )  # fmt: skip
        inputs, outputs = store.get_events(execution_ids=[ended.execution_id])
        assert inputs.path == ("model", 0, "baseline", 0)
        assert outputs.path == ("best", 0, "all", 0, "all", 1)
        assert ended.outputs == {"best": [made], "all": [made, made]}

    def test_a_cached_result_links_what_is_stored(self, store: MetadataStore) -> None:
        """No new artifact; the old one now belongs to both runs and both nodes."""
        start_run(store, "r1")
        made = end_node(store, "r1", "a", outputs={"x": [model()]}, cache_key="k")
        start_run(store, "r2", pipeline="other")
        reused = end_node(store, "r2", "b", state=NodeState.CACHED, outputs=made.outputs, cache_key="k")
        assert reused.outputs == made.outputs
        (execution,) = store.get_executions("r2")
        assert execution.state is ExecutionState.CACHED
        for run, pipeline in (("r1", "taxi"), ("r2", "other")):
            assert store.get_artifacts(run_id=run) == [made.only("x")]
            assert store.get_artifacts(pipeline=pipeline) == [made.only("x")]

    def test_a_skipped_node_says_why(self, store: MetadataStore) -> None:
        """MLMD has no such state: CANCELED with a reason."""
        start_run(store, "r1")
        end_node(store, "r1", "a", state=NodeState.SKIPPED, message="not blessed")
        (execution,) = store.get_executions("r1")
        assert execution.state is ExecutionState.CANCELED
        assert execution.custom_properties == {"skip_reason": "not blessed"}

    def test_what_a_failed_node_left_is_kept_but_never_live(self, store: MetadataStore) -> None:
        """Its anomalies can be looked at; no later node gets them."""
        start_run(store, "r1")
        ended = end_node(
            store, "r1", "gen", state=NodeState.FAILED, outputs={"x": [examples(1)]}, message="bad",
            cache_key="k",
        )  # fmt: skip
        (execution,) = store.get_executions("r1")
        assert execution.state is ExecutionState.FAILED
        assert execution.custom_properties == {"error": "bad"}
        assert ended.only("x").state is ArtifactState.ABANDONED
        assert store.get_window("taxi", "gen", "x", spans=5, until=9) == []
        assert store.find_cached("k") == []

    def test_two_openings_are_one_store(self, make_store: MakeStore, store: MetadataStore) -> None:
        """What one wrote, the other sees and builds on, types and contexts included."""
        other = make_store()
        start_run(store, "r1", types=[ArtifactType(name="Model")])
        first = end_node(other, "r1", "a", outputs={"x": [model()]})
        start_run(other, "r2", types=[ArtifactType(name="Model", properties={"loss": PropertyType.DOUBLE})])
        claim = claim_node(other, "r2", "a")
        better = Artifact(type="Model", uri="u", properties={"loss": 0.5})
        store.publish(claim, Publication(state=NodeState.COMPLETE, outputs={"x": [better]}))
        other.close()
        assert store.get_outputs([first.execution_id]) == {first.execution_id: first.outputs}
        assert store.get_artifacts(run_id="r2")[0].properties == {"loss": 0.5}

    def test_a_closed_store_says_so(self, store: MetadataStore) -> None:
        """Closing twice is allowed, using it afterwards is not."""
        store.close()
        store.close()
        with pytest.raises(StoreError, match="closed"):
            store.get_runs()
