"""Tuner's nodes one by one: what is asked, what a trial keeps, which one is best."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tidemill import files
from tidemill.components import Choice, FloatRange, IntRange, LightGBMTrainer, Tuner
from tidemill.components.tuner import asking, telling, trial
from tidemill.components.tuner.records import FILE, Study, direction_of, read_study
from tidemill.data.parquet import split_folder, write_split
from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.pipeline import Pipeline
from tidemill.errors import DataError, DefinitionError
from tidemill.training.fn_args import FnArgs
from tidemill.training.hyperparameters import read_hyperparameters
from tidemill.types.search import Search, space_from_json, space_to_json
from tidemill.types.standard import Examples, HyperParameters, JsonValue, TunerResults

SPACE: dict[str, Any] = {
    "x": FloatRange(-4.0, 4.0),
    "n": IntRange(1, 9, step=2),
    "rate": FloatRange(1e-4, 1.0, log=True),
    "sizes": Choice([[8], [8, 4], []]),
}


class Asked:
    """A search driven by hand, as the nodes of a pipeline drive it."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder, self.settings, self.rounds = folder, settings, 0
        self.study: TunerResults | None = None

    def ask(self, count: int, finished: Any = ()) -> list[dict[str, Any]]:
        self.rounds += 1
        study = TunerResults(path=self.folder / f"study-{self.rounds}")
        study.path.mkdir(parents=True)
        trials = JsonValue()
        given = {"space": space_to_json(SPACE), "metric": "auc", **self.settings}
        asking.run(**given, study=study, trials=trials, before=self.study, finished=finished, count=count)
        self.study = study
        return list(trials.value)


def result(value: float | None, state: str = "complete", **more: Any) -> dict[str, Any]:
    return {"state": state, "value": value, "metrics": {"auc": value}, "reports": {}, "error": "", **more}


def bowl(parameters: dict[str, Any]) -> float:
    """Best at x = 1 and n = 5."""
    return float(-((parameters["x"] - 1) ** 2) - 0.1 * (parameters["n"] - 5) ** 2)


def search(folder: Path, seed: int = 0, sampler: str = "tpe") -> list[list[dict[str, Any]]]:
    asked = Asked(folder, seed=seed, sampler=sampler)
    rounds = [asked.ask(10)]
    for _ in range(5):
        rounds.append(asked.ask(4, [result(bowl(t["parameters"])) for t in rounds[-1]]))
    return rounds


def test_what_is_asked_lies_in_the_space(tmp_path: Path) -> None:
    for found in search(tmp_path)[0]:
        parameters = found["parameters"]
        assert -4 <= parameters["x"] <= 4
        assert parameters["n"] in (1, 3, 5, 7, 9)
        assert 1e-4 <= parameters["rate"] <= 1
        assert parameters["sizes"] in ([8], [8, 4], [])


def test_the_search_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    first = search(tmp_path / "a")
    assert first == search(tmp_path / "b")
    assert first != search(tmp_path / "c", seed=1)
    assert [t["number"] for found in first for t in found] == list(range(30))
    a, b = (sorted((tmp_path / name).rglob(FILE)) for name in ("a", "b"))
    assert [path.read_bytes() for path in a] == [path.read_bytes() for path in b]


def test_tpe_learns_from_what_the_trials_gave(tmp_path: Path) -> None:
    rounds = search(tmp_path)
    early = np.mean([bowl(t["parameters"]) for t in rounds[0]])
    late = np.mean([bowl(t["parameters"]) for found in rounds[3:] for t in found])
    assert late > early + 1


def test_failed_and_pruned_trials_are_remembered_and_do_no_harm(tmp_path: Path) -> None:
    asked = Asked(tmp_path)
    asked.ask(3)
    pruned = result(None, "pruned", reports={"0": 0.5, "1": None})
    asked.ask(2, [result(0.5), pruned, result(None, "failed", error="ValueError: no")])
    assert asked.study is not None
    states = [t["state"] for t in read_study(asked.study.path).trials]
    assert states == ["complete", "pruned", "failed", "asked", "asked"]


def test_the_grid_is_every_combination_or_some_by_the_seed(tmp_path: Path) -> None:
    space = space_to_json({"a": Choice(["x", "y"]), "b": IntRange(1, 3), "c": FloatRange(0, 1, step=0.5)})
    whole = Asked(tmp_path / "whole", space=space, sampler="grid").ask(100)
    assert len(whole) == 18
    assert len({json.dumps(t["parameters"]) for t in whole}) == 18
    some = [Asked(tmp_path / f"some-{i}", space=space, sampler="grid", seed=i // 2).ask(5) for i in range(4)]
    assert some[0] == some[1] != some[2]
    assert all(t["parameters"] in [w["parameters"] for w in whole] for t in some[0])


def test_bad_questions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unknown sampler 'tpo'") as raised:
        Asked(tmp_path / "a", sampler="tpo").ask(1)
    assert "did you mean 'tpe'" in raised.value.hint
    with pytest.raises(DataError, match="which way is 'gain' better"):
        direction_of("gain", "")
    with pytest.raises(DataError, match="auc is to maximize"):
        direction_of("auc", "minimize")
    assert direction_of("rmse", "") == "minimize"


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: IntRange(3, 1), "is empty"),
        (lambda: IntRange(0, 9, log=True), "above 0"),
        (lambda: IntRange(0.5, 9), "whole numbers"),  # type: ignore[arg-type]  # that is the mistake
        (lambda: FloatRange(0.1, 1.0, step=0.1, log=True), "step cannot be"),
        (lambda: FloatRange(0.1, float("inf")), "inf"),
        (lambda: Choice([]), "nothing to choose"),
        (lambda: Choice([object()]), "values"),
        (lambda: space_to_json({"a": 3}), "no range and no choice"),  # type: ignore[dict-item]  # as above
    ],
)
def test_spaces_that_cannot_be_are_refused(make: Any, match: str) -> None:
    with pytest.raises(DefinitionError, match=match):
        make()


def test_spaces_come_back_from_json() -> None:
    assert space_from_json(json.loads(json.dumps(space_to_json(SPACE)))) == SPACE


def test_rounds_are_few() -> None:
    def plan(trials: int, parallel: int, rounds: int = 0, sampler: str = "tpe") -> list[int]:
        return Search({"a": IntRange(1, 4)}, trials, parallel, rounds, sampler, "").plan()

    assert plan(4, 1) == [4]
    assert plan(12, 1) == [10, 1, 1]
    assert plan(20, 4) == [10, 4, 4, 2]
    assert plan(100, 2) == [10, *[13] * 6, 12]
    assert plan(7, 1, rounds=3) == [3, 2, 2]
    assert plan(50, 2, sampler="random") == [50]
    assert plan(50, 2, sampler="grid") == [4]


# --- one trial ------------------------------------------------------------------------------------


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2))
    y = (x[:, 0] + rng.normal(size=300) > 0).astype(int)
    table = pa.table({"a": x[:, 0], "b": x[:, 1], "y": y})
    examples = Examples(path=tmp_path / "examples")
    examples.splits = ["train", "eval"]
    for split, part in (("train", table.slice(0, 200)), ("eval", table.slice(200))):
        write_split(split_folder(examples.path, split), table.schema, [part])
    return {"examples": [examples], "metric": "auc", "result": JsonValue()}


def by_hand(args: FnArgs) -> Any:
    """A trial_fn: reports, and returns a metric of its own."""
    for step in range(3):
        args.report(step, args.hyperparameters["x"] + step)
    if args.hyperparameters.get("fail"):
        raise ZeroDivisionError("mine")
    return {"gain": args.hyperparameters["x"], "rows": args.eval.num_rows}


def fit_linear(args: FnArgs) -> None:
    """A run_fn of scikit-learn."""
    from sklearn.linear_model import LogisticRegression

    table = args.train.to_arrow()
    x = np.column_stack([table.column("a"), table.column("b")])
    model = LogisticRegression(C=args.hyperparameters["C"]).fit(x, table.column("y").to_numpy())
    args.save_model(model, features=["a", "b"], task="binary", label="y")


def write_nothing(args: FnArgs) -> None:
    """A run_fn that forgets to save."""


def test_a_ready_trainer_is_tried(given: dict[str, Any]) -> None:
    arguments = {"label": "y", "num_boost_round": 5, "num_threads": 1}
    trial.run(**given, trainer="LightGBMTrainer", arguments=arguments, parameters={"num_leaves": 5})
    found = given["result"].value
    assert found["state"] == "complete"
    assert 0.6 < found["value"] == found["metrics"]["auc"] < 1
    assert {"log_loss", "accuracy"} <= set(found["metrics"])
    assert list(found["reports"]) == ["0", "1", "2", "3", "4"]
    json.dumps(found)


def test_a_run_fn_and_a_metric_are_tried(given: dict[str, Any]) -> None:
    trial.run(**given, run_fn=fit_linear, label="y", parameters={"C": 1.0})
    assert given["result"].value["value"] > 0.6
    trial.run(
        **{**given, "metric": "files"}, direction="maximize", run_fn=fit_linear, parameters={"C": 1.0},
        metric_fn=lambda folder, rows: {"files": len(list(folder.iterdir())), "rows": rows.num_rows},
    )  # fmt: skip
    assert given["result"].value["metrics"] == {"files": 2.0, "rows": 100.0}
    with pytest.raises(DataError, match="wrote no model"):
        trial.run(**given, run_fn=write_nothing, label="y", parameters={})


def test_a_trial_fn_does_as_it_likes(given: dict[str, Any]) -> None:
    trial.run(**{**given, "metric": "gain"}, direction="maximize", trial_fn=by_hand, parameters={"x": 2.0})
    found = given["result"].value
    assert (found["value"], found["metrics"]) == (2.0, {"gain": 2.0, "rows": 100.0})
    assert found["reports"] == {"0": 2.0, "1": 3.0, "2": 4.0}
    with pytest.raises(DataError, match="trial_fn returned no 'gian'") as raised:
        trial.run(
            **{**given, "metric": "gian"}, direction="maximize", trial_fn=by_hand, parameters={"x": 2.0}
        )
    assert "did you mean 'gain'" in raised.value.hint


def test_a_trial_that_raises_fails_its_node_or_is_recorded(given: dict[str, Any]) -> None:
    own = {**given, "metric": "gain", "direction": "maximize", "trial_fn": by_hand}
    with pytest.raises(ZeroDivisionError, match="mine"):
        trial.run(**own, parameters={"x": 1.0, "fail": True})
    trial.run(**own, parameters={"x": 1.0, "fail": True}, allow_failed_trials=True)
    assert given["result"].value["state"] == "failed"
    assert given["result"].value["error"] == "ZeroDivisionError: mine"
    trial.run(**own, parameters={"x": float("nan")})
    assert (given["result"].value["state"], given["result"].value["value"]) == ("failed", None)


@pytest.mark.parametrize(("x", "state"), [(-1.0, "pruned"), (5.0, "complete")])
def test_a_trial_worse_than_earlier_ones_is_pruned(
    given: dict[str, Any], tmp_path: Path, x: float, state: str
) -> None:
    trials = [
        {"number": i, "parameters": {}, **result(2.0 + i, reports={"0": 2.0 + i, "1": 3.0 + i})}
        for i in range(6)
    ]
    study = TunerResults(path=tmp_path / "study")
    study.path.mkdir()
    Study("gain", "maximize", "tpe", 0, {}, tuple(trials)).write(study.path)
    trial.run(
        **{**given, "metric": "gain"}, direction="maximize", trial_fn=by_hand, parameters={"x": x},
        study=study, pruner="median",
    )  # fmt: skip
    assert given["result"].value["state"] == state


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({}, "got none"),
        ({"trial_fn": by_hand, "run_fn": fit_linear}, "got trial_fn and run_fn"),
        ({"trainer": "LightGBMTrainr", "label": "y"}, "is no ready trainer"),
        ({"trainer": "LightGBMTrainer"}, "needs a label"),
        ({"run_fn": fit_linear}, "nothing says what the model predicts"),
        ({"trainer": "LightGBMTrainer", "label": "z"}, "no column 'z'"),
        (
            {"trainer": "LightGBMTrainer", "label": "y", "metric": "rmse"},
            "no metric 'rmse' for a binary task",
        ),
    ],
)
def test_trials_that_cannot_be_are_refused(
    given: dict[str, Any], changes: dict[str, Any], match: str
) -> None:
    with pytest.raises(DataError, match=match):
        trial.run(**{**given, "parameters": {"num_boost_round": 2}, **changes})


# --- the best, and the whole ----------------------------------------------------------------------


def tell(folder: Path, results: list[dict[str, Any]]) -> tuple[HyperParameters, TunerResults]:
    asked = Asked(folder, sampler="random")
    asked.ask(len(results))
    best, every = HyperParameters(path=folder / "best"), TunerResults(path=folder / "every")
    for artifact in (best, every):
        artifact.path.mkdir()
    assert asked.study is not None
    telling.run(study=asked.study, finished=results, best_hyperparameters=best, tuner_results=every)
    return best, every


def test_the_best_trial_is_told_with_all_others(tmp_path: Path) -> None:
    best, every = tell(tmp_path, [result(0.6), result(0.9), result(None, "pruned"), result(0.9)])
    study = read_study(every.path)
    assert read_hyperparameters(best.path) == study.trials[1]["parameters"]
    assert [t["state"] for t in study.trials] == ["complete", "complete", "pruned", "complete"]
    assert best.custom_properties["auc"] == 0.9
    assert every.custom_properties["complete_trials"] == 3


def test_without_a_complete_trial_there_is_no_best(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of 1 trials was completed") as raised:
        tell(tmp_path, [result(None, "failed", error="ValueError: no")])
    assert "ValueError: no" in raised.value.hint


def compiled(**changes: Any) -> Any:
    def nodes() -> None:
        from tidemill.components import ExampleGen

        examples = ExampleGen(source=files("rows.csv")).outputs.examples
        given: dict[str, Any] = {
            "examples": examples, "space": {"num_leaves": IntRange(3, 9)}, "metric": "auc",
            "trainer": LightGBMTrainer, "arguments": {"label": "y"},
        }  # fmt: skip
        tuner = Tuner(**{**given, **changes})
        LightGBMTrainer(examples=examples, label="y", best_hyperparameters=tuner.outputs.best_hyperparameters)

    return compile_pipeline(Pipeline.of_function(nodes, "tuned"))


def test_it_compiles_to_rounds_of_nodes() -> None:
    ids = [node.id for node in compiled(num_trials=12, num_parallel_trials=2, pruner="median").nodes]
    assert ids == [
        "ExampleGen", "Tuner.ask_1", "Tuner.trials_1", "Tuner.trial_1", "Tuner.ask_2", "Tuner.trials_2",
        "Tuner.trial_2", "Tuner.best", "LightGBMTrainer",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"num_trials": 0}, "num_trials is 0"),
        ({"space": {}}, "empty space"),
        ({"sampler": "tpo"}, "no sampler 'tpo'"),
        ({"pruner": "medium"}, "did you mean 'median'"),
        ({"arguments": {"lable": "y"}}, "did you mean 'label'"),
        ({"sampler": "grid", "space": {"rate": FloatRange(0.1, 1.0)}}, "the grid has no end"),
        ({"space": {"rate": 0.1}}, "no range and no choice"),
    ],
)
def test_mistakes_in_the_definition_are_found_when_it_is_compiled(
    changes: dict[str, Any], match: str
) -> None:
    with pytest.raises(DefinitionError, match=match):
        compiled(**changes)
