"""Tuner in a real run: trials are nodes with their own record; what is there after a failure is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PIPELINE = """
    from pathlib import Path

    from tidemill import files, pipeline
    from tidemill.components import Choice, ExampleGen, LightGBMTrainer, Tuner

    def try_one(args):
        leaves = args.hyperparameters["num_leaves"]
        with Path("journal.txt").open("a") as journal:
            journal.write(f"{leaves}\\n")
        if leaves == 7 and not Path("mended").exists():
            raise ValueError("not yet")
        args.report(0, 0.5)
        return {"goodness": {3: 1.0, 5: 3.0, 7: 2.0}[leaves]}

    @pipeline
    def tuned():
        examples = ExampleGen(source=files("rows.csv")).outputs.examples
        tuner = Tuner(
            examples, {"num_leaves": Choice([3, 5, 7])}, trial_fn=try_one, metric="goodness",
            direction="maximize", sampler="grid", num_parallel_trials=2,
        )
        LightGBMTrainer(
            examples, "y", num_boost_round=3, num_threads=1,
            best_hyperparameters=tuner.outputs.best_hyperparameters,
        )
"""


def outputs(project: Any, node: str, name: str) -> Any:
    (uri,) = project.query(
        "SELECT a.uri FROM Artifact a JOIN Event e ON e.artifact_id = a.id AND e.type = 4 "
        "JOIN Execution x ON x.id = e.execution_id WHERE x.name LIKE ? ORDER BY a.id DESC LIMIT 1",
        f"%/{node}/%",
    )[0]
    folder = Path(uri.removeprefix("file://"))
    return json.loads(next(p for p in folder.parent.rglob(name)).read_text())


def test_a_failed_trial_is_made_again_and_the_others_are_kept(project: Any, sound: Any) -> None:
    lines = ["row,x,y", *(f"{i},{i % 7},{int(i % 7 > 2)}" for i in range(200))]
    project.write("rows.csv", "\n".join(lines) + "\n")
    project.write("pipeline.py", PIPELINE)
    states = project.states(project.run(expect=1))
    assert [states[f"Tuner.trial_1[{i}]"] for i in range(3)] == ["COMPLETE", "COMPLETE", "FAILED"]
    assert "Tuner.best" not in states or states["Tuner.best"] != "COMPLETE"
    assert sorted(project.journal()) == ["3", "5", "7"]
    project.write("mended", "")
    states = project.states(project.run())
    assert [states[f"Tuner.trial_1[{i}]"] for i in range(3)] == ["CACHED", "CACHED", "COMPLETE"]
    assert sorted(project.journal()) == ["3", "5", "7", "7"]
    sound(project)
    best = outputs(project, "Tuner.best", "hyperparameters.json")
    assert (best["parameters"], best["value"], best["trials"]) == ({"num_leaves": 5}, 3.0, 3)
    model = outputs(project, "LightGBMTrainer", "model.json")
    assert (model["flavor"], model["label"], model["details"]["best_iteration"]) == ("lightgbm", "y", 3)
