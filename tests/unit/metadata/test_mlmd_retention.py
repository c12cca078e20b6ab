"""What may go of runs that TFX or Kubeflow recorded: against a model that reads MLMD's interface alone."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.errors import StoreError
from tidemill.metadata.model import ArtifactState, RunState
from tidemill.metadata.retention import RetentionPolicy
from tidemill.metadata.sql import SqlStore, open_store, upkeep
from tidemill.mlmd import MetadataStore
from tidemill.mlmd import metadata_store_pb2 as pb
from tidemill.testing.mlmd_stories import MEMORY, A, E, MlmdStory, opened, record_of
from tidemill.testing.store_stories import end_node, model, start_run

PEER = Path(__file__).with_name("mlmd_peer.py")
_SPEC = importlib.util.spec_from_file_location("mlmd_peer", PEER)
assert _SPEC is not None
assert _SPEC.loader is not None
_module = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_module)
read = _module.read

PYTHON = os.environ.get("TIDEMILL_MLMD_PYTHON", "")
POLICY = RetentionPolicy(root="/p", keep_last=1)
RUNS = ("pipeline_run", "system.PipelineRun")
GENERATED = (*RUNS, "pipeline", "node", "execution_cache", "system.Pipeline")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metadata.db"


@pytest.fixture
def mlmd(path: Path) -> Iterator[MetadataStore]:
    with closing(opened(path)) as store:
        yield store


@pytest.fixture
def store(mlmd: MetadataStore, path: Path) -> Iterator[SqlStore]:
    with closing(open_store(str(path))) as store:
        yield store


# --- the model -------------------------------------------------------------------------------------


class Naive:
    """What may go, by the words of the rules, from what MLMD's own calls tell; slow and plain."""

    def __init__(self, found: dict[str, Any], policy: RetentionPolicy) -> None:
        self.found, self.policy = found, policy
        self.contexts = {c["id"]: c for c in found["contexts"]}
        self.executions = {e["id"]: e for e in found["executions"]}
        self.inside = {c: {e for k, e in found["associations"] if k == c} for c in self.contexts}
        self.gone = self.runs()

    def state(self, run: int) -> str:
        states = {self.executions[e]["state"] for e in self.inside[run]}
        if not states or states - {1, 2, 3, 4, 5, 6}:
            return "nobody knows" if not states & {1, 2} else "RUNNING"
        for name, of in (("RUNNING", {1, 2}), ("FAILED", {4}), ("CANCELED", {6})):
            if states & of:
                return name
        return "COMPLETE"

    def pipeline(self, run: int) -> tuple[str, ...]:
        above = {p for c, p in self.found["parents"] if c == run}
        beside = {c for c, e in self.found["associations"] if e in self.inside[run]}
        kinds = ("pipeline", "system.Pipeline")
        names = {self.contexts[c]["name"] for c in above | beside if self.contexts[c]["type"] in kinds}
        return tuple(sorted(names))

    def runs(self) -> set[int]:
        ended = {
            c: max([self.contexts[c]["update_time"], *(self.executions[e]["update_time"] for e in of)])
            for c, of in self.inside.items()
            if of and self.contexts[c]["type"] in RUNS
        }
        gone, complete = set(), []
        for run in sorted(ended, key=lambda c: (ended[c], c), reverse=True):
            group = (self.contexts[run]["type"], self.pipeline(run))
            state = self.state(run)
            if state == "COMPLETE":
                complete.append(group)
                if complete.count(group) <= self.policy.keep_last:
                    continue
            if state in ("COMPLETE", "FAILED", "CANCELED") and self.policy.state in (None, state):
                gone.add(run)
        return gone

    def free(self, contexts: list[int]) -> bool:
        """Whether all of these contexts let go."""
        return all(
            c in self.gone if self.contexts[c]["type"] in RUNS else self.contexts[c]["type"] in GENERATED
            for c in contexts
        )

    def may_go(self) -> set[int]:
        good = set()
        for artifact in self.found["artifacts"]:
            id, uri = artifact["id"], artifact["uri"]
            events = [e for e in self.found["events"] if e["artifact"] == id]
            around = [[c for c, x in self.found["associations"] if x == e["execution"]] for e in events]
            ok = (
                artifact["state"] not in (4, 6)
                and uri.startswith("/p/")
                and any(e["type"] == pb.Event.OUTPUT for e in events)
                and all(self.free(c) and self.gone & set(c) for c in around)
                and self.free([c for c, a in self.found["attributions"] if a == id])
                and not any("Import" in self.executions[e["execution"]]["type"] for e in events)
            )
            if ok:
                good.add(id)
        while True:
            staying = [a["uri"] for a in self.found["artifacts"] if a["id"] not in good and a["state"] != 4]
            less = {
                a["id"] for a in self.found["artifacts"] if a["id"] in good
                and not any(f"{a['uri']}/".startswith(f"{u}/") or f"{u}/".startswith(f"{a['uri']}/")
                            for u in staying if u)
            }  # fmt: skip
            if less == good:
                return good
            good = less


ACTION = st.fixed_dictionaries(
    {
        "run": st.integers(0, 4),
        "kubeflow": st.booleans(),
        "inputs": st.lists(st.integers(0, 30), max_size=2),
        "cached": st.integers(0, 30),
        "uris": st.lists(
            st.sampled_from(["new", "new", "new", "/p/a", "/p/a/b", "/p/a/c", "/p", "/q/x", ""]), max_size=2
        ),
        "state": st.sampled_from([E.COMPLETE] * 6 + [E.CACHED] * 3 + [E.FAILED, E.CANCELED, 0, E.RUNNING]),
        "of": st.sampled_from(["Trainer"] * 6 + ["Importer"]),
        "also": st.sampled_from([()] * 8 + [(("experiment", "x"),), (("pipeline_run", "r0"),)]),
    }
)


def write(mlmd: MetadataStore, actions: list[dict[str, Any]], alias: list[int], deleted: list[int]) -> None:
    known: list[int] = []
    for number, do in enumerate(actions):
        story = MlmdStory(mlmd, "/p", kubeflow=do["kubeflow"])
        inputs = tuple({known[i % len(known)] for i in do["inputs"]}) if known else ()
        outputs: list[str | int] = [f"/p/n/{number}" if u == "new" else u for u in do["uris"]]
        if do["state"] == E.CACHED:
            outputs = [i for i in ([known[do["cached"] % len(known)]] if known else []) if i not in inputs]
        made = story.execute(f"r{do['run']}", f"pipe{do['run'] % 2}", inputs=inputs, outputs=tuple(outputs),
                             state=do["state"], of=do["of"], also=do["also"])  # fmt: skip
        known += [i for i in made if i not in known]
    for index in alias if known else ():
        name = story.context("alias", "production")
        mlmd.put_attributions_and_associations(
            [pb.Attribution(artifact_id=known[index % len(known)], context_id=name.id)], []
        )
    for index in deleted if known else ():
        (artifact,) = mlmd.get_artifacts_by_id([known[index % len(known)]])
        artifact.state = A.DELETED
        mlmd.put_artifacts([artifact])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(ACTION, min_size=1, max_size=14), st.lists(st.integers(0, 30), max_size=1),
    st.lists(st.integers(0, 30), max_size=2), st.sampled_from([None, None, RunState.FAILED]),
)  # fmt: skip
def test_nothing_goes_that_the_model_keeps(
    actions: list[dict[str, Any]], alias: list[int], deleted: list[int], state: RunState | None
) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        path = Path(folder) / "m.db"
        with closing(opened(path)) as mlmd, closing(open_store(str(path))) as store:
            write(mlmd, actions, alias, deleted)
            _check(mlmd, store, RetentionPolicy(root="/p", keep_last=1, state=state))


def _check(mlmd: MetadataStore, store: SqlStore, policy: RetentionPolicy) -> None:
    before, record = read(mlmd), record_of(store)
    naive = Naive(before, policy)
    planned = record.plan_retention(policy)
    assert {run.context for run in planned.runs} == naive.gone
    assert {a.id for a in planned.artifacts} == naive.may_go()
    rows = record.plan_row_retention(policy)
    assert read(mlmd) == before
    if planned.running:
        for refused in (lambda: record.mark_for_deletion(policy), lambda: record.remove_runs([1])):
            with pytest.raises(StoreError, match="NEW or RUNNING"):
                refused()
        assert read(mlmd) == before
        return
    marked = record.mark_for_deletion(policy)
    assert marked == planned
    store.mark_deleted([a.id for a in marked.artifacts])
    assert record.plan_row_retention(policy) == rows  # what the dry run said
    contexts = [[run.context for run in batch] for batch in rows.batches]
    for batch in contexts:
        assert record.remove_runs(batch) == len(batch)
        assert store.findings() == []
    _check_rows(before, read(mlmd), {c for batch in contexts for c in batch}, naive, store)


def _check_rows(
    before: dict[str, Any], after: dict[str, Any], removed: set[int], naive: Naive, store: SqlStore
) -> None:
    """What stays is whole, what goes is gone without rest."""
    assert removed <= naive.gone
    executions = {e for c, e in before["associations"] if c in removed}
    assert [e for e in before["executions"] if e["id"] not in executions] == after["executions"]
    assert [e for e in before["events"] if e["execution"] not in executions] == after["events"]
    left = {a["id"]: a for a in after["artifacts"]}
    for artifact in before["artifacts"]:
        about = [e for e in before["events"] if e["artifact"] == artifact["id"]]
        if artifact["id"] not in left:
            assert {e["execution"] for e in about} <= executions
            assert not artifact["uri"] or artifact["state"] == 4 or artifact["id"] in naive.may_go()
        else:
            same = {**artifact, "state": 0, "update_time": 0}
            assert same == {**left[artifact["id"]], "state": 0, "update_time": 0}
    own = {c["id"] for c in before["contexts"] if c["type"] not in GENERATED}
    assert [x for x in before["attributions"] if x[0] in own] == [
        x for x in after["attributions"] if x[0] in own
    ]
    kept = {c["id"] for c in after["contexts"]}
    assert {c["id"] for c in before["contexts"] if c["type"] in (*RUNS, "alias")} - removed <= kept
    counts = store.statistics()
    for table, of in (("Artifact", "artifacts"), ("Execution", "executions"), ("Context", "contexts")):
        assert counts[table] == len(after[of])
        assert counts[f"{table}Property"] == sum(len(n["custom_properties"]) for n in after[of])
    assert counts["EventPath"] == sum(len(e["path"]) for e in after["events"])
    assert counts["Event"] == len(after["events"])


# --- stories ---------------------------------------------------------------------------------------


def ids(found: Any) -> list[int]:
    return [a.id for a in found]


@pytest.mark.parametrize("kubeflow", [False, True])
def test_the_policy(mlmd: MetadataStore, store: SqlStore, kubeflow: bool) -> None:
    story = MlmdStory(mlmd, "/p", kubeflow=kubeflow)
    for number, state in enumerate([E.COMPLETE, E.FAILED, E.CANCELED, E.COMPLETE, E.COMPLETE]):
        story.execute(f"r{number}", "taxi", outputs=(f"/p/{number}",), state=state)
    story.execute("o1", "other", outputs=("/p/o1",))
    story.execute("o2", "other", outputs=("/p/o2",))
    record = record_of(store)

    def chosen(**more: Any) -> list[str]:
        policy = RetentionPolicy(**{"root": "/p", "keep_last": 1, **more})
        return [run.id for run in record.plan_retention(policy).runs]

    assert chosen() == ["r0", "r1", "r2", "r3", "o1"]
    assert chosen(keep_last=2) == ["r0", "r1", "r2"]
    assert chosen(pipeline="taxi") == ["r0", "r1", "r2", "r3"]
    assert chosen(pipeline="taxi", state=RunState.FAILED) == ["r1"]
    assert chosen(run="r3") == ["r3"]
    assert chosen(run="r4") == []  # the newest complete one
    assert chosen(ended_before=1) == []
    assert chosen(ended_before=2**50, run="o1") == ["o1"]
    with pytest.raises(StoreError, match="keep_last"):
        chosen(keep_last=0)
    assert {run.writer for run in record.runs()} == {"Kubeflow" if kubeflow else "TFX"}
    assert record.plan_retention(RetentionPolicy(root="/elsewhere", keep_last=1)).artifacts == ()


def test_what_keeps_an_artifact(mlmd: MetadataStore, store: SqlStore) -> None:
    story = MlmdStory(mlmd, "/p")
    (used,) = story.execute("old", "taxi", outputs=("/p/used",))
    (cached,) = story.execute("old", "taxi", outputs=("/p/cached",))
    (named,) = story.execute("old", "taxi", outputs=("/p/named",))
    (inner,) = story.execute("old", "taxi", outputs=("/p/run/inner",))
    (outer,) = story.execute("old", "taxi", outputs=("/p/outer",))
    (twin,) = story.execute("old", "taxi", outputs=("/p/./twin/",))
    (schema,) = story.execute("old", "taxi", outputs=("/p/schema",), of="Importer")
    (pushed,) = story.execute("old", "taxi", outputs=("/serving/1",))
    (relative,) = story.execute("old", "taxi", outputs=("p/relative",))
    (free,) = story.execute("old", "taxi", outputs=("/p/free",))
    story.execute("new", "taxi", inputs=(used,), outputs=("/p/run", "/p/outer/part", "/p/twin"))
    story.execute("new", "taxi", outputs=(cached,), state=E.CACHED)
    mlmd.put_attributions_and_associations(
        [pb.Attribution(artifact_id=named, context_id=story.context("alias", "production").id)], []
    )
    planned = record_of(store).plan_retention(POLICY)
    assert ids(planned.artifacts) == [free]
    why = {a.id: reason for a, reason in planned.kept}
    assert why.keys() == {used, cached, named, inner, outer, twin, schema, pushed, relative}
    assert "alias 'production'" in why[named]
    assert "refers to it" in why[used]
    assert "also those of" in why[inner]
    assert "imported" in why[schema]
    assert "below the root" in why[pushed]
    ((run, reason),) = record_of(store).plan_row_retention(POLICY).kept
    assert (run.id, bool(reason)) == ("old", True)


def test_what_is_shared_stays(mlmd: MetadataStore, store: SqlStore) -> None:
    """An execution that is in a kept run as well, by association alone."""
    story = MlmdStory(mlmd, "/p")
    story.execute("old", "taxi", outputs=("/p/old",))
    (execution,) = (e.id for e in mlmd.get_executions())
    story.execute("new", "taxi", outputs=("/p/new",))
    kept = story.context("pipeline_run", "new")
    mlmd.put_attributions_and_associations([], [pb.Association(execution_id=execution, context_id=kept.id)])
    record = record_of(store)
    planned = record.plan_retention(POLICY)
    assert ([run.id for run in planned.runs], planned.artifacts) == (["old"], ())
    (artifact,) = mlmd.get_artifacts_by_uri("/p/old")
    artifact.state = A.DELETED
    mlmd.put_artifacts([artifact])
    assert record.plan_row_retention(POLICY).batches == ()
    assert record.remove_runs([planned.runs[0].context]) == 0


def test_an_event_alone_keeps(mlmd: MetadataStore, store: SqlStore) -> None:
    """Of an execution that is in a kept run, or in none."""
    story = MlmdStory(mlmd, "/p")
    story.execute("r1", "taxi", outputs=("/p/1",))
    story.execute("r2", "taxi", outputs=("/p/2",))
    story.execute("r3", "taxi", outputs=("/p/3",))
    first, second, third = mlmd.get_artifacts()
    kept = mlmd.get_executions()[2]
    (loose,) = mlmd.put_executions([E(type_id=kept.type_id, last_known_state=E.COMPLETE)])
    mlmd.put_events(
        [pb.Event(artifact_id=first.id, execution_id=kept.id, type=pb.Event.INPUT),
         pb.Event(artifact_id=second.id, execution_id=loose, type=pb.Event.DECLARED_INPUT)]
    )  # fmt: skip
    record = record_of(store)
    planned = record.plan_retention(POLICY)
    assert ([run.id for run in planned.runs], planned.artifacts) == (["r1", "r2"], ())
    for artifact in (first, second, third):
        artifact.state = A.DELETED
    mlmd.put_artifacts([first, second, third])
    assert record.plan_row_retention(POLICY).batches == ()
    assert record.remove_runs([run.context for run in planned.runs]) == 0


def test_places_overlap_by_way_of_others(mlmd: MetadataStore, store: SqlStore) -> None:
    """A folder that holds what is kept stays, and so does what else lies in it."""
    story = MlmdStory(mlmd, "/p")
    story.execute("old", "taxi", outputs=("/p/x", "/p/x/2", "/p/x2"))
    story.execute("new", "taxi", outputs=("/p/x/1",))
    assert [a.uri for a in record_of(store).plan_retention(POLICY).artifacts] == ["/p/x2"]


@pytest.mark.parametrize("kubeflow", [False, True])
def test_nothing_is_left_of_a_run(mlmd: MetadataStore, store: SqlStore, kubeflow: bool) -> None:
    """Nor of its pipeline, when it was the last; what it used of another one is as before."""
    story = MlmdStory(mlmd, "/p", kubeflow=kubeflow)
    (used,) = story.execute("r1", "other", outputs=("/p/1",))
    before = read(mlmd)
    counts = store.statistics()
    story.execute("r2", "taxi", inputs=(used,), outputs=("",), state=E.FAILED)
    story.execute("r2", "taxi", "Cached", outputs=(used,), state=E.CACHED)
    record = record_of(store)
    ((run,),) = record.plan_row_retention(POLICY).batches
    assert (run.id, record.remove_runs([run.context])) == ("r2", 1)
    after = read(mlmd)
    assert {**after, "artifacts": 0} == {**before, "artifacts": 0}
    assert [a["id"] for a in after["artifacts"]] == [used]
    assert store.statistics() == counts


def test_a_chain_stays_from_its_end_on(mlmd: MetadataStore, store: SqlStore) -> None:
    """Who made what a run that stays uses stays too, though all of it is DELETED."""
    story, made = MlmdStory(mlmd, "/p"), tuple[int, ...]()
    for number in range(4):
        also = (("experiment", "x"),) if number == 2 else ()
        made = tuple(story.execute(f"r{number}", "taxi", inputs=made, outputs=(f"/q/{number}",), also=also))
        (artifact,) = mlmd.get_artifacts_by_id(made)
        artifact.state = A.DELETED
        mlmd.put_artifacts([artifact])
    story.execute("r9", "taxi")
    record = record_of(store)
    plan = record.plan_row_retention(POLICY)
    assert [[run.id for run in batch] for batch in plan.batches] == [["r3"]]
    assert [run.id for run, _ in plan.kept] == ["r0", "r1", "r2"]
    contexts = {run.id: run.context for run in record.runs()}
    assert record.remove_runs([contexts["r1"]]) == 0  # r2 uses it, whatever was planned
    assert record.remove_runs(list(contexts.values())) == 2  # r3, and r9, which made nothing
    assert store.findings() == []


def test_tidemills_own_runs_are_none_of_these(mlmd: MetadataStore, store: SqlStore) -> None:
    """Nor the other way round: marks of others are not tidemill's to finish."""
    store.put_pipeline_version("v1", "taxi", "{}")
    for run in ("r1", "r2"):
        start_run(store, run)
        end_node(store, run, "gen", outputs={"m": [model(f"/p/{run}")]})
        store.end_run(run, RunState.COMPLETE, owner="driver")
    assert record_of(store).runs() == []
    story = MlmdStory(mlmd, "/p")
    (old,) = story.execute("t1", "taxi", outputs=("/p/t1",))
    story.execute("t2", "taxi", outputs=("/p/t2",))
    assert [run.id for run in store.plan_retention(POLICY).runs] == ["r1"]
    assert ids(record_of(store).mark_for_deletion(POLICY).artifacts) == [old]
    assert store.get_marked() == []
    start_run(store, "r3")
    for refused in (
        lambda: record_of(store).mark_for_deletion(POLICY), lambda: record_of(store).remove_runs([1])
    ):  # fmt: skip
        with pytest.raises(StoreError, match="r3 is RUNNING"):
            refused()


def test_a_mark_that_nobody_finished_is_gone_on_with(mlmd: MetadataStore, store: SqlStore) -> None:
    story = MlmdStory(mlmd, "/p")
    (old,) = story.execute("r1", "taxi", outputs=("/p/1",))
    story.execute("r2", "taxi", outputs=("/p/2",))
    record = record_of(store)
    record.mark_for_deletion(POLICY)
    assert store.findings() == []
    assert record.remove_runs([run.context for run in record.runs()]) == 0  # files may still be there
    (again,) = record.mark_for_deletion(POLICY).artifacts
    assert (again.id, again.state) == (old, ArtifactState.MARKED_FOR_DELETION)
    store.mark_deleted([old])
    (batch,) = record.plan_row_retention(POLICY).batches
    assert record.remove_runs([run.context for run in batch]) == 1
    assert mlmd.get_artifacts_by_id([old]) == []


@pytest.mark.parametrize("version", [6, 8])
def test_older_schemas(mlmd: MetadataStore, path: Path, version: int) -> None:
    """Planned without a change to the file, and pruned once it is opened for writing."""
    story = MlmdStory(mlmd, "/p")
    (old,) = story.execute("r1", "taxi", outputs=("/p/1",))
    story.execute("r2", "taxi", outputs=("/p/2",))
    mlmd.close()
    upkeep.downgrade(str(path), version, backup=False)
    before = path.read_bytes()
    with closing(open_store(str(path), read_only=True)) as store:
        planned = record_of(store).plan_retention(POLICY)
    assert (path.read_bytes(), ids(planned.artifacts)) == (before, [old])
    with closing(open_store(str(path))) as store:
        assert ids(record_of(store).mark_for_deletion(POLICY).artifacts) == [old]
        store.mark_deleted([old])
        ((run,),) = record_of(store).plan_row_retention(POLICY).batches
        assert record_of(store).remove_runs([run.context]) == 1
        assert store.findings() == []


@pytest.mark.skipif(not PYTHON, reason="TIDEMILL_MLMD_PYTHON names no interpreter with ml-metadata 1.17.1")
def test_the_real_ml_metadata_goes_on(mlmd: MetadataStore, store: SqlStore, path: Path) -> None:
    def real(action: str) -> Any:
        done = subprocess.run([PYTHON, str(PEER), action, str(path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    story = MlmdStory(mlmd, "/p")
    (shared,) = story.execute("r1", "taxi", outputs=("/p/1",))
    story.execute("r2", "taxi", inputs=(shared,), outputs=("/p/2",))
    story.execute("r3", "taxi", inputs=(shared,), outputs=("/p/3",))
    record = record_of(store)
    chosen = record.mark_for_deletion(POLICY)
    store.mark_deleted(ids(chosen.artifacts))
    ((run,),) = record.plan_row_retention(POLICY).batches
    assert (run.id, record.remove_runs([run.context])) == ("r2", 1)
    theirs = real("read")
    assert {a["id"] for a in theirs["artifacts"]} == {1, 3}
    assert {c["name"] for c in theirs["contexts"] if c["type"] == "pipeline_run"} == {"r1", "r3"}
    real("write")
    assert store.findings() == []
    assert len(read(mlmd)["artifacts"]) == 3
