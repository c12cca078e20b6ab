"""Components that the scenarios are made of."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from tidemill import (
    Examples,
    Input,
    Integer,
    Model,
    ModelBlessing,
    Output,
    String,
    ValidationFailed,
    component,
)
from tidemill.types.artifact import Artifact


@component
def give(*, value: int = 1) -> int:
    """A number."""
    return value


@component
def add(a: Input[Integer], b: Input[Integer] | None = None, *, plus: int = 0) -> int:
    """The sum."""
    return int(a.value) + (int(b.value) if b is not None else 0) + plus


@component
def total(numbers: Input[list[Integer]]) -> int:
    """The sum of any number of numbers, and of none."""
    return sum(int(n.value) for n in numbers)


@component
def list_of(*, count: int, start: int = 0) -> list[int]:
    """Numbers in a row."""
    return list(range(start, start + count))


@component
def note(*, what: str = "", facts: Any = None) -> str:
    """The facts as text."""
    return f"{what} {json.dumps(facts, sort_keys=True)}".strip()


@component
def seen(item: Input[Artifact] | None = None, *, what: str = "") -> str:
    """Whether there was an input."""
    return f"{what or 'input'}: {'none' if item is None else item.TYPE_NAME}"


@component
def refuse(*, value: int = 0, bad: int = 0) -> int:
    """A number, unless it is the bad one: then a verdict of no, which another attempt cannot change."""
    if value == bad:
        raise ValidationFailed(f"{value} is not wanted")
    return value


@component
def fail_first(*, folder: str, times: int, value: int = 1) -> int:
    """A number, after so many attempts that raise."""
    attempts = Path(folder) / "attempts"
    attempts.mkdir(exist_ok=True)
    number = len(list(attempts.iterdir())) + 1
    (attempts / str(number)).touch(exist_ok=False)
    if number <= times:
        raise RuntimeError(f"attempt {number} was meant to fail")
    return value


@component
def hold(*, value: int) -> int:
    """A number, much later than anybody wants to wait."""
    time.sleep(600)
    return value


@component
def alone(*, folder: str, value: int) -> int:
    """A number; fails when another call of it is under way."""
    lock = os.open(Path(folder) / "alone", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    os.close(lock)
    (Path(folder) / "alone").unlink()
    return value


@component
def read_day(examples: Output[Examples], *, day: str, span: int) -> None:
    """A day's rows."""
    (examples.path / "rows.txt").write_text(day, encoding="utf-8")
    examples.span = span
    examples.version = 0


@component
def check_day(examples: Input[Examples], *, bad: int = -1) -> None:
    """Fails for the bad span."""
    if examples.span == bad:
        raise ValidationFailed(f"span {bad} is not wanted")


@component
def train(examples: Input[list[Examples]], model: Output[Model]) -> str:
    """A model that remembers its days."""
    days = " ".join((e.path / "rows.txt").read_text(encoding="utf-8") for e in examples)
    (model.path / "days.txt").write_text(days, encoding="utf-8")
    return days


@component
def judge(
    model: Input[Model], champion: Input[Model] | None, blessing: Output[ModelBlessing], *, bless: bool = True
) -> str:
    """A blessing, and what was compared."""
    blessing.blessed = int(bless)
    old = "nothing" if champion is None else (champion.path / "days.txt").read_text(encoding="utf-8")
    return f"{(model.path / 'days.txt').read_text(encoding='utf-8')} against {old}"


@component
def table(found: Input[list[String]], *, title: str = "") -> list[Any]:
    """The texts of what was found, in order, under a title."""
    return [title, *(artifact.value for artifact in found)]
