"""`tidemill prune`: what goes, what stays because something kept refers to it, and crashes in between."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

DAILY = """
    import json
    from pathlib import Path
    from tidemill import (
        Examples, FileSet, Input, Model, ModelBlessing, Output, PushedModel, component, files,
        latest_blessed, pipeline, rolling_window, run,
    )

    @component
    def ingest(source: FileSet, examples: Output[Examples]) -> None:
        examples.span = source.span
        (examples.path / "value").write_text(Path(source.files[0].uri).read_text())

    @component
    def train(window: Input[list[Examples]], model: Output[Model]) -> None:
        (model.path / "values").write_text(json.dumps([(e.path / "value").read_text() for e in window]))

    @component
    def judge(model: Input[Model], blessing: Output[ModelBlessing],
              champion: Input[Model] | None = None) -> None:
        blessing.blessed = int("dull" not in (model.path / "values").read_text())

    @component
    def push(model: Input[Model], pushed: Output[PushedModel], *, date: str) -> None:
        place = Path("serving", date).absolute()
        place.mkdir(parents=True, exist_ok=True)
        (place / "model").write_text("served")
        pushed.uri = str(place)

    @pipeline
    def daily() -> None:
        examples = ingest(source=files("{YYYY}-{MM}-{DD}.txt", date=run.date)).outputs.examples
        model = train(window=rolling_window(examples, spans=2)).outputs.model
        judge(model=model, champion=latest_blessed(model))
        push(model=model, date=run.date)
"""


@pytest.fixture
def played(project):
    """Six days; the champion of day three is still the champion on day six."""
    project.write("pipeline.py", DAILY)
    for day in range(1, 7):
        project.write(f"2024-01-0{day}.txt", f"day {day}" if day <= 2 else f"dull {day}")
        project.run("--date", f"2024-01-0{day}")
    return project


def artifacts(project, state: int) -> dict[str, set[str]]:
    """Node -> dates whose artifacts are in a state (2 LIVE, 4 DELETED)."""
    found: dict[str, set[str]] = {}
    for node, date in project.query(
        "SELECT n.node_id, r.date FROM Artifact a JOIN Event v ON v.artifact_id = a.id AND v.type = 4"
        " JOIN tidemill_node n ON n.execution_id = v.execution_id AND n.state = 'COMPLETE'"
        " JOIN tidemill_run r ON r.id = n.run_id WHERE a.state = ?", state,
    ):  # fmt: skip
        found.setdefault(node, set()).add(date[-1])
    return found


def test_without_yes_nothing_changes(played) -> None:
    before = sorted(p for p in (played.folder / ".tidemill").rglob("*") if p.is_file())
    done = played.tidemill("prune", "--keep-last", "2")
    assert "would delete" in done.stdout
    assert "nothing was changed" in done.stdout
    assert sorted(p for p in (played.folder / ".tidemill").rglob("*") if p.is_file()) == before
    assert artifacts(played, 4) == {}


def test_what_kept_runs_refer_to_stays(played, sound) -> None:
    answer = json.loads(played.tidemill("prune", "--keep-last", "2", "--yes", "--json").stdout)
    assert len(answer["runs"]) == 4
    assert answer["bytes"] > 0
    # Days 5 and 6 are kept. Day 5 trained on day 4's examples, and both compared with day 2's model.
    # Pushed models lie outside of the root and are nobody's to delete.
    assert artifacts(played, 2) == {
        "ingest": {"4", "5", "6"}, "train": {"2", "5", "6"}, "judge": {"5", "6"},
        "push": {"1", "2", "3", "4", "5", "6"},
    }  # fmt: skip
    assert artifacts(played, 4) == {
        "ingest": {"1", "2", "3"}, "train": {"1", "3", "4"}, "judge": {"1", "2", "3", "4"},
    }  # fmt: skip
    for uri, state in played.query("SELECT uri, state FROM Artifact"):
        assert Path(uri).exists() == (state == 2)
    sound(played)
    assert "sound" in played.tidemill("doctor", "--deep").stdout
    # Life goes on: the champion and the window are there, and what is gone is made again.
    played.write("2024-01-07.txt", "dull 7")
    assert set(played.states(played.run("--date", "2024-01-07")).values()) == {"COMPLETE"}
    assert played.states(played.run("--date", "2024-01-01"))["ingest"] == "COMPLETE"
    assert json.loads(played.tidemill("prune", "--keep-last", "9", "--yes", "--json").stdout)["runs"] == []
    sound(played)


def test_conditions(played) -> None:
    def chosen(*words: str) -> int:
        return len(json.loads(played.tidemill("prune", "--json", *words).stdout)["runs"])

    assert chosen("--keep-last", "1") == 5
    assert chosen("--keep-last", "1", "--older-than", "1d") == 0
    assert chosen("--keep-last", "1", "--state", "FAILED") == 0
    assert chosen("--keep-last", "1", "--pipeline", "other") == 0
    assert "at least one complete run" in played.tidemill("prune", "--keep-last", "0", expect=3).stderr
    assert "write 30d" in played.tidemill("prune", "--older-than", "old", expect=2).stderr


def test_nothing_is_deleted_under_a_run(played) -> None:
    played.tidemill("run", "pipeline.py", "--date", "2024-01-06", "--new", expect=None,
                    TIDEMILL_CRASHPOINT="run.created")  # fmt: skip
    done = played.tidemill("prune", "--keep-last", "1", "--yes", expect=3)
    assert "is RUNNING" in done.stderr
    assert artifacts(played, 4) == {}


def test_a_crash_between_marking_and_deleting_is_finished_by_the_next_prune(played, sound) -> None:
    from tidemill.metadata.retention import RetentionPolicy
    from tidemill.metadata.sql import open_store

    store = open_store(str(played.folder / ".tidemill" / "metadata.db"))
    root = str(played.folder / ".tidemill")
    marked = store.mark_for_deletion(RetentionPolicy(root=root, keep_last=2))
    store.close()
    assert marked.artifacts
    played.tidemill("prune", "--keep-last", "2", "--yes")
    assert played.query("SELECT COUNT(*) FROM Artifact WHERE state = 3") == [(0,)]
    assert not any(Path(a.uri).exists() for a in marked.artifacts)
    sound(played)


def test_rows_go_with_the_runs_that_nothing_refers_to(played, sound) -> None:
    """Each day made a day of the next one's window, so all of them stay; a run that failed does not."""
    failed = played.run("--date", "2024-01-09", expect=1)["run"]
    again = played.run("--date", "2024-01-06", "--no-cache")["run"]
    played.run("--date", "2024-01-06", "--no-cache", "--new")
    played.run("--date", "2024-01-06", "--no-cache", "--new")
    would = json.loads(played.tidemill("prune", "--keep-last", "2", "--rows", "--json").stdout)
    assert set(would["removed_runs"]) >= {failed, again}
    assert played.query("SELECT COUNT(*) FROM tidemill_run") == [(10,)]
    answer = json.loads(played.tidemill("prune", "--keep-last", "2", "--rows", "--yes", "--json").stdout)
    assert answer["removed_runs"] == would["removed_runs"]
    left = {run for (run,) in played.query("SELECT id FROM tidemill_run")}
    assert not left & set(answer["removed_runs"])
    assert len(left) + len(answer["removed_runs"]) == 10
    assert set(answer["kept_runs"]) <= left
    assert all("stays" in why for why in answer["kept_runs"].values())
    for run in answer["removed_runs"]:
        assert played.query("SELECT COUNT(*) FROM Execution WHERE name LIKE ?", f"{run}/%") == [(0,)]
        assert played.query("SELECT COUNT(*) FROM Context WHERE name = ?", run) == [(0,)]
    sound(played)
    played.tidemill("doctor", "--deep")
    done = played.tidemill("prune", "--keep-last", "2", "--rows", "--yes").stdout
    assert "removed the record of 0 runs" in done
    assert "kept the record of" in done
    played.write("2024-01-07.txt", "dull 7")
    assert set(played.states(played.run("--date", "2024-01-07")).values()) == {"COMPLETE"}
    sound(played)
