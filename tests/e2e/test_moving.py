"""`tidemill metadata export`, `import` and `search` as people call them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PIPELINE = """
    from tidemill import Input, JsonValue, Model, Output, component, pipeline

    @component
    def make(count: int = 2) -> list[int]:
        return list(range(count))

    @component
    def fit(numbers: Input[JsonValue], model: Output[Model]) -> float:
        (model.path / "weights.txt").write_text("12345")
        return 0.5

    @pipeline
    def daily(count: int = 2):
        fit(numbers=make(count=count).outputs.result)
"""


@pytest.fixture
def mill(project):
    project.write("pipeline.py", PIPELINE)
    project.run()
    project.run("--param", "count=3")
    return project


def test_a_run_moves_and_is_reused_there(mill) -> None:
    mill.tidemill("metadata", "export", "--run", "latest", "-o", "run.jsonl")
    there = ("--metadata", "sqlite:///there.db")
    done = json.loads(mill.tidemill("metadata", "import", "run.jsonl", "--json", *there).stdout)
    assert (done["added"]["run"], done["added"]["execution"]) == (1, 2)
    again = mill.tidemill("metadata", "import", "run.jsonl", *there).stdout
    assert again.splitlines()[0].split() == ["KIND", "ADDED", "KNOWN"]
    assert all(line.split()[1] == "0" for line in again.splitlines()[1:])
    assert "sound: 1 runs" in mill.tidemill("doctor", "--deep", *there).stdout
    states = mill.states(mill.run("--param", "count=3", "--new", *there))
    assert states == {"make": "CACHED", "fit": "CACHED"}


def test_through_a_pipe(mill) -> None:
    whole = mill.tidemill("metadata", "export", "--all", "-o", "-").stdout
    command = [sys.executable, "-m", "tidemill.cli.main", "metadata", "import", "-", "--root", "other"]
    done = subprocess.run(command, input=whole, cwd=mill.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert mill.tidemill("metadata", "export", "--all", "-o", "-", "--root", "other").stdout == whole


def test_mistakes_are_told(mill) -> None:
    for words, code, said in (
        (["export", "-o", "x"], 2, "one of --run"),
        (["export", "--all", "--run", "latest", "-o", "x"], 2, "one of --run"),
        (["export", "--run", "nothing", "-o", "x"], 4, "there is no run"),
        (["export", "--pipeline", "nothing", "-o", "x"], 3, "there is no pipeline 'nothing'"),
        (["export", "--artifact", "99", "-o", "x"], 3, "there is no artifact 99"),
        (["export", "--all", "-o", "no/such/folder/x"], 3, "cannot write"),
        (["import", "pipeline.py"], 3, "is not JSON"),
        (["import", "nothing"], 2, "does not exist"),
    ):
        done = mill.tidemill("metadata", *words, expect=code)
        assert said in done.stderr, words
        assert "Traceback" not in done.stderr
    assert not (mill.folder / "x").exists()
    assert not list(mill.folder.glob(".*.part"))


def test_search(mill) -> None:
    hits = json.loads(mill.tidemill("search", "type=Model", "live", "--json").stdout)
    assert [(h["kind"], h["type"]) for h in hits] == [("artifact", "Model")] * 2
    assert {m["where"] for m in hits[0]["matches"]} >= {"type", "state"}
    (run,) = json.loads(mill.tidemill("search", "count=3", "--kind", "run", "--json").stdout)
    assert run["type"] == "daily"
    assert "property value: 0.5" in mill.tidemill("search", "value>0.4", "--type", "Float").stdout
    assert "nothing was found" in mill.tidemill("search", "nowhere").stdout
    assert "a quote is not closed" in mill.tidemill("search", '"open', expect=3).stderr
