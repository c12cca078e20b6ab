"""Backfills: one run for each date, as a user meets them."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

PIPELINE = """
    import os, time
    from pathlib import Path
    from tidemill import Schedule, component, pipeline, run

    @component
    def work(day: str, rate: float) -> None:
        descriptor = os.open("journal.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, f"{day}\\n".encode())
        os.close(descriptor)
        while Path("hold").exists():
            time.sleep(0.005)
        if Path(f"bad-{day}").exists():
            raise ValueError("bad day")

    @pipeline(schedule=Schedule(SCHEDULE))
    def daily(rate: float = 0.5):
        work(day=run.date, rate=rate)
"""
RANGE = ("--from", "2024-01-01", "--to", "2024-01-04")
DAYS = ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"]


@pytest.fixture
def mill(project):
    project.write("pipeline.py", PIPELINE.replace("SCHEDULE", '"@daily"'))
    return project


def fill(mill, *words: str, expect: int = 0, days: tuple[str, ...] = RANGE) -> dict[str, Any]:
    done = mill.tidemill("backfill", "pipeline.py", *days, "--json", *words, expect=expect)
    return {row["date"]: row["verdict"] for row in json.loads(done.stdout)["dates"]}


def test_each_date_runs_once_and_oldest_first(mill, sound) -> None:
    assert fill(mill, "--dry-run") == dict.fromkeys(DAYS, "RUN")
    assert mill.journal() == []
    assert fill(mill) == dict.fromkeys(DAYS, "COMPLETE")
    assert mill.journal() == DAYS
    assert fill(mill) == dict.fromkeys(DAYS, "SKIPPED")
    assert fill(mill, days=("--from", "2024-01-04", "--to", "2024-01-05")) == {
        "2024-01-04": "SKIPPED", "2024-01-05": "COMPLETE",
    }  # fmt: skip
    assert mill.journal() == [*DAYS, "2024-01-05"]
    assert fill(mill, "-p", "rate=0.7", "--parallel", "3") == dict.fromkeys(DAYS, "COMPLETE")
    assert sorted(mill.journal()[5:]) == DAYS
    said = mill.tidemill("backfill", "pipeline.py", *RANGE).stdout
    assert "4 dates: 4 skipped" in said
    assert fill(mill, "--rerun", "all") == dict.fromkeys(DAYS, "COMPLETE")
    sound(mill)


def test_it_stops_at_a_failure_or_goes_on(mill, sound) -> None:
    bad = mill.folder / "bad-2024-01-02"
    bad.touch()
    assert fill(mill, expect=1) == {
        "2024-01-01": "COMPLETE", "2024-01-02": "FAILED", "2024-01-03": "NOT STARTED",
        "2024-01-04": "NOT STARTED",
    }  # fmt: skip
    assert fill(mill, "--keep-going", expect=1) == {
        "2024-01-01": "SKIPPED", "2024-01-02": "FAILED", "2024-01-03": "COMPLETE", "2024-01-04": "COMPLETE",
    }  # fmt: skip
    assert mill.journal() == DAYS
    bad.unlink()
    said = mill.tidemill("backfill", "pipeline.py", *RANGE, expect=1).stdout
    assert "--rerun failed" in said
    assert fill(mill, "--rerun", "failed") == {**dict.fromkeys(DAYS, "SKIPPED"), "2024-01-02": "COMPLETE"}
    assert mill.journal() == [*DAYS, "2024-01-02"]
    sound(mill)


def test_only_days_on_which_an_interval_starts(mill) -> None:
    mill.write("pipeline.py", PIPELINE.replace("SCHEDULE", '"@weekly", start="2024-01-10"'))
    assert list(fill(mill, "--dry-run", days=("--from", "2024-01-01", "--to", "2024-02-01"))) == [
        "2024-01-14", "2024-01-21", "2024-01-28",
    ]  # fmt: skip


def begun(mill, count: int) -> None:
    mill.until(lambda: len(mill.journal()) >= count)


def test_a_killed_backfill_goes_on(mill, sound) -> None:
    hold = Path(mill.folder / "hold")
    hold.touch()
    process = mill.start("backfill", "pipeline.py", *RANGE, "--parallel", "2")
    begun(mill, 2)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    hold.unlink()
    sound(mill)
    assert fill(mill) == dict.fromkeys(DAYS, "COMPLETE")
    assert len(mill.query("SELECT id FROM tidemill_run")) == 4
    sound(mill)


def test_two_backfills_at_once_share_the_work(mill, sound) -> None:
    hold = Path(mill.folder / "hold")
    hold.touch()
    first = mill.start("backfill", "pipeline.py", *RANGE, "--parallel", "2", "--json")
    begun(mill, 2)
    second = mill.start("backfill", "pipeline.py", *RANGE, "--parallel", "4", "--json")
    begun(mill, 3)
    hold.unlink()
    for process in (first, second):
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        verdicts = {row["date"]: row["verdict"] for row in json.loads(out)["dates"]}
        assert set(verdicts.values()) <= {"COMPLETE", "SKIPPED"}
    assert sorted(mill.journal()) == DAYS
    sound(mill)


def test_it_can_be_interrupted(mill, sound) -> None:
    (mill.folder / "hold").touch()
    process = mill.start("backfill", "pipeline.py", *RANGE)
    begun(mill, 1)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "1 canceled, 3 not started" in out
    sound(mill)


def test_bad_ranges(mill) -> None:
    words = ("backfill", "pipeline.py")
    later = mill.tidemill(*words, "--from", "2024-01-02", "--to", "2024-01-01", expect=4).stderr
    assert "is later than" in later
    assert "is not a date" in mill.tidemill(*words, "--from", "x", "--to", "2024-01-01", expect=4).stderr
