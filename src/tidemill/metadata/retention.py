"""Retention: which runs are kept, and which artifacts nobody kept refers to any more."""

from __future__ import annotations

from collections.abc import Callable
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
    run: str = ""
    """Only the run of this id; any when empty."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class MlmdRun:
    """A run that TFX or Kubeflow Pipelines recorded with MLMD, as far as that says what a run is."""

    id: str
    """Name of its context."""
    pipeline: str
    """Empty where none is written down; several names are parted by commas."""
    state: RunState | None
    """What its executions make of it; None when one has a state that says nothing."""
    end_time: int
    """When anything of it was changed last, in milliseconds since 1970-01-01; 0 where it does not say."""
    context: int
    writer: str
    """TFX or Kubeflow."""
    executions: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MlmdRetention:
    """What a policy means for the runs that TFX or Kubeflow Pipelines recorded."""

    runs: tuple[MlmdRun, ...]
    """Runs whose artifacts may go, oldest first."""
    artifacts: tuple[Artifact, ...]
    """Artifacts that these runs made, below the root, and that nothing that stays refers to."""
    kept: tuple[tuple[Artifact, str], ...]
    """Artifacts that these runs made and that stay, and why."""
    running: tuple[MlmdRun, ...]
    """Runs that are under way, whatever the policy says of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MlmdRowRetention:
    """Which of the runs that a policy lets go can be removed from the record."""

    batches: tuple[tuple[MlmdRun, ...], ...]
    kept: tuple[tuple[MlmdRun, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a URI points."""

    path: str
    """In one form for all URIs of the same place; ends without a slash."""
    sure: bool
    """Whether that is the place beyond doubt. What is not is never deleted."""


PlaceOf = Callable[[str], Place]
