"""Runs of a part of a pipeline, and retries of runs, as a user meets them."""

from __future__ import annotations

import json
import shutil

import pytest

PIPELINE = """
    from pathlib import Path
    from tidemill import NodeOptions, component, pipeline

    def note(name: str) -> None:
        with open("journal.txt", "a") as file:
            file.write(name + "\\n")

    @component
    def read(n: int) -> int:
        note("read")
        return n

    @component
    def clean(value: int) -> int:
        note("clean")
        return value + 1

    @component
    def train(value: int) -> int:
        note("train")
        if Path("broken").exists():
            raise ValueError("it is broken")
        return 10 * value

    @component
    def judge(model: int, value: int) -> int:
        note("judge")
        return model + value

    @component
    def lone() -> int:
        note("lone")
        return 1

    @pipeline(options=NodeOptions(cache=False))
    def daily(n: int = 1):
        raw = read(n=n)
        good = clean(value=raw.outputs.result)
        model = train(value=good.outputs.result)
        judge(model=model.outputs.result, value=good.outputs.result)
        lone()
"""


@pytest.fixture
def mill(project):
    project.write("pipeline.py", PIPELINE)
    return project


def fresh(mill) -> list[str]:
    """What ran since the last call."""
    journal = mill.journal()
    (mill.folder / "journal.txt").unlink(missing_ok=True)
    return sorted(journal)


def reasons(mill, run_id: str) -> dict[str, str]:
    shown = json.loads(mill.tidemill("runs", "show", run_id, "--json").stdout)
    return {name: node["reason"] for name, node in shown["nodes"].items()}


@pytest.mark.parametrize(
    ("words", "ran", "taken"),
    [
        (["--from", "train"], ["judge", "train"], ["clean"]),
        (["--to", "clean"], ["clean", "read"], []),
        (["--from", "clean", "--to", "train"], ["clean", "train"], ["read"]),
        (["--only", "judge"], ["judge"], ["clean", "train"]),
        (["--only", "lone", "--only", "read"], ["lone", "read"], []),
    ],
)
def test_a_part_runs_and_the_rest_comes_from_the_base(mill, sound, words, ran, taken) -> None:
    whole = mill.run()
    fresh(mill)
    told = json.loads(mill.tidemill("explain", "pipeline.py", *words, "--json").stdout)
    answer = mill.run(*words)
    assert answer["state"] == "COMPLETE"
    assert fresh(mill) == ran
    states = mill.states(answer)
    assert sorted(states) == sorted([*ran, *taken])
    assert {name for name, state in states.items() if state == "CACHED"} == set(taken)
    assert {n["node"] for n in told["nodes"] if n["verdict"] == "BASE"} == set(taken)
    assert {n["node"] for n in told["nodes"]} == set(states)
    assert answer["base"] == (whole["run"] if taken else None)
    for name in taken:
        assert f"taken from run {whole['run']}" in reasons(mill, answer["run"])[name]
    sound(mill)
    # What was taken has the same artifacts: lineage goes through the base run's executions.
    shown = mill.query(
        "SELECT COUNT(*) FROM Event e JOIN tidemill_node n ON n.execution_id = e.execution_id "
        "WHERE n.run_id = ? AND n.state = 'CACHED' AND e.type = 4", answer["run"],
    )  # fmt: skip
    assert shown == [(len(taken),)]


def test_a_base_that_lacks_something_is_refused(mill, sound) -> None:
    failed = mill.tidemill("run", "pipeline.py", "--from", "train", expect=4).stderr
    assert "no run has the results of clean" in failed
    (mill.folder / "broken").touch()
    broken = mill.run(expect=1)
    (mill.folder / "broken").unlink()
    failed = mill.tidemill("run", "pipeline.py", "--only", "judge", "--base", broken["run"], expect=4).stderr
    assert "node 'train' is FAILED there" in failed
    assert (
        "node 'train' is FAILED there"
        in mill.tidemill("run", "pipeline.py", "--only", "judge", expect=4).stderr
    )
    assert mill.run("--from", "train")["base"] == broken["run"]
    assert (
        "no run 'nowhere'"
        in mill.tidemill("run", "pipeline.py", "--from", "train", "--base", "nowhere", expect=4).stderr
    )
    for words, what in (
        (["--from", "trian"], "did you mean 'train'"),
        (["--from", "judge", "--to", "read"], "no node lies between"),
        (["--only", "read", "--to", "read"], "cannot be combined"),
        (["--base", "latest"], "--base is for a run of a part"),
    ):
        assert what in mill.tidemill("run", "pipeline.py", *words, expect=4).stderr
    assert len(mill.query("SELECT id FROM tidemill_run")) == 2
    sound(mill)


def test_damaged_results_are_not_taken(mill, sound) -> None:
    mill.run()
    ((uri,),) = mill.query("SELECT uri FROM Artifact WHERE uri LIKE '%/clean/%'")
    shutil.rmtree(uri)
    failed = mill.tidemill("run", "pipeline.py", "--from", "train", expect=4).stderr
    assert "cannot be used" in failed
    assert "--from clean" in failed
    assert mill.query("SELECT state FROM tidemill_run ORDER BY context_id") == [("COMPLETE",), ("FAILED",)]


def test_a_killed_partial_run_is_resumed(mill, sound) -> None:
    """Between two nodes that are taken, and when they all are."""
    mill.run()
    for count in (1, 2):
        fresh(mill)
        words = ("--only", "judge")
        killed = mill.tidemill(
            "run", "pipeline.py", *words, expect=None, TIDEMILL_CRASHPOINT=f"base.taken:{count}"
        )
        assert killed.returncode == -9
        answer = mill.run(*words)
        assert answer["resumed"]
        assert fresh(mill) == ["judge"]
        assert mill.states(answer) == {"clean": "CACHED", "train": "CACHED", "judge": "COMPLETE"}
        sound(mill)


def test_retry_does_what_did_not_succeed(mill, sound) -> None:
    (mill.folder / "broken").touch()
    failed = mill.run("-p", "n=5", expect=1)
    assert fresh(mill) == ["clean", "lone", "read", "train"]
    (mill.folder / "broken").unlink()
    answer = json.loads(mill.tidemill("retry", failed["run"], "--json").stdout)
    assert fresh(mill) == ["judge", "train"]
    assert answer["version"] == failed["version"]
    assert answer["base"] == failed["run"]
    assert mill.states(answer) == {
        "read": "CACHED", "clean": "CACHED", "lone": "CACHED", "train": "COMPLETE", "judge": "COMPLETE",
    }  # fmt: skip
    assert mill.query("SELECT parameters FROM tidemill_run") == [('{"n": 5}',)] * 2
    assert "nothing to retry" in mill.tidemill("retry", answer["run"], expect=4).stderr
    again = json.loads(mill.tidemill("retry", answer["run"], "--from", "train", "--json").stdout)
    assert fresh(mill) == ["judge", "train"]
    assert again["base"] == answer["run"]
    assert "did you mean" in mill.tidemill("retry", "--from", "trian", expect=4).stderr
    sound(mill)


def test_retry_of_a_part_stays_a_part(mill) -> None:
    mill.run()
    (mill.folder / "broken").touch()
    failed = mill.run("--from", "train", expect=1)
    (mill.folder / "broken").unlink()
    fresh(mill)
    answer = json.loads(mill.tidemill("retry", failed["run"], "--json").stdout)
    assert fresh(mill) == ["judge", "train"]
    assert mill.states(answer) == {"clean": "CACHED", "train": "COMPLETE", "judge": "COMPLETE"}
    assert (
        "did not have the node 'lone'"
        in mill.tidemill("retry", failed["run"], "--from", "lone", expect=4).stderr
    )


def test_retry_with_newer_code_says_so_and_has_a_version_of_its_own(mill, sound) -> None:
    (mill.folder / "broken").touch()
    failed = mill.run(expect=1)
    mill.write("pipeline.py", PIPELINE.replace("return 10 * value", "return 20 * value").replace(
        'raise ValueError("it is broken")', "pass"))  # fmt: skip
    told = mill.tidemill("retry", failed["run"], "--from", "train").stdout
    assert "code changed since then: pipeline:train" in told
    versions = [v for (v,) in mill.query("SELECT version FROM tidemill_run ORDER BY context_id")]
    assert versions[0] == failed["version"] != versions[1]
    sound(mill)
    (mill.folder / "pipeline.py").write_text("def oops(:\n")
    done = mill.tidemill("retry", failed["run"], expect=1)
    assert "whether code changed since is not known" in done.stderr


def test_an_unfinished_run_is_not_retried(mill) -> None:
    mill.tidemill("run", "pipeline.py", expect=None, TIDEMILL_CRASHPOINT="publish.after:2")
    assert "has not ended" in mill.tidemill("retry", expect=4).stderr


def test_what_failed_of_one_cause_is_queued_again(mill, sound) -> None:
    """Both runs, once; a second replay finds their retries."""
    (mill.folder / "broken").touch()
    failed = [mill.run("-p", f"n={n}", expect=1)["run"] for n in (1, 2)]
    (cause,) = json.loads(mill.tidemill("failures", "list", "--json").stdout)
    (mill.folder / "broken").unlink()
    fresh(mill)
    queued = json.loads(mill.tidemill("failures", "replay", cause["fingerprint"], "--json").stdout)
    assert [row["run"] for row in queued] == failed
    again = json.loads(mill.tidemill("failures", "replay", cause["fingerprint"][:6], "--json").stdout)
    assert [row["retry"] for row in again] == [row["retry"] for row in queued]
    mill.tidemill("worker", "--once")
    assert fresh(mill) == ["judge", "judge", "train", "train"]
    states = mill.query("SELECT base_run, state FROM tidemill_run WHERE base_run <> '' ORDER BY context_id")
    assert states == [(run, "COMPLETE") for run in failed]
    sound(mill)
