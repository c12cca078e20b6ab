"""`tidemill doctor` finds what was broken on purpose, and nothing else."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from tidemill.cli.doctor import OTHERS
from tidemill.metadata.sql.invariants import NAMES
from tidemill.runtime import owner
from tidemill.storage.manifest import seal

PIPELINE = """
    from tidemill import Input, JsonValue, Model, Output, component, pipeline

    @component
    def make() -> list[int]:
        return [1, 2]

    @component
    def fit(numbers: Input[JsonValue], model: Output[Model]) -> float:
        (model.path / "weights.txt").write_text("12345")
        return 0.5

    @pipeline
    def daily():
        fit(numbers=make().outputs.result)
"""
FIT = "(SELECT execution_id FROM tidemill_node WHERE node_id = 'fit')"
MODEL = "(SELECT id FROM Artifact WHERE uri LIKE '%/model')"
CORRUPTIONS = {
    "UPDATE tidemill_node SET state = 'FAILED' WHERE node_id = 'fit'": {
        "node-and-execution-agree", "a-complete-run-failed-nowhere", "a-failure-makes-nothing-live",
    },
    f"DELETE FROM Execution WHERE id = {FIT}": {
        "node-and-execution-agree", "one-maker", "dangling-reference", "fence-counts-executions",
    },
    "UPDATE tidemill_node SET state = 'RUNNING' WHERE node_id = 'fit';"
    f"UPDATE Execution SET last_known_state = 2 WHERE id = {FIT}": {
        "an-ended-run-runs-nothing", "a-complete-run-failed-nowhere", "one-maker",
        "a-failure-makes-nothing-live",
    },
    f"UPDATE Execution SET last_known_state = 2 WHERE id = {FIT}": {
        "node-and-execution-agree", "nothing-runs-unowned", "one-maker",
    },
    f"INSERT INTO Event (artifact_id, execution_id, type) SELECT {MODEL}, execution_id, 4"
    " FROM tidemill_node WHERE node_id = 'make'": {"one-maker", "an-event-has-a-path"},
    f"DELETE FROM Event WHERE artifact_id = {MODEL}": {"one-maker", "dangling-reference"},
    "UPDATE tidemill_node SET fence = 7 WHERE node_id = 'fit'": {
        "attempts-and-fences-grow-together", "fence-counts-executions",
    },
    "UPDATE tidemill_node SET attempt = 2 WHERE node_id = 'fit'": {"execution-name"},
    "DELETE FROM tidemill_pipeline_version": {"a-run-has-a-version"},
    "UPDATE tidemill_pipeline_version SET ir = REPLACE(ir, 'numbers', 'digits')": {"ir-matches-version"},
    "UPDATE tidemill_pipeline_version SET ir = '{'": {"ir-matches-version"},
    "UPDATE tidemill_node SET attempt = 2, fence = 2 WHERE node_id = 'fit'": {
        "fence-counts-executions", "execution-name",
    },
    f"INSERT INTO Execution (type_id, last_known_state, name) SELECT type_id, 3, name || '0' FROM Execution"
    f" WHERE id = {FIT}; INSERT INTO Association (context_id, execution_id)"
    f" SELECT r.context_id, e.id FROM tidemill_run r, Execution e WHERE e.name LIKE '%/fit/0/10'": {
        "a-success-is-its-nodes", "fence-counts-executions",
    },
    "UPDATE Event SET id = id + 100 WHERE type = 4": {
        "an-input-was-made-before", "dangling-reference", "an-event-has-a-path",
    },
    "UPDATE Artifact SET state = 5 WHERE uri LIKE '%/result' AND type_id IN"
    " (SELECT id FROM Type WHERE name = 'JsonValue')": {"an-input-was-live"},
    f"UPDATE tidemill_node SET state = 'CACHED' WHERE node_id = 'fit';"
    f"UPDATE Execution SET last_known_state = 5 WHERE id = {FIT};"
    f"INSERT INTO Event (artifact_id, execution_id, type) SELECT v.artifact_id, {FIT}, 4 FROM Event v"
    " JOIN tidemill_node n ON n.execution_id = v.execution_id WHERE n.node_id = 'make'": {
        "a-hit-has-an-equal-key", "one-maker", "an-event-has-a-path",
    },
    "DELETE FROM tidemill_run": {"a-node-has-a-run"},
    f"DELETE FROM Artifact WHERE id = {MODEL}": {"dangling-reference"},
    f"UPDATE Artifact SET type_id = 999 WHERE id = {MODEL}": {"a-node-has-a-type"},
    "DELETE FROM Type WHERE name = 'fit'": {"a-node-has-a-type"},
    f"UPDATE Execution SET type_id = (SELECT type_id FROM Artifact WHERE id = {MODEL}) WHERE id = {FIT}": {
        "a-node-has-a-type",
    },
    "UPDATE Context SET type_id = 1 WHERE name = 'daily'": {"a-node-has-a-type"},
    "INSERT INTO TypeProperty VALUES (999, 'p', 1)": {"dangling-reference"},
    "INSERT INTO ParentType VALUES (10, 999)": {"dangling-reference"},
    "UPDATE ParentContext SET parent_context_id = 999": {"dangling-reference"},
    "UPDATE ExecutionProperty SET string_value = NULL WHERE name = 'tidemill.log'": {
        "a-property-has-one-value",
    },
    "UPDATE ArtifactProperty SET double_value = 0.5 WHERE name = 'bytes'": {"a-property-has-one-value"},
    f"DELETE FROM Attribution WHERE artifact_id = {MODEL}": {"a-result-is-in-its-run"},
    f"DELETE FROM EventPath WHERE event_id IN (SELECT id FROM Event WHERE artifact_id = {MODEL})": {
        "an-event-has-a-path",
    },
    "DELETE FROM Context WHERE name = 'daily.fit'": {"dangling-reference"},
    "UPDATE tidemill_run SET state = 'QUEUED'": {"a-queued-run-did-nothing"},
    "UPDATE tidemill_run SET base_run = 'nowhere'": {"a-base-run-exists"},
    "INSERT INTO tidemill_pool (name, slots, change_time) VALUES ('gpu', 1, 0);"
    "UPDATE tidemill_run SET state = 'RUNNING', owner = 'gone';"
    "UPDATE tidemill_node SET state = 'RUNNING', pool = 'gpu', slots = 2 WHERE node_id = 'fit';"
    f"UPDATE Execution SET last_known_state = 2 WHERE id = {FIT}": {
        "a-pool-gives-no-more-than-it-has", "one-maker", "a-failure-makes-nothing-live",
        "a-running-node-has-an-owner",
    },
    "UPDATE tidemill_run SET state = 'RUNNING', owner = 'gone';"
    "UPDATE tidemill_node SET state = 'RUNNING', pool = 'gpu', slots = 1 WHERE node_id = 'fit';"
    f"UPDATE Execution SET last_known_state = 2 WHERE id = {FIT}": {
        "slots-have-a-pool", "one-maker", "a-failure-makes-nothing-live", "a-running-node-has-an-owner",
    },
    "INSERT INTO tidemill_decision (run_id, node_id, iteration, granted, decided_by, comment) "
    "SELECT id, 'fit', 0, 1, 'ann', '' FROM tidemill_run": {"approvals-and-decisions-agree"},
}  # fmt: skip


@pytest.fixture(scope="module")
def sound_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that went well, to be copied and broken."""
    folder = tmp_path_factory.mktemp("sound")
    (folder / "pipeline.py").write_text(PIPELINE.replace("\n    ", "\n"))
    return folder


@pytest.fixture
def mill(project, sound_project: Path):
    shutil.copytree(sound_project, project.folder, dirs_exist_ok=True)
    if not (sound_project / ".tidemill").exists():
        project.tidemill("run", "pipeline.py", "--root", str(sound_project / ".tidemill"))
    shutil.copytree(sound_project / ".tidemill", project.folder / ".tidemill", dirs_exist_ok=True)
    return project


def examine(mill, *words: str, sick: bool) -> set[str]:
    done = mill.tidemill("doctor", "--json", *words, expect=1 if sick else 0)
    return {finding["invariant"] for finding in json.loads(done.stdout)["findings"]}


def test_a_sound_record_is_called_sound(mill) -> None:
    assert examine(mill, "--deep", sick=False) == set()
    assert "sound: 1 runs, 3 artifacts" in mill.tidemill("doctor").stdout


@pytest.mark.parametrize("sql", CORRUPTIONS, ids=[str(n) for n in range(len(CORRUPTIONS))])
def test_a_broken_record_is_found_out(mill, sql: str) -> None:
    database = sqlite3.connect(mill.folder / ".tidemill" / "metadata.db")
    database.executescript(sql)
    database.close()
    assert examine(mill, sick=True) == CORRUPTIONS[sql]


def test_every_invariant_was_broken_once() -> None:
    others = {
        "files-are-whole",
        "files-match-the-record",
        "a-running-node-has-an-owner",
        "a-complete-run-is-whole",
    }
    assert set().union(*CORRUPTIONS.values()) - set(OTHERS) == set(NAMES)
    assert others == set(OTHERS)  # each has a test of its own below


def test_a_manifest_of_other_files_is_found(mill) -> None:
    """Also when files and manifest fit each other."""
    copy = mill.folder / "copy"
    ((uri,),) = mill.query("SELECT uri FROM Artifact WHERE uri LIKE '%/model'")
    shutil.copytree(uri, copy)
    (copy / "weights.txt").write_text("54321")
    seal(copy)
    database = sqlite3.connect(mill.folder / ".tidemill" / "metadata.db")
    database.execute("UPDATE Artifact SET uri = ? WHERE uri LIKE '%/model'", (str(copy),))
    database.commit()
    database.close()
    assert examine(mill, sick=True) == {"files-match-the-record"}


def test_a_node_that_nobody_runs_is_found(mill) -> None:
    """While the run's own runner lives: here, this test's process."""
    mill.tidemill("run", "pipeline.py", "--new", expect=None, TIDEMILL_CRASHPOINT="claim.after")
    assert examine(mill, sick=False) == set()
    database = sqlite3.connect(mill.folder / ".tidemill" / "metadata.db")
    database.execute("UPDATE tidemill_run SET owner = ? WHERE state = 'RUNNING'", (owner.myself(),))
    database.commit()
    database.close()
    assert examine(mill, sick=True) == {"a-running-node-has-an-owner"}


def test_a_complete_run_that_lacks_a_node_is_found(mill) -> None:
    database = sqlite3.connect(mill.folder / ".tidemill" / "metadata.db")
    database.execute("DELETE FROM tidemill_node WHERE node_id = 'fit'")
    database.commit()
    database.close()
    assert examine(mill, sick=True) == {"a-complete-run-is-whole", "a-success-is-its-nodes"}


def test_damaged_files_are_found(project) -> None:
    project.write("pipeline.py", PIPELINE)
    project.run()
    ((uri,),) = project.query("SELECT uri FROM Artifact WHERE uri LIKE '%/model'")
    weights = Path(uri) / "weights.txt"
    weights.write_text("54321")
    assert examine(project, sick=False) == set()
    assert examine(project, "--deep", sick=True) == {"files-are-whole"}
    weights.unlink()
    assert examine(project, sick=True) == {"files-are-whole"}


def test_a_run_whose_runner_died_is_mentioned(mill) -> None:
    mill.tidemill("run", "pipeline.py", "--new", expect=None, TIDEMILL_CRASHPOINT="claim.after")
    done = mill.tidemill("doctor")
    assert "was left by a runner that died; the same command resumes it" in done.stdout
