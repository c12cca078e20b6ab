"""Resolvers: inputs that come from earlier runs, found by the launcher in the metadata store.

To a type checker they have the type of the artifacts they will supply.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from tidemill.types.artifact import Artifact

if TYPE_CHECKING:
    from tidemill.dsl.channel import Channel
    from tidemill.dsl.node import Node

A = TypeVar("A", bound=Artifact)


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
