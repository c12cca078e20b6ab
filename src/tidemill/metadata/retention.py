"""Retention: which runs are kept, and which artifacts nobody kept refers to any more."""

from __future__ import annotations

from dataclasses import dataclass

from tidemill.metadata.model import Artifact, Run, RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """What may go: runs that ended, fit every condition, and are not among the newest.

    The newest complete runs of each pipeline are always kept, so that the champion and the window of
    the next run stay: the newest complete run refers to them.
    """

    root: str
    """Only artifacts below this URI: what lies elsewhere, such as a pushed model, is never deleted."""
    keep_last: int
    """Complete runs to keep per pipeline, at least 1."""
    pipeline: str = ""
    """Only runs of this pipeline; of all when empty."""
    state: RunState | None = None
    """Only runs that ended so."""
    ended_before: int = 0
    """Only runs that ended before this moment (milliseconds since 1970-01-01); 0 for any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """What a policy means for a store as it is now."""

    runs: tuple[Run, ...]
    """Runs whose artifacts may go, oldest first. Their rows stay, and with them the lineage."""
    artifacts: tuple[Artifact, ...]
    """Artifacts of these runs that nothing kept refers to."""
    kept: tuple[Artifact, ...]
    """Artifacts of these runs that stay: a kept run made, used or reused them too, or somebody put them into
    a context of their own, such as an alias."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRetention:
    """Which of the runs that a policy lets go can be removed from the record."""

    batches: tuple[tuple[Run, ...], ...]
    """Runs to be removed, each batch in one transaction, one after the other."""
    kept: tuple[tuple[Run, str], ...]
    """Runs whose rows stay, and why."""
