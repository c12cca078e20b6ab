"""`tidemill reproduce`: the same bytes again, what differs, what is left out, and who never notices."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import pytest

PIPELINE = """
    import json
    import os
    import time
    from pathlib import Path

    from tidemill import (
        Examples, FileSet, Input, Model, ModelBlessing, Output, PushedModel, component, files,
        latest_blessed, pipeline, rolling_window, run,
    )
    from helper import scale

    def note(what: str) -> None:
        with open("journal.txt", "a") as file:
            file.write(what + "\\n")

    @component
    def ingest(source: FileSet, examples: Output[Examples]) -> None:
        examples.span = source.span
        (examples.path / "value").write_text(Path(source.files[0].uri).read_text())
        note("ingest")

    @component
    def train(window: Input[list[Examples]], model: Output[Model], *, rate: float, who: str) -> float:
        values = [(e.path / "value").read_text() for e in window]
        (model.path / "values").write_text(json.dumps([values, scale(rate), who]))
        return sum(map(float, values)) * rate

    @component
    def judge(model: Input[Model], blessing: Output[ModelBlessing],
              champion: Input[Model] | None = None) -> None:
        blessing.blessed = int(champion is None or os.environ.get("BLESS") == "1")

    @component
    def clock(stamp: Output[Model]) -> float:
        (stamp.path / "now").write_text(str(time.time_ns()))
        return time.time()

    @component(effects=True)
    def push(model: Input[Model], pushed: Output[PushedModel]) -> None:
        note("push")

    @pipeline
    def daily(rate: float = 0.5) -> None:
        examples = ingest(source=files("{YYYY}-{MM}-{DD}.txt", date=run.date)).outputs.examples
        model = train(window=rolling_window(examples, spans=2), rate=rate, who=run.id).outputs.model
        judge(model=model, champion=latest_blessed(model))
        push(model=model)
        CLOCK
"""


@pytest.fixture
def mill(project):
    """Two days of a pipeline without a clock in it."""
    project.write("helper.py", "def scale(rate: float) -> float:\n    return rate * 10\n")
    project.write("pipeline.py", PIPELINE.replace("CLOCK", "pass"))
    for day in (1, 2):
        project.write(f"2024-01-0{day}.txt", str(day))
        project.run("--date", f"2024-01-0{day}", "--param", "rate=0.25")
    return project


def reproduce(project, *words: str, expect: int = 0, **env: str) -> dict[str, Any]:
    return dict(json.loads(project.tidemill("reproduce", *words, "--json", expect=expect, **env).stdout))


def verdicts(answer: dict[str, Any]) -> dict[str, str]:
    return {node["node"]: node["verdict"] for node in answer["nodes"]}


SAME = {"ingest": "same", "train": "same", "judge": "same", "push": "has effects"}


def test_the_same_comes_out_again(mill, sound) -> None:
    first, second = (r for (r,) in mill.query("SELECT id FROM tidemill_run ORDER BY context_id"))
    assert mill.journal() == ["ingest", "push"] * 2
    answer = reproduce(mill, second)
    assert verdicts(answer) == SAME
    assert mill.journal() == ["ingest", "push"] * 2 + ["ingest"]
    sound(mill)
    mill.tidemill("doctor", "--deep")
    # Each node got the very artifacts of then, also of other runs: the window's first day.
    used = dict(mill.query(
        "SELECT r.id, GROUP_CONCAT(v.artifact_id) FROM tidemill_node n JOIN tidemill_run r ON r.id = n.run_id"
        " JOIN Event v ON v.execution_id = n.execution_id AND v.type = 3 WHERE n.node_id = 'train'"
        " GROUP BY r.id"
    ))  # fmt: skip
    assert used[answer["run"]] == used[second] != used[first]
    # In the table, too.
    table = mill.tidemill("reproduce", first).stdout
    assert "same" in table
    assert "effects" in table


def test_what_came_later_is_not_seen(mill) -> None:
    """Day 1 had no champion and a window of one day; so it is again, however late."""
    first = mill.query("SELECT id FROM tidemill_run ORDER BY context_id")[0][0]
    mill.write("2024-01-02.txt", "5")
    mill.run("--date", "2024-01-02", "--param", "rate=0.125")
    assert verdicts(reproduce(mill, first)) == SAME


def test_nobody_uses_a_reproduction(mill, sound) -> None:
    """It is no cache, no window and no champion, and its judge blesses nobody."""
    second = mill.query("SELECT id FROM tidemill_run ORDER BY context_id")[1][0]
    before = mill.query("SELECT MAX(id) FROM Artifact")[0][0]
    answer = reproduce(mill, second, "pipeline.py", expect=1, BLESS="1")
    judged = next(n for n in answer["nodes"] if n["node"] == "judge")
    assert {"what": "blessing.blessed", "then": 0, "now": 1, "delta": 1} in judged["differences"]
    after = mill.query("SELECT MAX(id) FROM Artifact")[0][0]
    assert after > before
    again = mill.run("--date", "2024-01-02", "--param", "rate=0.25", "--new")
    assert mill.states(again)["ingest"] == "CACHED"
    mill.write("2024-01-03.txt", "3")
    later = mill.run("--date", "2024-01-03", "--param", "rate=0.25")["run"]
    used = {a for (a,) in mill.query(
        "SELECT v.artifact_id FROM Event v JOIN tidemill_node n ON n.execution_id = v.execution_id"
        " WHERE n.run_id IN (?, ?)", later, again["run"],
    )}  # fmt: skip
    assert not used & set(range(before + 1, after + 1))
    ((champion,),) = mill.query(
        "SELECT v.artifact_id FROM Event v JOIN tidemill_node n ON n.execution_id = v.execution_id"
        " JOIN EventPath p ON p.event_id = v.id AND p.step_key = 'champion'"
        " WHERE n.run_id = ? AND v.type = 3",
        later,
    )  # fmt: skip
    first = mill.query("SELECT id FROM tidemill_run ORDER BY context_id")[0][0]
    assert mill.query("SELECT name FROM Artifact WHERE id = ?", champion)[0][0].startswith(first)
    sound(mill)


def test_what_differs_is_told(mill) -> None:
    mill.write("pipeline.py", PIPELINE.replace("CLOCK", "clock()"))
    mill.run("--date", "2024-01-02")
    answer = reproduce(mill, "latest", expect=1)
    assert verdicts(answer) == {**SAME, "clock": "differs"}
    differences = {
        d["what"]: d for d in answer["nodes"][-1]["differences"] + answer["nodes"][0]["differences"]
    }
    if not differences:
        differences = {d["what"]: d for n in answer["nodes"] for d in n["differences"]}
    assert set(differences) == {"stamp", "result", "result.value"}
    assert 0 < differences["result.value"]["delta"] < 600


def test_changed_code_is_refused_and_named(mill) -> None:
    path = mill.write("helper.py", "def scale(rate: float) -> float:\n    return rate * 20\n")
    os.utime(path, (time.time() + 60,) * 2)  # whatever the clock of the file system says
    told = mill.tidemill("reproduce", "latest", expect=4).stderr
    assert "pipeline:train (train) or what it imports has changed" in told
    assert "helper" in told
    assert "--allow-changed-code" in told
    answer = reproduce(mill, "latest", "--allow-changed-code", expect=1)
    assert verdicts(answer) == {**SAME, "train": "differs"}
    (changed,) = [n for n in answer["nodes"] if n["node"] == "train"]
    assert {d["what"] for d in changed["differences"]} == {"model"}


def test_code_that_is_not_here(mill, tmp_path) -> None:
    (mill.folder / "pipeline.py").rename(mill.folder / "elsewhere.py")
    told = mill.tidemill("reproduce", "latest", expect=4).stderr
    assert "is not found from" in told
    assert "there is no file" in mill.tidemill("reproduce", "latest", "nothing.py", expect=2).stderr


def test_inputs_that_are_gone(mill) -> None:
    mill.write("2024-01-02.txt", "9")
    answer = reproduce(mill, "latest", expect=1)
    assert verdicts(answer) == {**SAME, "ingest": "not run"}
    assert "has other bytes than then" in answer["nodes"][0]["why"]
    (mill.folder / "2024-01-02.txt").unlink()
    last = mill.query("SELECT id FROM tidemill_run ORDER BY context_id")[1][0]
    assert "cannot be read" in reproduce(mill, last, expect=1)["nodes"][0]["why"]


def test_effects_on_demand(mill) -> None:
    answer = reproduce(mill, "latest", "--with-effects", expect=0)
    assert verdicts(answer) == {**SAME, "push": "same"}
    assert mill.journal()[-1] == "push" or mill.journal()[-2] == "push"


def test_what_cannot_be_reproduced(mill) -> None:
    reproduced = reproduce(mill, "latest")["run"]
    assert "is a reproduction itself" in mill.tidemill("reproduce", reproduced, expect=4).stderr
    mill.tidemill("run", "pipeline.py", "--date", "2024-01-01", "--new", expect=None,
                  TIDEMILL_CRASHPOINT="run.created")  # fmt: skip
    assert "has not ended yet" in mill.tidemill("reproduce", "latest", expect=4).stderr


def test_what_had_no_result_is_not_held_against_it(mill) -> None:
    """A run that failed is repeated as far as it came."""
    mill.write("2024-01-03.txt", "three")  # no number: train fails
    mill.run("--date", "2024-01-03", expect=1)
    answer = reproduce(mill, "latest")
    nothing = dict.fromkeys(("train", "judge", "push"), "had no result")
    assert verdicts(answer) == {"ingest": "same", **nothing}
    assert "it was FAILED" in answer["nodes"][1]["why"]


def test_a_killed_reproduction_is_resumed(mill, sound) -> None:
    original = mill.query("SELECT id FROM tidemill_run ORDER BY context_id")[1][0]
    mill.tidemill("reproduce", original, expect=None, TIDEMILL_CRASHPOINT="publish.after")
    answer = reproduce(mill, original)
    assert verdicts(answer) == SAME
    assert mill.query("SELECT COUNT(*) FROM tidemill_run WHERE pipeline LIKE '%@reproduced'") == [(1,)]
    sound(mill)
