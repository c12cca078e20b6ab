"""The demo's judgement of its own story, and the story itself in short."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
from demo import REPOSITORY, Night, details, outcome, row, summary

GOOD = Night(
    day="2026-03-02",
    bad=False,
    run="r1",
    seconds=1.0,
    states={"Trainer": "COMPLETE", "Evaluator": "CACHED", "Pusher": "COMPLETE"},
    blocked=[],
    failures={},
    metrics={"recall@10": 0.1234, "ndcg@10": 0.5, "lift_over_popularity": 2.04},
    champion={"ndcg@10": 0.4},
    blessed=True,
    reason="every threshold is met",
    pushed_version="2026-03-02-1",
    serving="2026-03-02-1",
)
REFUSED = dataclasses.replace(GOOD, blessed=False, pushed_version="", reason="no better than the champion")
STOPPED = dataclasses.replace(
    REFUSED,
    bad=True,
    states={"ExampleGen": "COMPLETE", "ExampleValidator": "FAILED"},
    blocked=["Trainer", "Pusher"],
    failures={
        "ExampleValidator": {"kind": "VALIDATION", "message": "it breaks\n  error: A in eval/x\n  error: B"}
    },
    metrics={},
    champion=None,
)


def test_nights_that_went_as_their_data_says_are_not_broken() -> None:
    assert [night.broken for night in (GOOD, REFUSED, STOPPED)] == ["", "", ""]


@pytest.mark.parametrize(
    ("night", "why"),
    [
        (dataclasses.replace(GOOD, bad=True), "not stopped"),
        (dataclasses.replace(STOPPED, bad=False), "a good day failed"),
        (dataclasses.replace(STOPPED, pushed_version="2026-03-02-1"), "although the day was bad"),
        (dataclasses.replace(REFUSED, pushed_version="2026-03-02-1"), "without a blessing"),
        (dataclasses.replace(GOOD, pushed_version=""), "blessed and not pushed"),
        (
            dataclasses.replace(STOPPED, failures={"ExampleValidator": {"kind": "EXCEPTION", "message": ""}}),
            "not stopped",
        ),
        (
            dataclasses.replace(
                STOPPED, failures={**STOPPED.failures, "Trainer": {"kind": "DATA", "message": ""}}
            ),
            "not stopped",
        ),
    ],
)
def test_what_must_not_happen_is_called_broken(night: Night, why: str) -> None:
    assert why in night.broken


def test_a_row_says_what_ran_what_was_measured_and_how_it_ended() -> None:
    assert row(GOOD).split() == [
        *("2026-03-02", "2", "1", "0", "0.123", "0.500", "0.400", "2.0"),
        *("blessed,", "pushed", "as", "2026-03-02-1"),
    ]
    assert row(STOPPED).split()[4:8] == ["-"] * 4
    assert outcome(STOPPED) == "stopped by ExampleValidator; nothing pushed"
    assert outcome(REFUSED) == "not blessed, nothing pushed"
    late = dataclasses.replace(GOOD, serving="2026-03-09-7")
    assert outcome(late) == "blessed, kept as 2026-03-02-1; the newer 2026-03-09-7 stays in service"


def test_details_give_the_reason_where_the_row_does_not() -> None:
    assert details(GOOD) == []
    assert details(REFUSED) == ["no better than the champion"]
    assert details(STOPPED) == ["it breaks", "error: B", "error: A in eval/x"]


def test_the_summary_says_when_everything_was_reused() -> None:
    reused = dataclasses.replace(GOOD, states={"Trainer": "CACHED", "Pusher": "CACHED"})
    assert len(summary([GOOD], 1.0)) == 1
    assert summary([reused], 1.0)[1] == "All cache hits: 2 nodes reused, none ran anew."
    stopped = dataclasses.replace(STOPPED, states={"ExampleGen": "CACHED", "ExampleValidator": "FAILED"})
    assert summary([reused, stopped], 1.0)[2].startswith("ExampleValidator looked at the bad day again")


@pytest.mark.slow
def test_a_good_night_and_a_bad_one_through_the_public_commands(tmp_path: Path) -> None:
    command = [sys.executable, str(REPOSITORY / "examples/recommender/demo.py"), "--json"]
    command += ["--days", "2", "--bad-day", "2", "--root", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    good, bad = json.loads(ended.stdout)["nights"]
    assert set(good["states"].values()) == {"COMPLETE"}
    assert good["blessed"]
    assert good["metrics"]["lift_over_popularity"] > 1.2
    assert good["champion"] is None
    assert bad["failures"]["ExampleValidator"]["kind"] == "VALIDATION"
    assert sorted(bad["blocked"]) == ["Evaluator", "Pusher", "Trainer", "Transform"]
    assert bad["serving"] == good["pushed_version"] == good["serving"]
    assert [p.name for p in (tmp_path / "recommender/serving/versions").iterdir()] == [good["serving"]]
