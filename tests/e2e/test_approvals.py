"""Nodes that wait for somebody, as a user meets them."""

from __future__ import annotations

import json

import pytest

PIPELINE = """
    from tidemill import approval, component, pipeline

    @component
    def train() -> int:
        return 1

    @component
    def push(value: int) -> None:
        with open("journal.txt", "a") as file:
            file.write("pushed\\n")

    @pipeline
    def daily():
        model = train()
        gate = approval(message="Push it?").with_id("gate")
        pushed = push(value=model.outputs.result)
        model >> gate >> pushed
"""


@pytest.fixture
def mill(project):
    project.write("pipeline.py", PIPELINE)
    return project


def waiting(mill) -> list[dict[str, object]]:
    """What waits for approval, once something does."""
    found: list[dict[str, object]] = []

    def look() -> bool:
        done = mill.tidemill("approvals", "list", "--json", expect=None)
        found[:] = json.loads(done.stdout) if done.returncode == 0 else []
        return bool(found)

    mill.until(look)
    return found


def test_a_run_waits_until_it_is_approved(mill, sound) -> None:
    runner = mill.start("run", "pipeline.py", "--json")
    (gate,) = waiting(mill)
    assert (gate["node"], gate["message"]) == ("gate", "Push it?")
    assert mill.journal() == []
    run = str(gate["run"])
    assert "Push it?" in mill.tidemill("approvals", "list").stdout
    mill.tidemill("approve", run, "gate", "--comment", "looks good", "--by", "ann")
    out, _ = runner.communicate(timeout=60)
    assert json.loads(out)["state"] == "COMPLETE"
    assert mill.journal() == ["pushed"]
    assert "approved by ann" in json.loads(out)["nodes"]["gate"]["message"]
    assert json.loads(mill.tidemill("approvals", "list", "--json").stdout) == []
    (told,) = json.loads(mill.tidemill("approvals", "list", "--decided", "--json").stdout)
    assert (told["granted"], told["by"], told["comment"]) == (True, "ann", "looks good")
    sound(mill)


def test_a_rejected_node_fails(mill, sound) -> None:
    runner = mill.start("run", "pipeline.py", "--json")
    (gate,) = waiting(mill)
    assert "comment" in mill.tidemill("reject", "latest", "gate", expect=2).stderr
    mill.tidemill("reject", "latest", "gate", "--comment", "too old")
    assert "was rejected by" in mill.tidemill("approve", "latest", "gate", expect=4).stderr
    out, _ = runner.communicate(timeout=60)
    answer = json.loads(out)
    assert answer["state"] == "FAILED"
    assert answer["blocked"] == ["push"]
    assert "too old" in answer["nodes"]["gate"]["message"]
    assert mill.journal() == []
    assert "rejected" in mill.tidemill("approvals", "list", "--decided").stdout
    assert gate["run"] == answer["run"]
    sound(mill)


def test_a_decision_may_come_while_no_runner_lives(mill, sound) -> None:
    """The runner died before anybody decided; whoever resumes the run finds the decision."""
    mill.tidemill("run", "pipeline.py", expect=None, TIDEMILL_CRASHPOINT="publish.after:1")
    (gate,) = waiting(mill)
    mill.tidemill("approve", str(gate["run"]), "gate")
    answer = mill.run()
    assert answer["resumed"]
    assert answer["state"] == "COMPLETE"
    assert mill.journal() == ["pushed"]
    sound(mill)


def test_a_waiting_run_can_be_canceled(mill, sound) -> None:
    runner = mill.start("run", "pipeline.py", "--json")
    (gate,) = waiting(mill)
    mill.tidemill("cancel", str(gate["run"]), "--wait")
    out, _ = runner.communicate(timeout=60)
    assert json.loads(out)["state"] == "CANCELED"
    assert "nothing in it waits" in mill.tidemill("approve", "latest", "gate", expect=4).stderr
    sound(mill)


def test_what_cannot_be_decided(mill) -> None:
    mill.tidemill("run", "pipeline.py", expect=None, TIDEMILL_CRASHPOINT="publish.after:1")
    assert "waits for no approval" in mill.tidemill("approve", "latest", "train", expect=4).stderr
    assert "did you mean 'gate'" in mill.tidemill("approve", "latest", "gaet", expect=4).stderr
    assert "there is no run" in mill.tidemill("approve", "nowhere", "gate", expect=4).stderr
