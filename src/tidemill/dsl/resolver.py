"""Resolvers: inputs that come from earlier runs, found by the launcher in the metadata store.

To a type checker they have the type of the artifacts they will supply.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

from tidemill.dsl.placeholder import Placeholder
from tidemill.types.artifact import Artifact

if TYPE_CHECKING:
    from tidemill.dsl.channel import Channel
    from tidemill.dsl.node import Node

A = TypeVar("A", bound=Artifact)


@dataclass(frozen=True, eq=False, repr=False)
class Collected(Placeholder):
    """See `control.collect`."""

    channel: Channel
    __str__ = Placeholder.__str__

    def describe(self) -> str:
        """`collect(Node.outputs.output)`."""
        return f"collect({self.channel.describe()})"

    def kind(self) -> type | None:
        """As a parameter, a list."""
        return list


@dataclass(frozen=True, eq=False, repr=False)
class FirstOf(Placeholder):
    """See `control.one_of`."""

    members: tuple[Any, ...]
    __str__ = Placeholder.__str__

    def describe(self) -> str:
        """`one_of(...)`."""
        shown = (m.describe() if isinstance(m, Placeholder) else repr(m) for m in self.members)
        return f"one_of({', '.join(shown)})"

    def kind(self) -> type | None:
        """The type that all members have."""
        kinds = {m.kind() if isinstance(m, Placeholder) else type(m) for m in self.members}
        return kinds.pop() if len(kinds) == 1 else None


@dataclass(frozen=True, eq=False)
class Earlier:
    """See `latest`, `spans` and `choose`."""

    channel: Channel
    pipeline: str = ""
    limit: int = 1
    properties: Mapping[str, Any] = field(default_factory=dict)
    spans: tuple[Any, ...] = ()
    complete: bool = False
    choose: Callable[..., Any] | None = None
    many: bool = False


@dataclass(frozen=True, eq=False)
class LatestBlessed:
    """See `latest_blessed`."""

    channel: Channel


@dataclass(frozen=True, eq=False)
class RollingWindow:
    """See `rolling_window`."""

    channel: Channel
    spans: int
    passed: Node[Any] | None


def latest_blessed(output: A) -> A:
    """The newest artifact of this output, from an earlier run, that a ModelBlessing approved.

    In a run with a date only runs of earlier dates count, so that a backfill compares each day with
    the champion of that day. Nothing is found in the first run: declare the input optional.
    """
    return cast("A", LatestBlessed(cast("Channel", output)))


def rolling_window(output: A, *, spans: int, passed: Node[Any] | None = None) -> list[A]:
    """This run's output, preceded by the newest ones of the `spans - 1` spans before it.

    With `passed`, earlier artifacts count only from runs in which that node succeeded, and this run
    waits for it: data that failed validation never enters the window. Oldest first.
    """
    return cast("list[A]", RollingWindow(cast("Channel", output), spans, passed))


def latest(
    output: A, *, pipeline: str = "", complete: bool = False, **properties: int | float | str | bool
) -> A:
    """The newest artifact that this output had in an earlier run, with these properties if any are given.

    With `complete`, only runs that are COMPLETE count; with `pipeline`, those of another pipeline, whose
    node and output have the same names. In a run with a date only runs of earlier dates count. Nothing is
    found in the first run: declare the input optional.
    """
    channel = cast("Channel", output)
    return cast("A", Earlier(channel, pipeline=pipeline, properties=properties, complete=complete))


def latest_many(
    output: A, limit: int, *, pipeline: str = "", complete: bool = False,
    **properties: int | float | str | bool,
) -> list[A]:  # fmt: skip
    """As `latest`, the newest `limit` artifacts, newest first."""
    channel = cast("Channel", output)
    found = Earlier(channel, pipeline, limit, properties, complete=complete, many=True)
    return cast("list[A]", found)


def spans(output: A, first: int, last: int, *, pipeline: str = "") -> list[A]:
    """The newest artifact of each span from `first` to `last`, both included, of earlier runs.

    Oldest span first; a span without an artifact is left out.
    """
    return cast("list[A]", Earlier(cast("Channel", output), pipeline, 0, {}, (first, last), many=True))


def choose(output: A, by: Callable[[list[A]], list[A]], *, limit: int = 100, pipeline: str = "") -> list[A]:
    """What the function `by` chooses among the newest `limit` artifacts of this output in earlier runs.

    `by` gets them newest first and returns some of them. It runs where executors run, and is part of
    the node's code.
    """
    found = Earlier(cast("Channel", output), pipeline, limit, choose=by, many=True)
    return cast("list[A]", found)
