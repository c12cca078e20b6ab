"""TunerBest's work: the best trial's hyperparameters, and the record of all trials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tidemill.components.tuner.records import read_study
from tidemill.training.hyperparameters import write_hyperparameters
from tidemill.types.standard import HyperParameters, TunerResults


def run(
    *,
    study: TunerResults,
    best_hyperparameters: HyperParameters,
    tuner_results: TunerResults,
    finished: Sequence[Any] = (),
) -> None:
    """Write both artifacts; DataError when no trial was completed."""
    known = read_study(study.path).with_results(finished)
    known.write(tuner_results.path)
    states = Counter(str(trial["state"]) for trial in known.trials)
    for state in ("complete", "pruned", "failed"):
        tuner_results.custom_properties[f"{state}_trials"] = states[state]
    best = known.best()
    about = {
        "metric": known.metric,
        "value": best["value"],
        "trial": best["number"],
        "trials": len(known.trials),
    }
    write_hyperparameters(best_hyperparameters.path, best["parameters"], about)
    for artifact in (best_hyperparameters, tuner_results):
        artifact.custom_properties[known.metric] = float(best["value"])
    print(f"best of {len(known.trials)}: trial {best['number']}, {known.metric} {best['value']:.6g}")
    print(f"  {best['parameters']}")
    print(", ".join(f"{count} {state}" for state, count in sorted(states.items())))
