"""Every built-in metric by name: its task, and which way is better. How it is computed stands elsewhere.

A name may end in `@` and a number: a decision threshold for binary classifications (`recall@0.3`, 0.5 if
none is given), and the length of the list for rankings and `top_k_accuracy` (`ndcg@10`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast

from tidemill.data.evaluation import Task
from tidemill.errors import DataError, did_you_mean

Direction = Literal["higher", "lower"]

DECISION = 0.5
"""A row is called one when its score is at least this, unless the metric's name says otherwise."""


@dataclass(frozen=True, slots=True)
class Metric:
    """What is known of a metric without data."""

    task: Task
    direction: Direction | None
    """Which way is better; None where neither is, as for a base rate."""
    at: str = ""
    """What `@` means: `threshold`, `length`, or nothing."""
    needs_at: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A metric as it was asked for: `ndcg@10`."""

    name: str
    base: str
    at: float | None
    metric: Metric


def _metrics(task: Task, at: str, **directions: str | None) -> dict[str, Metric]:
    return {name: Metric(task, cast(Direction, way), at) for name, way in directions.items()}


METRICS: dict[str, Metric] = {
    **_metrics(
        "classification", "threshold", accuracy="higher", balanced_accuracy="higher", f1="higher",
        false_negative_rate="lower", false_positive_rate="lower", precision="higher", recall="higher",
        selection_rate=None, specificity="higher",
    ),
    **_metrics(
        "classification", "", auc="higher", base_rate=None, brier="lower", calibration=None, ece="lower",
        log_loss="lower", mean_prediction=None, pr_auc="higher",
    ),
    **_metrics(
        "multiclass", "", macro_f1="higher", macro_precision="higher", macro_recall="higher",
        micro_f1="higher", weighted_f1="higher",
    ),
    "top_k_accuracy": Metric("multiclass", "higher", "length", needs_at=True),
    **_metrics(
        "regression", "", mae="lower", mape="lower", mean_error=None, mse="lower", r2="higher", rmse="lower",
        error_p05=None, error_p50=None, error_p95=None, abs_error_p50="lower", abs_error_p90="lower",
    ),
    **_metrics(
        "ranking", "length", hit_rate="higher", map="higher", mrr="higher", ndcg="higher",
        precision_at="higher", recall_at="higher",
    ),
}  # fmt: skip
"""Metrics by name. Those of `ALSO` exist for multi-class models as well."""

ALSO: dict[str, Metric] = {
    name: Metric("multiclass", METRICS[name].direction)
    for name in ("accuracy", "balanced_accuracy", "log_loss")
}
_RANKING = {"precision": "precision_at", "recall": "recall_at"}
"""In rankings `recall@10` is what is meant by recall."""

USUAL: dict[Task, tuple[str, ...]] = {
    "classification": ("auc", "log_loss", "accuracy"),
    "multiclass": ("accuracy", "macro_f1", "log_loss"),
    "regression": ("rmse", "mae", "r2"),
    "ranking": ("ndcg@10", "recall@10", "mrr"),
}
"""Metrics of a task when none are named."""

DIRECTIONS: dict[str, Direction] = {n: m.direction for n, m in METRICS.items() if m.direction is not None}
"""Which way is better, for the metrics that have such a way."""


def direction_of(name: str) -> Direction | None:
    """Which way is better, of a name with or without `@`; None for unknown ones."""
    base = name.partition("@")[0]
    return DIRECTIONS.get(base)


def tasks_of(name: str) -> set[Task]:
    """Tasks that know a metric of that name, with or without `@`."""
    base = name.partition("@")[0]
    found = {METRICS[base].task} if base in METRICS else set()
    if base in ALSO:
        found.add("multiclass")
    if base in _RANKING:
        found.add("ranking")
    return found


def names_of(task: Task) -> list[str]:
    """Every metric of a task, sorted, as it is asked for."""
    own = [name for name, metric in METRICS.items() if metric.task == task]
    if task == "multiclass":
        own += ALSO
    if task == "ranking":
        own = [name.removesuffix("_at") for name in own]
    return sorted(own)


def ask(name: str, task: Task) -> Asked:
    """Look a name up; DataError, with a suggestion, when the task has no such metric."""
    base, sign, text = name.partition("@")
    if not tasks_of(base):
        raise DataError(f"there is no metric {name!r}", hint=did_you_mean(base, [*names_of(task), *METRICS]))
    if task not in tasks_of(base):
        raise DataError(f"{base} is no metric for {task}", hint=f"known: {', '.join(names_of(task))}")
    if task == "ranking":
        base = _RANKING.get(base, base)
    metric = ALSO[base] if task == "multiclass" and base in ALSO else METRICS[base]
    return Asked(name, base, _at(name, text, metric) if sign or metric.needs_at else None, metric)


def ask_all(names: Iterable[str], task: Task) -> list[Asked]:
    """`ask` for each name, each once."""
    return [ask(name, task) for name in dict.fromkeys(names)]


def _at(name: str, text: str, metric: Metric) -> float:
    if not metric.at:
        raise DataError(f"{name!r}: this metric has no @", hint=f"write {name.partition('@')[0]!r}")
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if metric.at == "threshold" and 0 <= value <= 1:
        return value
    if metric.at == "length" and value >= 1 and value == int(value):
        return value
    wanted = "a threshold from 0 to 1" if metric.at == "threshold" else "a whole number from 1"
    raise DataError(f"{name!r} needs {wanted} after the @", hint=f"such as {_example(name, metric)}")


def _example(name: str, metric: Metric) -> str:
    return f"{name.partition('@')[0]}@{0.3 if metric.at == 'threshold' else 10}"
