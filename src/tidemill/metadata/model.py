"""Rows of the record, as plain values.

The first half is ML Metadata's model: its names and its enum numbers (`metadata_store.proto`), so
that an MLMD client reads what tidemill writes. The second half is tidemill's own: runs, nodes and
what moves them (tables with the prefix `tidemill_`).

Times are milliseconds since 1970-01-01 UTC. An id of 0 means "not stored yet".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

PropertyValue = int | float | str | bool
Properties = Mapping[str, PropertyValue]
PathStep = str | int

FAILURE = "tidemill.failure"
"""Custom property of a failed execution: its class of failure."""
LOST = "LOST"
"""... the class of one whose process vanished; recorded by the claim that takes its node over."""
RETRY_AT = "tidemill.retry_at"
"""... when the next attempt may begin, in milliseconds; only where there is to be one."""
FINGERPRINT = "tidemill.fingerprint"
"""... equal for failures of the same cause; only where no attempt follows."""
MEMORY_LIMIT = "tidemill.memory_limit"
"""... of any execution: bytes it was allowed to use."""


class PropertyType(IntEnum):
    """MLMD `PropertyType`."""

    UNKNOWN = 0
    INT = 1
    DOUBLE = 2
    STRING = 3
    STRUCT = 4
    PROTO = 5
    BOOLEAN = 6


class ArtifactState(IntEnum):
    """MLMD `Artifact.State`."""

    UNKNOWN = 0
    PENDING = 1
    LIVE = 2
    MARKED_FOR_DELETION = 3
    DELETED = 4
    ABANDONED = 5
    REFERENCE = 6


class ExecutionState(IntEnum):
    """MLMD `Execution.State`."""

    UNKNOWN = 0
    NEW = 1
    RUNNING = 2
    COMPLETE = 3
    FAILED = 4
    CACHED = 5
    CANCELED = 6


class EventType(IntEnum):
    """MLMD `Event.Type`."""

    UNKNOWN = 0
    DECLARED_OUTPUT = 1
    DECLARED_INPUT = 2
    INPUT = 3
    OUTPUT = 4
    INTERNAL_INPUT = 5
    INTERNAL_OUTPUT = 6
    PENDING_OUTPUT = 7


class TypeKind(IntEnum):
    """MLMD `Type.type_kind` column."""

    EXECUTION = 0
    ARTIFACT = 1
    CONTEXT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactType:
    """An artifact type to register: name, declared properties, MLMD system base type."""

    name: str
    properties: Mapping[str, PropertyType] = field(default_factory=dict)
    base_type: str = ""
    """Dataset, Model, Metrics, Statistics, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """MLMD `Artifact`."""

    type: str
    uri: str
    id: int = 0
    name: str = ""
    state: ArtifactState = ArtifactState.UNKNOWN
    properties: Properties = field(default_factory=dict)
    custom_properties: Properties = field(default_factory=dict)
    create_time: int = 0
    update_time: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """MLMD `Execution`: the record of one attempt. Named `run/node/iteration/attempt`."""

    type: str
    id: int = 0
    name: str = ""
    state: ExecutionState = ExecutionState.UNKNOWN
    properties: Properties = field(default_factory=dict)
    custom_properties: Properties = field(default_factory=dict)
    create_time: int = 0
    update_time: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """MLMD `Context`. Types used: `pipeline`, `pipeline_run`, `node` (TFX's names)."""

    type: str
    name: str
    id: int = 0
    properties: Properties = field(default_factory=dict)
    custom_properties: Properties = field(default_factory=dict)
    create_time: int = 0
    update_time: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """MLMD `Event`: an artifact went into or came out of an execution, at `path` (key, index)."""

    artifact_id: int
    execution_id: int
    type: EventType
    path: tuple[PathStep, ...] = ()
    time: int = 0


# --- tidemill's own ------------------------------------------------------------------------------

REPRODUCED = "@reproduced"
"""Ends the name under which a reproduction of a pipeline's run is kept; no definition can use the sign.

The questions about a pipeline are asked by its name, so none of them finds a reproduction."""


BLESSINGS = "@blessings"
"""Ends the name under which people's words on the models of a pipeline are kept, each as a run of its own.

The newest such word on a model decides whether it is blessed; where there is none, its judges do."""


class RunState(StrEnum):
    """State of a run. QUEUED (nobody drives it yet) and RUNNING are the only ones that are not final."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"
    CANCELED = "CANCELED"

    @property
    def ended(self) -> bool:
        """Whether it is final."""
        return self not in (RunState.QUEUED, RunState.RUNNING)


CANCEL = "CANCEL"
"""The request to end a run."""


class NodeState(StrEnum):
    """State of a node within a run. RUNNING is the only one that is not an outcome."""

    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    CACHED = "CACHED"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"

    @property
    def succeeded(self) -> bool:
        """Whether the nodes after it may go on; such a state is never left again."""
        return self in (NodeState.COMPLETE, NodeState.CACHED, NodeState.SKIPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of one pipeline version."""

    id: str
    pipeline: str
    version: str
    """Content hash of the pipeline's IR."""
    state: RunState
    root: str
    """Pipeline root: the URI under which outputs are written."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    date: str = ""
    """Logical date, ISO 8601 (`2024-01-05`), empty when the run has none."""
    owner: str = ""
    """Which process drives the run: `host/boot/pid/start`; see runtime.owner. Empty while it is QUEUED."""
    create_time: int = 0
    end_time: int = 0
    start_time: int = 0
    """When it became RUNNING; 0 while it is QUEUED."""
    priority: int = 0
    """Of two QUEUED runs the one with the higher priority is started first."""
    request: str = ""
    """What its runner is asked to do: CANCEL, or nothing."""
    base_run: str = ""
    """Id of the run whose results stand in for the nodes that this one does not run."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """How it is to be run, as JSON: whatever a runner needs to start it, or to go on with it. No secrets."""

    def same_work(self, other: Run) -> bool:
        """Whether both do the same: version, parameters, date, and the part of the pipeline."""
        mine, theirs = (
            (r.pipeline, r.version, dict(r.parameters), r.date, r.base_run, r.settings.get(SELECTION))
            for r in (self, other)
        )
        return mine == theirs


SELECTION, MOST_ACTIVE = "selection", "max_active_runs"
"""Keys in the settings of a run: which nodes it runs, if not all; how many runs of its pipeline may be
RUNNING at once, if there is a limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """Where a node of a run stands."""

    run_id: str
    node_id: str
    iteration: int
    state: NodeState
    attempt: int
    fence: int
    execution_id: int
    owner: str = ""
    cache_key: str = ""
    message: str = ""
    """One line: why it failed, was skipped or was reused."""
    start_time: int = 0
    end_time: int = 0
    pool: str = ""
    slots: int = 0
    """Slots that it holds in `pool` while it is RUNNING."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRecord:
    """A final failure: the last attempt of a node, after which there is to be none."""

    execution_id: int
    run_id: str
    pipeline: str
    version: str
    """Content hash of the pipeline's IR."""
    node_id: str
    iteration: int
    attempt: int
    kind: str
    """Class of the failure."""
    fingerprint: str
    """Equal for failures of the same cause."""
    message: str
    time: int
    """When it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRequest:
    """Ask to run a node. `attempt` is counted by the caller, or None to let the store count."""

    run_id: str
    node_id: str
    component: str
    """Registered as the MLMD execution type."""
    owner: str
    attempt: int | None = None
    iteration: int = 0
    pool: str = ""
    """Pool in which the node holds `slots` while it is RUNNING."""
    slots: int = 1
    dead: tuple[str, ...] = ()
    """Owners that are known to be dead: what they held in the pool is given back."""
    request_id: str = ""
    """Names this very request: another of the same name is this one again, after a lost answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The store's answer to a claim.

    `granted`: the caller runs the node now, and must publish with this very claim. Otherwise `state`
    says how the node already ended, or that somebody else runs it (RUNNING). With `full`, nobody runs it
    and nothing was changed: the pool of that name has no room now, since `holders` hold its slots.
    """

    granted: bool
    run_id: str
    node_id: str
    iteration: int
    attempt: int
    fence: int
    execution_id: int
    state: NodeState
    owner: str = ""
    message: str = ""
    full: str = ""
    holders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Slots that nodes of all runs share, such as the GPUs of a machine or the connections of a database."""

    name: str
    slots: int
    held: int = 0
    """Slots held by RUNNING nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What somebody decided about a node that waits for approval. Never changed once made."""

    run_id: str
    node_id: str
    granted: bool
    by: str
    """Who decided, as they call themselves."""
    iteration: int = 0
    comment: str = ""
    time: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """How an attempt ended, to be written in one transaction.

    `outputs` holds new artifacts (id 0, stored as LIVE) or, for a CACHED result, known ones (id > 0,
    only linked). `properties` become custom properties of the execution.
    """

    state: NodeState
    inputs: Mapping[str, Sequence[int]] = field(default_factory=dict)
    outputs: Mapping[str, Sequence[Artifact]] = field(default_factory=dict)
    properties: Properties = field(default_factory=dict)
    cache_key: str = ""
    message: str = ""
