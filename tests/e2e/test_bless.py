"""`tidemill bless` and `unbless`: somebody's word on a model, kept, and heard by the runs that follow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

PIPELINE = """
    from pathlib import Path
    from tidemill import (
        Examples, Input, Model, ModelBlessing, Output, component, latest_blessed, pipeline,
    )

    @component
    def train(model: Output[Model], *, quality: int) -> None:
        (model.path / "quality").write_text(str(quality))

    @component
    def judge(model: Input[Model], blessing: Output[ModelBlessing],
              champion: Input[Model] | None = None) -> None:
        blessing.blessed = int(int((model.path / "quality").read_text()) > 5)

    @pipeline
    def daily(quality: int = 1) -> None:
        model = train(quality=quality).outputs.model
        judge(model=model, champion=latest_blessed(model))
"""


def champion_of(project, answer: dict) -> str:
    """The quality of the champion that the judge of a run was given."""
    found = project.query(
        "SELECT a.uri FROM Artifact a JOIN Event v ON v.artifact_id = a.id AND v.type = 3"
        " JOIN EventPath p ON p.event_id = v.id AND p.step_key = 'champion'"
        " JOIN tidemill_node n ON n.execution_id = v.execution_id"
        " WHERE n.run_id = ? AND n.node_id = 'judge'", answer["run"],
    )  # fmt: skip
    return (Path(found[0][0]) / "quality").read_text() if found else ""


def models(project) -> list[int]:
    listed = json.loads(project.tidemill("artifacts", "list", "--type", "Model", "--json").stdout)
    return sorted(artifact["artifact"] for artifact in listed)


@pytest.fixture
def played(project):
    """Two models: the first is refused by its judge, the second blessed."""
    project.write("pipeline.py", PIPELINE)
    for quality in (2, 7):
        project.run("-p", f"quality={quality}")
    return project


def test_a_following_run_resolves_what_was_blessed_by_hand(played, sound) -> None:
    refused, blessed = models(played)
    assert champion_of(played, played.run("-p", "quality=3")) == "7"
    done = played.tidemill("unbless", str(blessed), "--reason", "it was trained on test data", "--by", "ann")
    assert done.stdout == (
        f"NOT_BLESSED model {blessed} of pipeline daily, as ann: it was trained on test data\n"
    )
    assert champion_of(played, played.run("-p", "quality=4")) == ""
    answer = json.loads(
        played.tidemill("bless", str(refused), "--reason", "the best we have", "--json").stdout
    )
    assert (answer["model"], answer["verdict"], answer["pipeline"]) == (refused, "BLESSED", "daily")
    assert champion_of(played, played.run("-p", "quality=5")) == "2"
    # A judge that says its word again, from the cache, does not overrule a person's.
    assert champion_of(played, played.run("-p", "quality=7", "--new")) == "2"
    sound(played)


def test_who_when_and_why_are_on_record(played) -> None:
    refused, _ = models(played)
    answer = json.loads(
        played.tidemill("bless", str(refused), "--reason", "demo on Friday", "--by", "ann", "--json").stdout
    )
    shown = json.loads(played.tidemill("artifacts", "show", str(answer["blessing"]), "--json").stdout)
    said = shown["custom_properties"]
    assert (said["blessed"], said["manual"], said["by"], said["reason"]) == (1, 1, "ann", "demo on Friday")
    assert said["current_model_id"] == refused
    assert shown["create_time"] > 0
    assert answer["run"] in played.tidemill("lineage", str(refused), "--direction", "downstream").stdout
    run = played.tidemill("runs", "show", answer["run"]).stdout
    assert "blessed by ann: demo on Friday" in run
    listed = json.loads(played.tidemill("runs", "list", "--json").stdout)
    assert [r["pipeline"] for r in listed][:1] == ["daily@blessings"]
    latest = played.tidemill("runs", "show", "latest").stdout
    assert "quality = 7" in latest  # the last run of the pipeline, not the word on its model
    assert played.tidemill("doctor").returncode == 0


def test_a_word_outlives_pruning(played) -> None:
    refused, blessed = models(played)
    played.tidemill("bless", str(refused), "--reason", "yes")
    played.tidemill("unbless", str(blessed), "--reason", "no")
    played.tidemill("prune", "--keep-last", "1", "--yes")
    assert champion_of(played, played.run("-p", "quality=3")) == "2"


MISTAKES = [
    (("bless", "999", "--reason", "x"), 4, "there is no artifact 999"),
    (("bless", "{blessing}", "--reason", "x"), 4, "is ModelBlessing, no model"),
    (("bless", "{model}", "--reason", "  "), 4, "needs a reason"),
    (("bless", "{model}"), 2, "Missing option '--reason'"),
    (("unbless", "abc", "--reason", "x"), 2, "is not a valid integer"),
]


def test_mistakes(played) -> None:
    listed = json.loads(played.tidemill("artifacts", "list", "--type", "ModelBlessing", "--json").stdout)
    names = {"model": models(played)[0], "blessing": listed[0]["artifact"]}
    for words, exit_code, message in MISTAKES:
        done = played.tidemill(*[word.format(**names) for word in words], expect=exit_code)
        assert message in done.stderr
    assert len(json.loads(played.tidemill("runs", "list", "--json").stdout)) == 2
