"""TunerAsk's work: the sampler is built anew from the record of all trials, asked, and forgotten."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tidemill.components.tuner.records import Study, direction_of, read_study
from tidemill.errors import DataError, did_you_mean
from tidemill.models.flavors.base import library
from tidemill.types.search import SAMPLERS, Choice, FloatRange, IntRange, space_from_json
from tidemill.types.standard import JsonValue, TunerResults


def run(
    *,
    space: Mapping[str, Any],
    metric: str,
    study: TunerResults,
    trials: JsonValue,
    before: TunerResults | None = None,
    finished: Sequence[Any] = (),
    direction: str = "",
    sampler: str = "tpe",
    seed: int = 0,
    count: int = 1,
) -> None:
    """Write the study with new trials, and these trials as a value; see the component."""
    if sampler not in SAMPLERS:
        raise DataError(f"unknown sampler {sampler!r}", hint=did_you_mean(sampler, SAMPLERS))
    known = Study(metric, direction_of(metric, direction), sampler, seed, space)
    if before is not None:
        known = read_study(before.path).with_results(finished)
    asked = [
        {"number": len(known.trials) + place, "parameters": parameters, "state": "asked"}
        for place, parameters in enumerate(choose(known, count))
    ]
    replace(known, trials=(*known.trials, *asked)).write(study.path)
    trials.value = asked
    print(f"{len(asked)} trials to run, {len(known.trials)} ran before")
    for trial in asked:
        print(f"trial {trial['number']}: {trial['parameters']}")


def optuna_study(known: Study, optuna: Any) -> tuple[Any, dict[str, Any]]:
    """An Optuna study in memory with every trial that has ended, and the distributions of the space.

    Its sampler draws from the seed and the number of trials so far, so that a round is always the same.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seed = int(np.random.SeedSequence([known.seed, len(known.trials)]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # constant_liar is called experimental; a change of it would show in tests
        if known.sampler == "random":
            sampler = optuna.samplers.RandomSampler(seed=seed)
        else:
            sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    found = optuna.create_study(direction=known.direction, sampler=sampler)
    space = space_from_json(known.space)
    distributions = {name: _distribution(values, optuna) for name, values in space.items()}
    states = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
    for trial in known.trials:
        if trial["state"] not in states:
            continue
        made = optuna.trial.create_trial(
            state=optuna.trial.TrialState[states[trial["state"]]],
            params={name: _place(space[name], value) for name, value in trial["parameters"].items()},
            distributions=distributions,
            value=trial.get("value") if trial["state"] == "complete" else None,
            intermediate_values={int(s): v for s, v in trial.get("reports", {}).items() if v is not None},
        )
        found.add_trial(made)
    return found, distributions


def choose(known: Study, count: int) -> list[dict[str, Any]]:
    """Hyperparameters of the next `count` trials."""
    space = space_from_json(known.space)
    if known.sampler == "grid":
        return _grid(known, space, count)
    optuna = library("optuna", "tuner")
    study, distributions = optuna_study(known, optuna)
    asked = [study.ask(distributions).params for _ in range(count)]
    return [{name: _value(space[name], found[name]) for name in space} for found in asked]


def _grid(known: Study, space: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """Every combination in order; when there are more than `count`, some of them by the seed."""
    for name, values in space.items():
        if not values.points():
            raise DataError(
                f"the grid has no end: {name!r} is a range without steps", hint="give it a step, or a Choice"
            )
    combinations = itertools.product(*(values.points() for values in space.values()))
    every = [dict(zip(space, combination, strict=True)) for combination in combinations]
    if len(every) <= count:
        return every
    picked = np.random.default_rng(known.seed).permutation(len(every))[:count]
    return [every[place] for place in sorted(picked.tolist())]


def _distribution(values: IntRange | FloatRange | Choice, optuna: Any) -> Any:
    kinds = optuna.distributions
    match values:
        case IntRange(low, high, step, log):
            return kinds.IntDistribution(low, high, step=step, log=log)
        case FloatRange(low, high, step, log):
            return kinds.FloatDistribution(low, high, step=step, log=log)
    # Places and not values: Optuna takes plain values only, and a choice may be a list.
    return kinds.CategoricalDistribution(list(range(len(values.values))))


def _place(values: Any, value: Any) -> Any:
    return list(values.values).index(value) if isinstance(values, Choice) else value


def _value(values: Any, found: Any) -> Any:
    return list(values.values)[found] if isinstance(values, Choice) else found
