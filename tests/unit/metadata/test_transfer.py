"""Parts of the record as files: what is in them, and what an import makes of them."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from tidemill.errors import StoreError
from tidemill.metadata.model import BLESSINGS, Artifact
from tidemill.metadata.sql import SqlStore, open_store
from tidemill.metadata.transfer import Selection
from tidemill.testing import transfer_stories as stories
from tidemill.testing.store_stories import end_node, examples, start_run, train_and_judge

MEMORY = Path("/dev/shm")


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[str], SqlStore]]:
    """Stores by name."""
    made = []

    def open_named(name: str) -> SqlStore:
        made.append(open_store(str(tmp_path / f"{name}.db")))
        return made[-1]

    yield open_named
    for store in made:
        store.close()


def counts(store: SqlStore) -> dict[str, int]:
    return dict(store.statistics())


def unsound(store: SqlStore) -> set[str]:
    """What is wrong with a store, but for the IR, which these stories make up."""
    return {f.invariant for f in store.findings()} - {"ir-matches-version"}


def test_a_record_moves_whole_and_only_once(make, tmp_path: Path) -> None:
    one, two = make("one"), make("two")
    stories.write_history(one)
    file = tmp_path / "all.jsonl"
    whole = stories.exported(one, file)
    done = two.import_record(file)
    assert done.added["run"] == 3
    assert done.known["artifact"] == 0
    assert counts(two) == counts(one)
    assert two.findings() == one.findings()
    assert stories.exported(two, tmp_path / "again.jsonl") == whole
    again = two.import_record(file)
    assert not any(again.added.values())
    assert again.known == {k: done.added[k] + done.known[k] for k in done.added}
    assert counts(two) == counts(one)
    assert stories.exported(two, tmp_path / "again.jsonl") == whole
    # What the store answers is the same, ids apart; here also ids are.
    assert two.get_runs() == one.get_runs()
    assert two.get_nodes("r1") == one.get_nodes("r1")
    assert two.get_artifacts() == one.get_artifacts()
    assert two.get_executions("r2") == one.get_executions("r2")
    assert two.find_cached("k") == one.find_cached("k") != []
    assert two.latest_blessed("other", "trainer", "model") == one.latest_blessed("other", "trainer", "model")


@settings(max_examples=60, deadline=None)
@given(record=stories.records())
def test_any_record_comes_back_as_the_same_file(record: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        one, two = (open_store(f"{folder}/{name}.db") for name in ("one", "two"))
        try:
            stories.write_record(one, record)
            file = Path(folder) / "all.jsonl"
            whole = stories.exported(one, file)
            two.import_record(file)
            assert stories.exported(two, Path(folder) / "again.jsonl") == whole
            assert not any(two.import_record(file).added.values())
            assert not any(one.import_record(file).added.values())
            assert counts(two) == counts(one)
        finally:
            one.close()
            two.close()


def test_ids_are_those_of_the_store_it_comes_to(make, tmp_path: Path) -> None:
    one, two = make("one"), make("two")
    stories.write_history(one)
    start_run(two, "mine", pipeline="taxi")
    mine = end_node(two, "mine", "gen", outputs={"x": [examples(1)]})
    file = tmp_path / "all.jsonl"
    stories.exported(one, file)
    two.import_record(file)
    assert two.get_outputs([mine.execution_id])[mine.execution_id]["x"] == mine.outputs["x"]
    (trained,) = two.get_executions("r1", "trainer")
    (before,) = one.get_executions("r1", "trainer")
    assert trained.id != before.id
    used = two.get_events(execution_ids=[trained.id])
    assert [e.path for e in used] == [e.path for e in one.get_events(execution_ids=[before.id])]
    assert {a.uri for a in two.get_artifacts_by_id([e.artifact_id for e in used])} == {"file:///e"}
    assert {n.execution_id for n in two.get_nodes("r1")} <= {e.id for e in two.get_executions("r1")}
    assert unsound(two) <= unsound(one) | {"a-run-has-a-version"}
    # The next run here goes on with what came.
    assert two.latest_blessed("other", "trainer", "model") is not None
    start_run(two, "next", pipeline="taxi")
    assert end_node(two, "next", "gen").execution_id > trained.id


def test_a_pipeline_comes_with_what_people_said_of_its_models(make, tmp_path: Path) -> None:
    one, two = make("one"), make("two")
    train_and_judge(one, "r1", blessed=1)
    model = train_and_judge(one, "r2", blessed=1)
    start_run(one, "w1", pipeline=f"taxi{BLESSINGS}")
    word = Artifact(type="ModelBlessing", uri="u", custom_properties={"blessed": 0})
    end_node(one, "w1", "word", inputs={"model": [model]}, outputs={"blessing": [word]})
    file = tmp_path / "taxi.jsonl"
    stories.exported(one, file, Selection(pipeline="taxi"))
    two.import_record(file)
    found, expected = (store.latest_blessed("taxi", "trainer", "model") for store in (two, one))
    assert found is not None
    assert expected is not None
    assert (found.name, found.uri) == (expected.name, expected.uri)
    assert found.name.startswith("r1/")


def parts(data: bytes, kind: str) -> list[dict[str, Any]]:
    return [body for record in map(json.loads, data.splitlines()) for k, body in record.items() if k == kind]


def test_a_run_comes_with_who_made_what_it_reused(make, tmp_path: Path) -> None:
    one, two = make("one"), make("two")
    stories.write_history(one)
    data = stories.exported(one, tmp_path / "r2.jsonl", Selection(run="r2"))
    assert [r["id"] for r in parts(data, "run")] == ["r2"]
    assert {e["name"] for e in parts(data, "execution")} == {"r2/gen/0/1", "r2/other/0/1", "r1/gen/0/1"}
    assert len(parts(data, "artifact")) == 2
    assert {c["name"] for c in parts(data, "context")} >= {"taxi", "r2", "r1"}
    two.import_record(tmp_path / "r2.jsonl")
    assert [r.id for r in two.get_runs()] == ["r2"]
    assert unsound(two) == set()
    # The rest of r1 completes what is there already.
    stories.exported(one, tmp_path / "r1.jsonl", Selection(run="r1"))
    done = two.import_record(tmp_path / "r1.jsonl")
    assert done.known["execution"] == 1
    assert two.get_executions("r1") != []
    assert {a.name for a in two.get_artifacts(run_id="r1")} == {
        a.name for a in one.get_artifacts(run_id="r1")
    }


def test_a_pipeline_and_a_lineage(make, tmp_path: Path) -> None:
    one, two, three = make("one"), make("two"), make("three")
    stories.write_history(one)
    data = stories.exported(one, tmp_path / "p.jsonl", Selection(pipeline="taxi"))
    assert [r["id"] for r in parts(data, "run")] == ["r1", "r2"]
    assert "Model" not in {t["name"] for t in parts(data, "type")}
    two.import_record(tmp_path / "p.jsonl")
    assert unsound(two) == set()
    (trained,) = one.get_artifacts(type="Model")
    up = Selection(artifact=trained.id, direction="upstream")
    data = stories.exported(one, tmp_path / "a.jsonl", up)
    assert [e["name"] for e in parts(data, "execution")] == ["r3/trainer/0/1"]
    assert parts(data, "run") == []  # r3 is not whole without its other nodes
    three.import_record(tmp_path / "a.jsonl")
    assert unsound(three) == set()
    assert stories.exported(three, tmp_path / "b.jsonl", Selection(artifact=1, direction="upstream")) == data


@pytest.mark.parametrize("selection", [
    Selection(run="none"), Selection(pipeline="none"), Selection(artifact=99),
])  # fmt: skip
def test_what_is_not_there_cannot_be_exported(make, tmp_path: Path, selection: Selection) -> None:
    with pytest.raises(StoreError, match="there is no"):
        stories.exported(make("one"), tmp_path / "x", selection)


CONFLICTS = {
    "UPDATE Artifact SET uri = 'elsewhere' WHERE id = 1": "uri is 'elsewhere' here and 'file:///e'",
    "UPDATE Artifact SET state = 4 WHERE id = 1": "state is 4 here and 2",
    "UPDATE ArtifactProperty SET int_value = 9 WHERE name = 'span' AND artifact_id = 1": "span is 9 here",
    "DELETE FROM ExecutionProperty WHERE name = 'text'": "property text is None here",
    "UPDATE TypeProperty SET data_type = 3 WHERE name = 'span'": "property span is 3 here and 1",
    "UPDATE EventPath SET step_key = 'other' WHERE event_id = 1 AND step_key = 'examples'": "path is",
    "UPDATE tidemill_run SET state = 'FAILED' WHERE id = 'r1'": "run r1: state is 'FAILED' here",
    "UPDATE tidemill_node SET fence = 7 WHERE node_id = 'gen' AND run_id = 'r2'": "node r2/gen/0: fence is 7",
    "UPDATE tidemill_pipeline_version SET ir = '{}'": "version v1: ir is '{}' here",
    "UPDATE ContextProperty SET string_value = 'x' WHERE name = 'date'": "property date is 'x' here",
    "UPDATE Execution SET external_id = 'mine' WHERE id = 1": "external_id is 'mine' here and None",
}


@pytest.mark.parametrize("change", CONFLICTS)
def test_a_contradiction_is_told_and_nothing_is_written(make, tmp_path: Path, change: str) -> None:
    one, two = make("one"), make("two")
    stories.write_history(one)
    file = tmp_path / "r12.jsonl"
    stories.exported(one, file, Selection(pipeline="taxi"))
    two.import_record(file)
    with two.database.writing() as tx:
        assert tx.execute(change)
    before = stories.exported(two, tmp_path / "before")
    stories.exported(one, file)  # with a run that would be new
    with pytest.raises(StoreError, match="nothing was imported") as told:
        two.import_record(file)
    assert CONFLICTS[change] in str(told.value)
    assert stories.exported(two, tmp_path / "after") == before


def test_equals_without_a_name_are_counted(make, tmp_path: Path) -> None:
    """Three equal artifacts of nobody are three, in whichever order they are met."""
    node = (0, False, False, 2, {})
    empty: dict[str, Any] = {"attributions": [], "associations": [], "parents": [], "events": []}
    kinds = {kind: [] for kind in stories.TypeKind}
    one, two = make("one"), make("two")
    stories.write_record(one, {**empty, "nodes": kinds | {stories.TypeKind.ARTIFACT: [node] * 3}})
    stories.write_record(two, {**empty, "nodes": kinds | {stories.TypeKind.ARTIFACT: [node]}})
    stories.exported(one, tmp_path / "one")
    done = two.import_record(tmp_path / "one")
    assert (done.known["artifact"], done.added["artifact"]) == (1, 2)
    assert two.import_record(tmp_path / "one").known["artifact"] == 3


PYTHON = os.environ.get("TIDEMILL_MLMD_PYTHON", "")


@pytest.mark.skipif(not PYTHON, reason="TIDEMILL_MLMD_PYTHON names no interpreter with ml-metadata 1.17.1")
def test_the_real_ml_metadata_reads_the_same_graph(make, tmp_path: Path) -> None:
    """Of a database that it wrote a part of itself."""

    def mlmd(action: str, name: str) -> Any:
        peer = Path(__file__).with_name("mlmd_peer.py")
        command = [PYTHON, str(peer), action, str(tmp_path / f"{name}.db")]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    one, two = make("one"), make("two")
    stories.write_history(one)
    mlmd("write", "one")
    file = tmp_path / "all.jsonl"
    stories.exported(one, file)
    two.import_record(file)
    theirs = mlmd("read", "two")
    assert "ForeignModel" in {a["type"] for a in theirs["artifacts"]}
    before = mlmd("read", "one")
    for found in (theirs, before):
        for types in found["types"].values():
            types.sort(key=lambda t: t["name"])
            for of in types:
                del of["id"]
    assert theirs == before
    mlmd("create", "three")
    three = make("three")
    three.import_record(file)
    assert {e["name"] for e in mlmd("read", "three")["executions"]} >= {"r1/gen/0/1", "foreign execution"}
