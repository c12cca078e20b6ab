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


class RunState(StrEnum):
    """State of a run. RUNNING is the only one that is not final."""

    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


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
    """Which process drives the run: `host/boot/pid/start`; see runtime.owner."""
    create_time: int = 0
    end_time: int = 0


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
    request_id: str = ""
    """Names this very request: another of the same name is this one again, after a lost answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The store's answer to a claim.

    `granted`: the caller runs the node now, and must publish with this very claim. Otherwise `state`
    says how the node already ended, or that somebody else runs it (RUNNING).
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
