"""What a store must answer: reading by id and context, and the questions of the launcher."""

from __future__ import annotations

from typing import Any

import pytest

from tidemill.metadata.model import (
    BLESSINGS,
    FAILURE,
    FINGERPRINT,
    REPRODUCED,
    Artifact,
    ArtifactState,
    EventType,
    FailureRecord,
    NodeState,
    RunState,
)
from tidemill.metadata.store import MetadataStore
from tidemill.testing.store_stories import (
    TYPES,
    end_node,
    examples,
    model,
    start_run,
    train_and_judge,
)


class StoreQuestions:
    """The part of StoreSuite that reads."""

    def test_an_empty_store_has_no_answers(self, store: MetadataStore) -> None:
        """Nothing found is an empty answer, not an error."""
        assert store.get_runs() == []
        assert store.get_nodes("r") == []
        assert store.get_executions("r") == store.get_executions("r", "a") == []
        assert store.get_artifact(1) is None
        assert store.get_artifacts() == store.get_artifacts(run_id="r", pipeline="p", type="T") == []
        assert store.get_artifacts_by_id([1]) == []
        assert store.get_executions_by_id([1]) == []
        assert store.get_outputs([1]) == store.get_outputs([]) == {}
        assert store.get_events() == store.get_events(artifact_ids=[1], execution_ids=[1]) == []
        assert store.get_contexts_by_execution(1) == []
        assert store.get_failures() == store.get_failures(pipeline="p", fingerprint="f", since=1) == []
        assert store.find_cached("k") == store.find_cached("") == []
        assert store.last_cache_key("p", "a") is None
        assert store.latest_blessed("p", "a", "model") is None
        assert store.get_window("p", "a", "x", spans=3, until=9) == []
        assert store.get_nodes("r", [("a", None), ("b", 3)]) == store.get_nodes("r", []) == []
        assert store.find_outputs("p", "a", "x") == []

    def test_executions_and_artifacts_by_id(self, store: MetadataStore) -> None:
        """In id order, each once; unknown ids are left out."""
        start_run(store, "r1")
        made = [end_node(store, "r1", n, outputs={"x": [model()]}) for n in ("a", "b", "c")]
        ids = [m.execution_id for m in made]
        assert [e.id for e in store.get_executions_by_id([ids[2], 999, ids[0], ids[2]])] == [ids[0], ids[2]]
        artifacts = [m.only("x").id for m in made]
        assert [a.id for a in store.get_artifacts_by_id([*artifacts[::-1], 999])] == artifacts

    def test_artifacts_by_type_run_and_pipeline(self, store: MetadataStore) -> None:
        """Newest first, every condition counts, cut at the limit."""
        found = {}
        for run, pipeline in (("r1", "p"), ("r2", "p"), ("r3", "q")):
            start_run(store, run, pipeline=pipeline)
            ended = end_node(store, run, "a", outputs={"x": [examples(1)], "m": [model()]})
            found[run] = [ended.only("m").id, ended.only("x").id]

        def ids(artifacts: list[Artifact]) -> list[int]:
            return [a.id for a in artifacts]

        assert ids(store.get_artifacts()) == found["r3"] + found["r2"] + found["r1"]
        assert ids(store.get_artifacts(limit=3)) == found["r3"] + found["r2"][:1]
        assert ids(store.get_artifacts(run_id="r2")) == found["r2"]
        assert ids(store.get_artifacts(pipeline="p")) == found["r2"] + found["r1"]
        assert ids(store.get_artifacts(pipeline="p", type="Model")) == [found["r2"][0], found["r1"][0]]
        assert ids(store.get_artifacts(pipeline="q", run_id="r1")) == []

    def test_a_reproduction_blesses_nobody(self, store: MetadataStore) -> None:
        """Its judge looks at the original's model, but only to compare."""
        trained = train_and_judge(store, "r1", blessed=0, date="2024-01-05")
        start_run(store, "again", pipeline=f"taxi{REPRODUCED}", date="2024-01-05")
        verdict = Artifact(type="ModelBlessing", uri="file:///b", custom_properties={"blessed": 1})
        end_node(store, "again", "evaluator", inputs={"model": [trained]}, outputs={"blessing": [verdict]})
        assert store.latest_blessed("taxi", "trainer", "model") is None
        assert store.latest_blessed("taxi", "trainer", "model", before="2024-01-06") is None
        start_run(store, "r2", date="2024-01-05")
        end_node(store, "r2", "evaluator", inputs={"model": [trained]}, outputs={"blessing": [verdict]})
        assert store.latest_blessed("taxi", "trainer", "model") == trained
        assert store.latest_blessed("taxi", "trainer", "model", before="2024-01-06") == trained

    def test_nodes_are_in_order_of_their_first_claim(self, store: MetadataStore) -> None:
        """A retry does not move a node to the end."""
        start_run(store, "r1")
        end_node(store, "r1", "z", state=NodeState.FAILED)
        end_node(store, "r1", "a")
        end_node(store, "r1", "z")
        assert [(n.node_id, n.attempt) for n in store.get_nodes("r1")] == [("z", 2), ("a", 1)]

    def test_failures_are_the_last_attempts_of_failed_nodes(self, store: MetadataStore) -> None:
        """Newest first, every condition counts; what succeeded later is no failure any more."""
        made = {}
        for run, pipeline, print_ in (("r1", "p", "F1"), ("r2", "q", "f1"), ("r3", "p", "f1")):
            start_run(store, run, pipeline=pipeline)
            found = {FAILURE: "EXCEPTION", FINGERPRINT: print_}
            ended = end_node(store, run, "a", state=NodeState.FAILED, properties=found, message="why")
            made[run] = ended.execution_id
            end_node(store, run, "retried", state=NodeState.FAILED, properties={FAILURE: "KILLED"})
            end_node(store, run, "mended", state=NodeState.FAILED, properties=found)
            end_node(store, run, "mended")

        def ids(failures: list[FailureRecord]) -> list[int]:
            return [failure.execution_id for failure in failures]

        every = store.get_failures()
        assert ids(every) == [made["r3"], made["r2"], made["r1"]]
        assert ids(store.get_failures(fingerprint="f1")) == [made["r3"], made["r2"]]
        assert ids(store.get_failures(fingerprint="f1", pipeline="p")) == [made["r3"]]
        assert ids(store.get_failures(pipeline="P")) == []
        assert ids(store.get_failures(limit=2)) == [made["r3"], made["r2"]]
        last = every[0]
        assert ids(store.get_failures(since=last.time)) != []
        assert store.get_failures(since=last.time + 60_000) == []
        assert (last.run_id, last.pipeline, last.version, last.node_id) == ("r3", "p", "v1", "a")
        assert (last.iteration, last.attempt, last.kind) == (0, 1, "EXCEPTION")
        assert (last.fingerprint, last.message) == ("f1", "why")

    def test_events_by_artifact_and_by_execution(self, store: MetadataStore) -> None:
        """Of either kind of id, in one list without repetition."""
        start_run(store, "r1")
        made = end_node(store, "r1", "a", outputs={"x": [model()]})
        used = end_node(store, "r1", "b", inputs={"x": [made.only("x")]})
        end_node(store, "r1", "c", inputs={"x": [made.only("x")]})
        by_artifact = store.get_events(artifact_ids=[made.only("x").id])
        assert [e.type for e in by_artifact] == [EventType.OUTPUT, EventType.INPUT, EventType.INPUT]
        assert store.get_events(execution_ids=[used.execution_id]) == by_artifact[1:2]
        both = store.get_events(artifact_ids=[made.only("x").id], execution_ids=[used.execution_id])
        assert both == by_artifact

    def test_cached_executions(self, store: MetadataStore) -> None:
        """Those that really ran to the end under the key, newest first, from any run."""
        ids = []
        for i in range(3):
            start_run(store, f"r{i}")
            ids.append(end_node(store, f"r{i}", "a", outputs={"x": [model()]}, cache_key="k").execution_id)
        end_node(store, "r2", "other", cache_key="l")
        end_node(store, "r2", "again", state=NodeState.CACHED, cache_key="k")
        end_node(store, "r2", "wrong", state=NodeState.FAILED, cache_key="k")
        assert store.get_failures() == store.get_failures(pipeline="p", fingerprint="f", since=1) == []
        assert store.find_cached("k") == ids[::-1]
        assert store.find_cached("k", limit=1) == ids[2:]

    def test_the_last_cache_key(self, store: MetadataStore) -> None:
        """Of this pipeline's node, in the newest run where it really ran."""
        start_run(store, "r1")
        first = end_node(store, "r1", "a", cache_key="k1")
        assert store.last_cache_key("taxi", "a") == ("k1", first.execution_id)
        start_run(store, "r2")
        end_node(store, "r2", "a", state=NodeState.CACHED, cache_key="k2")
        start_run(store, "r3", pipeline="other")
        end_node(store, "r3", "a", cache_key="k3")
        assert store.last_cache_key("taxi", "a") == ("k1", first.execution_id)
        start_run(store, "r4")
        last = end_node(store, "r4", "a", cache_key="k4")
        assert store.last_cache_key("taxi", "a") == ("k4", last.execution_id)

    # --- blessed models --------------------------------------------------------------------------

    def test_the_latest_blessed_model(self, store: MetadataStore) -> None:
        """The newest that was judged good; refused ones and other pipelines' do not count."""
        good = train_and_judge(store, "r1", blessed=1)
        assert store.latest_blessed("taxi", "trainer", "model") == good
        train_and_judge(store, "r2", blessed=0)
        train_and_judge(store, "r3", blessed=1, pipeline="other")
        assert store.latest_blessed("taxi", "trainer", "model") == good
        better = train_and_judge(store, "r4", blessed=1)
        assert store.latest_blessed("taxi", "trainer", "model") == better
        assert store.latest_blessed("taxi", "trainer", "other_output") is None
        assert store.latest_blessed("taxi", "evaluator", "model") is None

    def test_blessed_before_a_date(self, store: MetadataStore) -> None:
        """A backfill sees the champion of its day; the day itself and runs without a date do not count."""
        days = {d: train_and_judge(store, f"r{d}", blessed=1, date=f"2024-01-0{d}") for d in (3, 1, 2)}
        train_and_judge(store, "undated", blessed=1)
        for day in (1, 2, 3):
            found = store.latest_blessed("taxi", "trainer", "model", before=f"2024-01-0{day}")
            assert found == days.get(day - 1)
        # Day 3 is the newest, although it was trained first.
        assert store.latest_blessed("taxi", "trainer", "model", before="2024-01-09") == days[3]

    def test_blessed_again_from_the_cache(self, store: MetadataStore) -> None:
        """A model that several runs share counts under the date of each of them."""
        shared = train_and_judge(store, "r5", blessed=1, date="2024-01-05")
        start_run(store, "r1", date="2024-01-01", pipeline="other")
        end_node(store, "r1", "trainer", state=NodeState.CACHED, outputs={"model": [shared]})
        assert store.latest_blessed("taxi", "trainer", "model", before="2024-01-03") is None
        start_run(store, "r2", date="2024-01-02")
        end_node(store, "r2", "trainer", state=NodeState.CACHED, outputs={"model": [shared]})
        # It was blessed on the fifth only, so on the third it was no champion yet.
        assert store.latest_blessed("taxi", "trainer", "model", before="2024-01-03") is None
        verdict = Artifact(type="ModelBlessing", uri="u", custom_properties={"blessed": 1})
        end_node(store, "r2", "evaluator", inputs={"model": [shared]}, outputs={"blessing": [verdict]})
        assert store.latest_blessed("taxi", "trainer", "model", before="2024-01-03") == shared

    def test_out_of_the_cache_is_as_new_as_newly_made(self, store: MetadataStore) -> None:
        """Work that was done with A, then with B, then with A again, goes on with A."""
        first = train_and_judge(store, "a", blessed=1, date="2024-01-01")
        second = train_and_judge(store, "b", blessed=1, date="2024-01-01")
        assert store.latest_blessed("taxi", "trainer", "model", before="2024-01-02") == second
        start_run(store, "a2", date="2024-01-01")
        end_node(store, "a2", "trainer", state=NodeState.CACHED, outputs={"model": [first]})
        for before in ("", "2024-01-02"):
            assert store.latest_blessed("taxi", "trainer", "model", before=before) == first
        made = {}
        for run, uri in (("g1", "A"), ("g2", "B")):
            start_run(store, run)
            made[uri] = end_node(store, run, "gen", outputs={"x": [examples(1, uri=uri)]})
        assert [a.uri for a in store.get_window("taxi", "gen", "x", spans=2, until=9)] == ["B"]
        start_run(store, "g3")
        end_node(store, "g3", "gen", state=NodeState.CACHED, outputs=made["A"].outputs)
        assert [a.uri for a in store.get_window("taxi", "gen", "x", spans=2, until=9)] == ["A"]

    def test_a_judged_model_is_an_input_of_the_judge(self, store: MetadataStore) -> None:
        """A model that only came from the same run, or a verdict of another type, blesses nothing."""
        start_run(store, "r1")
        verdict = Artifact(type="ModelBlessing", uri="u", custom_properties={"blessed": 1})
        made = end_node(
            store, "r1", "trainer", outputs={"model": [model()], "praises_itself": [verdict]}
        ).only("model")
        end_node(store, "r1", "evaluator", outputs={"blessing": [verdict]})
        other = Artifact(type="Examples", uri="u", custom_properties={"blessed": 1})
        end_node(store, "r1", "validator", inputs={"model": [made]}, outputs={"x": [other]})
        inputs, outputs = {"model": [made]}, {"blessing": [verdict]}
        end_node(store, "r1", "broken", state=NodeState.FAILED, inputs=inputs, outputs=outputs)
        assert store.latest_blessed("taxi", "trainer", "model") is None
        end_node(store, "r1", "late_evaluator", inputs=inputs, outputs=outputs)
        assert store.latest_blessed("taxi", "trainer", "model") == made

    def test_a_persons_word_on_a_model_is_the_last(self, store: MetadataStore) -> None:
        """The newest one decides, against every judge, and judges of later do not overrule it."""
        good = train_and_judge(store, "r1", blessed=1, date="2024-01-01")
        bad = train_and_judge(store, "r2", blessed=0, date="2024-01-02")

        def champions() -> tuple[Artifact | None, ...]:
            dates = ("", "2024-01-02", "2024-01-09")
            return tuple(store.latest_blessed("taxi", "trainer", "model", before=d) for d in dates)

        def say(run_id: str, about: Artifact, blessed: int, date: str) -> None:
            start_run(store, run_id, pipeline=f"taxi{BLESSINGS}", date=date)
            word = Artifact(type="ModelBlessing", uri="u", custom_properties={"blessed": blessed})
            end_node(store, run_id, "word", inputs={"model": [about]}, outputs={"blessing": [word]})

        assert champions() == (good, good, good)
        say("w1", bad, 1, "2024-01-02")
        assert champions() == (bad, good, bad)
        say("w2", good, 0, "2024-01-01")
        assert champions() == (bad, None, bad)
        say("w3", bad, 0, "2024-01-02")
        assert champions() == (None, None, None)
        start_run(store, "r3", date="2024-01-03")
        end_node(store, "r3", "trainer", state=NodeState.CACHED, outputs={"model": [good]})
        verdict = Artifact(type="ModelBlessing", uri="u", custom_properties={"blessed": 1})
        end_node(store, "r3", "evaluator", inputs={"model": [good]}, outputs={"blessing": [verdict]})
        assert champions() == (None, None, None)
        say("w4", good, 1, "2024-01-01")
        assert champions() == (good, good, good)

    # --- windows ---------------------------------------------------------------------------------

    def test_a_window_of_spans(self, store: MetadataStore) -> None:
        """The newest artifact of each of the newest spans before `until`, oldest first."""
        start_run(store, "r1")
        for number, span in enumerate((4, 2, 7, 1, 4)):
            end_node(store, "r1", "gen", iteration=number, outputs={"x": [examples(span, uri=f"{number}")]})

        def window(spans: int, until: int) -> list[tuple[object, str]]:
            found = store.get_window("taxi", "gen", "x", spans=spans, until=until)
            assert all(a.state is ArtifactState.LIVE for a in found)
            return [(a.properties["span"], a.uri) for a in found]

        assert window(2, 5) == [(2, "1"), (4, "4")]
        assert window(9, 100) == [(1, "3"), (2, "1"), (4, "4"), (7, "2")]
        assert window(1, 7) == [(4, "4")]
        assert window(3, 1) == []
        assert store.get_window("taxi", "gen", "y", spans=3, until=9) == []
        assert store.get_window("taxi", "x", "x", spans=3, until=9) == []
        assert store.get_window("other", "gen", "x", spans=3, until=9) == []

    @pytest.mark.parametrize("state", [s for s in NodeState if s is not NodeState.RUNNING])
    def test_a_window_of_what_passed(self, store: MetadataStore, state: NodeState) -> None:
        """Only from runs in which the named node succeeded; a bad day is left out, not waited for."""
        for day in (1, 2, 3):
            start_run(store, f"r{day}")
            end_node(store, f"r{day}", "gen", outputs={"x": [examples(day)]})
            end_node(store, f"r{day}", "check", state=state if day == 2 else NodeState.COMPLETE)
        start_run(store, "r4")
        end_node(store, "r4", "gen", outputs={"x": [examples(4)]})  # never checked
        found = store.get_window("taxi", "gen", "x", spans=2, until=9, passed="check")
        assert [a.properties["span"] for a in found] == ([2, 3] if state.succeeded else [1, 3])

    def test_a_window_over_shared_examples(self, store: MetadataStore) -> None:
        """Examples that failed in one run count when they passed in another that reused them."""
        start_run(store, "r1")
        made = end_node(store, "r1", "gen", outputs={"x": [examples(1)]})
        end_node(store, "r1", "check", state=NodeState.FAILED)
        assert store.get_window("taxi", "gen", "x", spans=2, until=9, passed="check") == []
        start_run(store, "r2")
        end_node(store, "r2", "gen", state=NodeState.CACHED, outputs=made.outputs)
        end_node(store, "r2", "check")
        assert store.get_window("taxi", "gen", "x", spans=2, until=9, passed="check") == [made.only("x")]

    def test_row_counts(self, store: MetadataStore) -> None:
        """By table, so that a doctor can compare."""
        start_run(store, "r1", types=TYPES)
        end_node(store, "r1", "a", outputs={"x": [examples(1)]})
        counts = store.statistics()
        assert (counts["tidemill_run"], counts["tidemill_node"], counts["Execution"]) == (1, 1, 1)
        assert (counts["Artifact"], counts["Event"], counts["EventPath"]) == (1, 1, 2)
        assert (counts["Association"], counts["Attribution"], counts["ParentContext"]) == (3, 3, 1)

    def test_nodes_by_key(self, store: MetadataStore) -> None:
        """One iteration, or all of them; in order of their first claim, each once."""
        start_run(store, "r1")
        for node, iteration in (("a", 0), ("b", 2), ("b", 0), ("c", 1), ("b", 1)):
            end_node(store, "r1", node, iteration=iteration)

        def keys(*wanted: tuple[str, int | None]) -> list[tuple[str, int]]:
            return [(n.node_id, n.iteration) for n in store.get_nodes("r1", wanted)]

        assert keys(("b", None)) == [("b", 2), ("b", 0), ("b", 1)]
        assert keys(("b", 1), ("a", 0), ("c", 0), ("x", None)) == [("a", 0), ("b", 1)]
        assert keys(("b", 1), ("b", None)) == [("b", 2), ("b", 0), ("b", 1)]
        assert keys() == []

    def test_outputs_of_earlier_runs(self, store: MetadataStore) -> None:
        """Newest first, each once, by every condition; from the cache counts as new."""
        found: dict[str, Artifact] = {}
        for run, date, span in (("r1", "2024-01-02", 2), ("r2", "2024-01-01", 1), ("r3", "", 3)):
            start_run(store, run, date=date)
            found[run] = end_node(store, run, "gen", outputs={"x": [examples(span)]}).only("x")
            end_node(store, run, "other", outputs={"x": [examples(9)], "y": [model()]})
        store.end_run("r2", RunState.COMPLETE, owner="driver")
        start_run(store, "q1", pipeline="q")
        end_node(store, "q1", "gen", outputs={"x": [examples(1)]})

        def runs(**wanted: Any) -> list[str]:
            by_id = {artifact.id: run for run, artifact in found.items()}
            return [by_id[a.id] for a in store.find_outputs("taxi", "gen", "x", **wanted)]

        assert runs() == ["r3", "r2", "r1"]
        assert runs(limit=2) == ["r3", "r2"]
        assert runs(but="r3") == ["r2", "r1"]
        assert runs(before="2024-01-02") == ["r2"]
        assert runs(before="2024-02-01") == ["r1", "r2"]
        assert runs(complete=True) == ["r2"]
        assert runs(properties={"span": 3}) == ["r3"]
        assert runs(properties={"span": 3, "version": 2}) == runs(properties={"span": "3"}) == []
        assert runs(spans=(2, 9)) == ["r3", "r1"]
        start_run(store, "r4")
        end_node(store, "r4", "gen", state=NodeState.CACHED, outputs={"x": [found["r1"]]})
        assert runs() == ["r1", "r3", "r2"]
