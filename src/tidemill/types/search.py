"""What hyperparameters may be: ranges and choices, as plain typed data that a pipeline can hold.

A value here knows its bounds and its JSON, and nothing of who searches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidemill.errors import DefinitionError, did_you_mean
from tidemill.types.json import not_json

SAMPLERS = ("grid", "random", "tpe")
PRUNERS = ("median", "successive_halving")
STARTUP = 10
"""Trials that TPE draws at random before it learns from them; more of them in one round cost nothing.
Source: the default of optuna.samplers.TPESampler."""
MOST_ROUNDS = 8
"""Rounds after which more trials go into each: a round is two nodes and a loop."""


@dataclass(frozen=True, slots=True)
class IntRange:
    """A whole number from `low` to `high`, both included, in steps; `log` tries small ones as often."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    def __post_init__(self) -> None:
        if any(type(value) is not int for value in (self.low, self.high, self.step)):
            raise DefinitionError(f"{self} must have whole numbers", hint="use FloatRange for others")
        _check(self, self.low, self.high, self.log)
        if self.step < 1 or (self.log and self.step != 1):
            raise DefinitionError(f"{self}: its step cannot be", hint="1 or more, and 1 with log=True")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, inverse of `from_json`."""
        return {"type": "int", "low": self.low, "high": self.high, "step": self.step, "log": self.log}

    def points(self) -> list[Any]:
        """Every value."""
        return list(range(self.low, self.high + 1, self.step))


@dataclass(frozen=True, slots=True)
class FloatRange:
    """A number from `low` to `high`, both included; `log` for scales such as learning rates."""

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def __post_init__(self) -> None:
        if why := next(filter(None, (not_json(value, "it") for value in (self.low, self.high))), ""):
            raise DefinitionError(f"{self}: {why}")
        _check(self, self.low, self.high, self.log)
        if self.step is not None and (self.log or not self.step > 0):
            raise DefinitionError(f"{self}: its step cannot be", hint="more than 0, and none with log=True")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, inverse of `from_json`."""
        found = {"type": "float", "low": float(self.low), "high": float(self.high), "log": self.log}
        return found | ({} if self.step is None else {"step": float(self.step)})

    def points(self) -> list[Any]:
        """Every value; empty when it has no step, for then there is no end to them."""
        if self.step is None:
            return []
        count = int((self.high - self.low) / self.step + 1e-9) + 1
        return [self.low + place * self.step for place in range(count)]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of these values, which may be anything of JSON."""

    values: Sequence[Any]

    def __post_init__(self) -> None:
        if isinstance(self.values, str) or not self.values:
            raise DefinitionError(f"{self} gives nothing to choose", hint='write Choice(["a", "b"])')
        if why := not_json(list(self.values), "values"):
            raise DefinitionError(f"{self}: {why}")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, inverse of `from_json`."""
        return {"type": "choice", "values": list(self.values)}

    def points(self) -> list[Any]:
        """Every value."""
        return list(self.values)


SearchSpace = Mapping[str, IntRange | FloatRange | Choice]
"""What is searched for each hyperparameter."""


def space_to_json(space: SearchSpace) -> dict[str, dict[str, Any]]:
    """Plain JSON, inverse of `space_from_json`; DefinitionError for what is no range and no choice."""
    for name, values in space.items():
        given: object = values
        if not isinstance(given, IntRange | FloatRange | Choice):
            raise DefinitionError(
                f"hyperparameter {name!r} is {given!r}, no range and no choice",
                hint="write IntRange(1, 10), FloatRange(0.1, 1.0) or Choice([...])",
            )
    return {name: values.to_json() for name, values in space.items()}


def space_from_json(value: Mapping[str, Mapping[str, Any]]) -> dict[str, IntRange | FloatRange | Choice]:
    """Inverse of `space_to_json`."""
    kinds: dict[str, type[IntRange | FloatRange | Choice]] = {
        "int": IntRange,
        "float": FloatRange,
        "choice": Choice,
    }
    return {
        name: kinds[item["type"]](**{key: part for key, part in item.items() if key != "type"})
        for name, item in value.items()
    }


@dataclass(frozen=True, slots=True)
class Search:
    """How a space is searched: how many trials, how many of them at once, chosen how."""

    space: SearchSpace
    trials: int
    parallel: int
    rounds: int
    sampler: str
    pruner: str

    def check(self, where: str) -> None:
        """DefinitionError, at `where`, for a search that cannot be."""
        if not self.space:
            raise DefinitionError("Tuner has an empty space", where=where, hint="name what is to be searched")
        for name, value, least in (("num_trials", self.trials, 1), ("num_parallel_trials", self.parallel, 1),
                                   ("rounds", self.rounds, 0)):  # fmt: skip
            given: object = value
            if type(given) is not int or given < least:
                raise DefinitionError(
                    f"{name} is {given!r}", where=where, hint=f"a plain whole number from {least} on"
                )
        for what, chosen, known in (
            ("sampler", self.sampler, SAMPLERS),
            ("pruner", self.pruner, ("", *PRUNERS)),
        ):
            if chosen not in known:
                raise DefinitionError(
                    f"there is no {what} {chosen!r}", where=where, hint=did_you_mean(chosen, known)
                )
        if self.sampler == "grid":
            for name, values in self.space.items():
                if not values.points():
                    raise DefinitionError(
                        f"the grid has no end: {name!r} is a range without steps",
                        where=where,
                        hint="give it a step, or a Choice",
                    )

    def plan(self) -> list[int]:
        """Trials of each round. Only what learns from trials needs more than one."""
        if self.sampler == "grid":
            size = 1
            for values in self.space.values():
                size *= len(values.points())
            return [min(size, self.trials)]
        if self.sampler == "random" and not (self.rounds or self.pruner):
            return [self.trials]
        if self.rounds:
            least, more = divmod(self.trials, self.rounds)
            sizes = [least + (number < more) for number in range(self.rounds)]
            return [size for size in sizes if size]
        first = min(self.trials, max(STARTUP, self.parallel))
        rest = self.trials - first
        each = max(self.parallel, -(-rest // (MOST_ROUNDS - 1)), 1)
        return [first, *(min(each, rest - at) for at in range(0, rest, each))]


def check_arguments(trainer: str, arguments: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    """DefinitionError, with a suggestion, for an argument that the trainer does not take."""
    names = list(known)
    for name in arguments:
        if name not in names:
            raise DefinitionError(
                f"{trainer} has no parameter {name!r}", where=where, hint=did_you_mean(name, names)
            )


def _check(what: Any, low: float, high: float, log: bool) -> None:
    names: Iterable[str] = (f"{low}", f"{high}")
    if low > high:
        raise DefinitionError(f"{what} is empty: {' is more than '.join(names)}")
    if log and low <= 0:
        raise DefinitionError(f"{what}: a logarithm needs numbers above 0", hint="raise low, or log=False")
