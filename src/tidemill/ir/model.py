"""The pipeline as frozen data: all that a runner or a launcher ever knows of it.

The definition language compiles to this; nothing here imports user code or remembers it, except as
references `module:qualname`. Node ids of a sub-pipeline carry its name: `features.transform`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tidemill.ir.arrivals import (
    AllArrivals,
    AnyArrival,
    Arrival,
    ArtifactArrival,
    AssetArrival,
    FilesArrival,
)
from tidemill.ir.values import (
    AllOf,
    AnyOf,
    Array,
    Collected,
    CollectedValues,
    Compare,
    Concat,
    Earlier,
    Environment,
    Files,
    FirstOf,
    FirstValue,
    Function,
    LatestBlessed,
    Literal,
    LoopArtifact,
    LoopItem,
    Not,
    Object,
    OutputProperty,
    OutputRef,
    OutputValue,
    ParameterRef,
    RunField,
    Source,
    Stored,
    Value,
    Window,
    nodes_in,
    nodes_of,
)

__all__ = [
    "SCHEMA_VERSION", "AllArrivals", "AllOf", "AnyArrival", "AnyOf", "Array", "Arrival", "ArtifactArrival",
    "ArtifactTypeIR", "AssetArrival", "Collected", "CollectedValues", "Compare", "Concat", "Earlier",
    "Environment", "Files", "FilesArrival", "FirstOf", "FirstValue", "Function",
    "InputIR", "LatestBlessed", "Literal", "LoopArtifact", "LoopIR", "LoopItem", "NodeIR", "Not",
    "Object", "OptionsIR", "OutputIR", "OutputProperty", "OutputRef", "OutputValue", "ParameterIR",
    "ParameterRef", "PipelineIR", "ResourcesIR", "RunField", "ScheduleIR", "Source", "Stored", "Value",
    "Window", "nodes_in", "nodes_of",
]  # fmt: skip

SCHEMA_VERSION = 1
"""Raised when a reader of the previous version could misread the IR."""


# --- records --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactTypeIR:
    """An artifact type the pipeline uses. `python` is the class, `module:qualname`."""

    name: str
    python: str
    base_type: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)
    """Name -> INT, DOUBLE, STRING or BOOLEAN."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputIR:
    """An input of a node. `many`: the executor gets a list. `optional`: it may get nothing."""

    name: str
    type: str
    sources: tuple[Source, ...]
    many: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputIR:
    """An output of a node. `returned`: the executor returns its value instead of writing files."""

    name: str
    type: str
    returned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourcesIR:
    """What a node asks for. 0 means: no request."""

    cpu: float = 0.0
    """Cores."""
    memory: int = 0
    """Bytes."""
    gpu: int = 0
    memory_max: int = 0
    """Bytes up to which the limit grows after failures for lack of memory; 0: it does not grow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleIR:
    """Exceptions of type `exception` (by name) whose message matches `match` are `treat`ed so."""

    exception: str
    match: str = ""
    treat: str = "transient"
    """transient or permanent."""
    backoff: float = -1.0
    """Seconds in place of the policy's backoff; negative: the policy's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryIR:
    """How often each group of failures is tried again, and after how long."""

    user: int = 0
    transient: int = 0
    timeout: int = 0
    memory: int = 0
    infrastructure: int = 0
    backoff: float = 1.0
    """Seconds: the longest wait before the first retry."""
    factor: float = 2.0
    cap: float = 600.0
    """Seconds: the longest wait at all."""
    rules: tuple[RuleIR, ...] = ()
    no_retry_on: tuple[str, ...] = ()
    """Names of exceptions that are never tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentIR:
    """What a node's executor finds installed: a virtual environment, or with `image` a container."""

    requirements: tuple[str, ...] = ()
    """Packages, sorted, as pip spells them."""
    python: str = ""
    """Python version of a virtual environment; interpreter inside a container."""
    image: str = ""
    env: tuple[str, ...] = ()
    """Names of the environment variables that a container gets."""
    mounts: tuple[str, ...] = ()
    """Folders that a container sees, besides those of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionsIR:
    """How a node is run; the same on every runner."""

    retries: int = 0
    backoff: float = 1.0
    """Seconds that the wait before the first retry takes at most; doubled for each further one."""
    retry: RetryIR | None = None
    """In place of `retries` and `backoff`."""
    timeout: float = 0.0
    """Seconds for the executor in one attempt; 0 means no limit, as for those below."""
    queue_timeout: float = 0.0
    """Seconds between being ready and being claimed."""
    start_timeout: float = 0.0
    """Seconds until the executor begins."""
    total_timeout: float = 0.0
    """Seconds for all attempts together, the waits between them included."""
    heartbeat: float = 0.0
    """Seconds within which a node gives a sign of life."""
    log_limit: int = 50 * 2**20
    """Bytes of log that are kept of one attempt; 0 means all."""
    resources: ResourcesIR = ResourcesIR()
    cache: bool = True
    cache_max_age: float = 0.0
    """Seconds after which a cached result is not reused; 0 means it never expires."""
    owner: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    pool: str = ""
    """Pool in which the node holds slots while it runs."""
    slots: int = 1
    """How many of them."""
    priority: int = 0
    """Of two nodes that could start, the one with the higher priority does."""
    environment: EnvironmentIR | None = None
    isolation: str = ""
    """process, fresh or none; empty means: as the run says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopIR:
    """What a node of kind `loop` says of its iterations."""

    parallelism: int = 0
    """Iterations at the same time; 0 means no limit."""
    limit: int = 1000
    """Iterations that there may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeIR:
    """One node."""

    id: str
    component: str
    executor: str
    """`module:qualname` of the function that does the work; empty for nodes that the launcher does."""
    kind: str = "component"
    """component; loop (finds the items of a loop), importer or approval, which the launcher does."""
    inputs: tuple[InputIR, ...] = ()
    outputs: tuple[OutputIR, ...] = ()
    parameters: Mapping[str, Value] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    """Nodes that must succeed first although no artifact comes from them."""
    when: Value | None = None
    """The node is skipped unless this is true."""
    trigger: str = "all_success"
    """all_success, all_done or one_success: what must have become of the nodes before it."""
    loops: tuple[str, ...] = ()
    """Nodes of kind `loop` around it, outermost first: it runs once for each of their items."""
    loop: LoopIR | None = None
    """Set for nodes of kind `loop`."""
    on_exit: bool = False
    """It runs when all other nodes have ended, whatever became of them."""
    options: OptionsIR = OptionsIR()
    effects: bool = False
    """Whether it changes the world outside of its outputs; a reproduction then leaves it out."""

    def upstream(self) -> tuple[str, ...]:
        """Ids of all nodes that must end first, sorted."""
        found = {*self.after, *self.loops[-1:]}
        for inp in self.inputs:
            for source in inp.sources:
                found.update(nodes_of(source))
        for value in self.parameters.values():
            found.update(nodes_in(value))
        if self.when is not None:
            found.update(nodes_in(self.when))
        return tuple(sorted(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterIR:
    """A runtime parameter. Without a default it must be given when a run starts."""

    name: str
    type: str
    """int, float, str, bool or json."""
    required: bool = False
    default: Any = None
    schema: Mapping[str, Any] = field(default_factory=dict)
    """JSON Schema keywords that a value must fit, beside its type; see types/parameter_schema.py."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleIR:
    """When runs start by themselves: a cron expression or `@daily` and the like, in a time zone; arriving
    data; or whichever comes first."""

    cron: str = ""
    """Empty: only when data arrives."""
    start: str = ""
    """First date, ISO 8601."""
    timezone: str = "UTC"
    catch_up: bool = False
    on: Arrival | None = None
    deadline: float = 0.0
    """Seconds after the end of its interval by which a run must be complete; 0: no deadline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineIR:
    """A compiled pipeline. Nodes stand in an order in which they could run one by one."""

    name: str
    nodes: tuple[NodeIR, ...]
    parameters: tuple[ParameterIR, ...] = ()
    artifact_types: tuple[ArtifactTypeIR, ...] = ()
    code: Mapping[str, str] = field(default_factory=dict)
    """`module:qualname` of each executor and function parameter -> digest of its source."""
    schedule: ScheduleIR | None = None
    description: str = ""
    max_active_runs: int = 0
    """Runs of the pipeline, of any version, that may be under way at once; 0 means no limit."""
    schema_version: int = SCHEMA_VERSION
    _by_id: dict[str, NodeIR] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._by_id.update((node.id, node) for node in self.nodes)

    def node(self, node_id: str) -> NodeIR:
        """The node `node_id`; KeyError when there is none."""
        return self._by_id[node_id]
