"""Options that name a part of a pipeline, and what they select."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

import click

from tidemill.errors import RunnerError
from tidemill.ir.model import PipelineIR
from tidemill.runtime.select import Selection, select

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Part:
    """What --from, --to, --only and --base say."""

    start: tuple[str, ...]
    end: tuple[str, ...]
    only: tuple[str, ...]
    base: str

    def selection(self, ir: PipelineIR) -> Selection | None:
        """The nodes to run, and to take from the base; None for the whole pipeline."""
        if not (self.start or self.end or self.only):
            if self.base:
                hint = "add --from, --to or --only"
                raise RunnerError("--base is for a run of a part of the pipeline", hint=hint)
            return None
        return select(ir, start=self.start, end=self.end, only=self.only)


def part_options(function: F) -> F:
    """Add --from, --to, --only and --base; the command gets them as one `Part`."""

    @click.option("--from", "start", multiple=True, metavar="NODE", help="Run this node and what follows it.")
    @click.option("--to", "end", multiple=True, metavar="NODE", help="Run what leads to this node, and it.")
    @click.option("--only", multiple=True, metavar="NODE", help="Run just this node; may be repeated.")
    @click.option(
        "--base",
        default="",
        metavar="RUN",
        help="Run whose results the other nodes have.  [default: the newest that has them]",
    )
    @wraps(function)
    def wrapper(
        *args: Any,
        start: tuple[str, ...],
        end: tuple[str, ...],
        only: tuple[str, ...],
        base: str,
        **rest: Any,
    ) -> Any:
        return function(*args, part=Part(start, end, only, base), **rest)

    return wrapper  # type: ignore[return-value]  # same function with other options, as click wants it
