"""What keeps a store sound and small: retention, invariants, and finding artifacts by a condition."""

from __future__ import annotations

import pytest

from tidemill.errors import StoreError
from tidemill.metadata.filter import FilterError
from tidemill.metadata.model import Artifact, ArtifactState, NodeState, RunState
from tidemill.metadata.retention import RetentionPolicy
from tidemill.metadata.store import MetadataStore
from tidemill.testing.store_stories import claim_node, end_node, examples, model, start_run
from tidemill.types.json import digest

POLICY = RetentionPolicy(root="file:///pipelines", keep_last=1)


def _train(store: MetadataStore, run_id: str, *, end: RunState = RunState.COMPLETE) -> Artifact:
    """A run that made one model below the root of the policy, and ended."""
    start_run(store, run_id)
    made = end_node(store, run_id, "trainer", outputs={"x": [model(f"file:///pipelines/{run_id}")]})
    assert store.end_run(run_id, end, owner="driver")
    return made.only("x")


class StoreUpkeep:
    """The part of StoreSuite that `doctor`, `prune` and `artifacts list --filter` stand on."""

    def test_what_a_policy_lets_go(self, store: MetadataStore) -> None:
        """Old runs, oldest first; planning changes nothing, and what a kept run reused stays."""
        made = {run: _train(store, run) for run in ("r1", "r2", "r3")}
        start_run(store, "r4")
        end_node(store, "r4", "trainer", state=NodeState.CACHED, outputs={"x": [made["r2"]]})
        assert store.end_run("r4", RunState.COMPLETE, owner="driver")
        before = store.get_artifacts()
        planned = store.plan_retention(POLICY)
        assert [r.id for r in planned.runs] == ["r1", "r2", "r3"]
        assert ([a.id for a in planned.artifacts], [a.id for a in planned.kept]) == (
            [made["r1"].id, made["r3"].id], [made["r2"].id],
        )  # fmt: skip
        assert store.get_artifacts() == before
        only = RetentionPolicy(root="file:///pipelines", keep_last=1, pipeline="other")
        assert store.plan_retention(only).runs == ()
        assert store.plan_retention(RetentionPolicy(root="file:///elsewhere", keep_last=1)).artifacts == ()
        with pytest.raises(StoreError, match="keep_last"):
            store.plan_retention(RetentionPolicy(root="x", keep_last=0))

    def test_artifacts_go_in_two_steps(self, store: MetadataStore) -> None:
        """Marked, from which moment nothing reuses them, then deleted; again changes nothing."""
        old = _train(store, "r1")
        new = _train(store, "r2")
        marked = store.mark_for_deletion(POLICY)
        assert [a.id for a in marked.artifacts] == [old.id]
        assert [a.id for a in store.mark_for_deletion(POLICY).artifacts] == [old.id]
        assert [(a.id, a.state) for a in store.get_marked()] == [(old.id, ArtifactState.MARKED_FOR_DELETION)]
        for _ in range(2):
            store.mark_deleted([old.id, new.id])
        states = {a.id: a.state for a in store.get_artifacts()}
        assert states == {old.id: ArtifactState.DELETED, new.id: ArtifactState.LIVE}
        assert store.get_marked() == []

    def test_nothing_is_marked_while_a_run_is_running(self, store: MetadataStore) -> None:
        """It may be about to reuse what would be deleted."""
        _train(store, "r1")
        _train(store, "r2")
        start_run(store, "r3")
        with pytest.raises(StoreError, match="r3 is RUNNING"):
            store.mark_for_deletion(POLICY)
        assert store.get_marked() == []

    def test_a_sound_record_has_no_findings(self, store: MetadataStore) -> None:
        """Whatever state its nodes are in; a run whose IR is not kept is found."""
        version = digest({"name": "taxi"})
        store.put_pipeline_version(version, "taxi", '{"name": "taxi"}')
        start_run(store, "r1", version=version)
        for state in (NodeState.COMPLETE, NodeState.FAILED, NodeState.SKIPPED, NodeState.CANCELED):
            end_node(store, "r1", state.value, state=state)
        claim_node(store, "r1", "running")
        assert store.findings() == []
        start_run(store, "r2", version="lost")
        (found,) = store.findings()
        assert found.invariant == "a-run-has-a-version"
        assert "r2" in found.what

    def test_artifacts_are_found_by_a_condition(self, store: MetadataStore) -> None:
        """Newest first, cut at the limit; a condition that is none shows where."""
        start_run(store, "r1")
        made = end_node(store, "r1", "gen", outputs={"x": [examples(i) for i in range(5)], "m": [model()]})
        ids = [a.id for a in made.outputs["x"]]
        condition = "properties.span.int_value >= 2 AND type = 'Examples'"
        assert [a.id for a in store.find_artifacts(condition)] == ids[:1:-1]
        assert store.find_artifacts(condition, limit=2) == made.outputs["x"][:2:-1]
        assert store.find_artifacts("type = 'Nothing'") == []
        with pytest.raises(FilterError, match="column 7") as caught:
            store.find_artifacts("type == 'Model'")
        assert "^" in str(caught.value)
        assert caught.value.exit_code == 2
