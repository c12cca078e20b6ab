"""`tidemill doctor` finds what was broken on purpose, and nothing else."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from tidemill.metadata.sql.invariants import NAMES

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
        "node-and-execution-agree", "one-maker", "dangling-reference",
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
    " FROM tidemill_node WHERE node_id = 'make'": {"one-maker"},
    f"DELETE FROM Event WHERE artifact_id = {MODEL}": {"one-maker", "dangling-reference"},
    "UPDATE tidemill_node SET fence = 7 WHERE node_id = 'fit'": {"attempts-and-fences-grow-together"},
    "UPDATE tidemill_node SET attempt = 2 WHERE node_id = 'fit'": {"execution-name"},
    "DELETE FROM tidemill_pipeline_version": {"a-run-has-a-version"},
    "UPDATE tidemill_pipeline_version SET ir = REPLACE(ir, 'numbers', 'digits')": {"ir-matches-version"},
    "UPDATE tidemill_pipeline_version SET ir = '{'": {"ir-matches-version"},
    "DELETE FROM tidemill_run": {"a-node-has-a-run"},
    f"DELETE FROM Artifact WHERE id = {MODEL}": {"dangling-reference"},
    "DELETE FROM Context WHERE name = 'daily.fit'": {"dangling-reference"},
    "UPDATE tidemill_run SET state = 'QUEUED'": {"a-queued-run-did-nothing"},
    "UPDATE tidemill_run SET base_run = 'nowhere'": {"a-base-run-exists"},
    "INSERT INTO tidemill_pool (name, slots, change_time) VALUES ('gpu', 1, 0);"
    "UPDATE tidemill_run SET state = 'RUNNING', owner = 'gone';"
    "UPDATE tidemill_node SET state = 'RUNNING', pool = 'gpu', slots = 2 WHERE node_id = 'fit';"
    f"UPDATE Execution SET last_known_state = 2 WHERE id = {FIT}": {
        "a-pool-gives-no-more-than-it-has", "one-maker", "a-failure-makes-nothing-live",
    },
    "UPDATE tidemill_run SET state = 'RUNNING', owner = 'gone';"
    "UPDATE tidemill_node SET state = 'RUNNING', pool = 'gpu', slots = 1 WHERE node_id = 'fit';"
    f"UPDATE Execution SET last_known_state = 2 WHERE id = {FIT}": {
        "slots-have-a-pool", "one-maker", "a-failure-makes-nothing-live",
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
    assert set().union(*CORRUPTIONS.values()) == set(NAMES)


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
