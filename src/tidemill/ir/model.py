"""The pipeline as frozen data: all that a runner or a launcher ever knows of it.

The definition language compiles to this; nothing here imports user code or remembers it, except as
references `module:qualname`. Node ids of a sub-pipeline carry its name: `features.transform`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SCHEMA_VERSION = 1
"""Raised when a reader of the previous version could misread the IR."""


# --- values: what a parameter is bound to ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Literal:
    """A JSON value."""

    value: Any


@dataclass(frozen=True, slots=True)
class ParameterRef:
    """The value of a runtime parameter."""

    name: str


@dataclass(frozen=True, slots=True)
class RunField:
    """A fact about the run: `id`, `date`, `root`, `pipeline` or `version`."""

    name: str


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment variable of the machine that runs the node."""

    name: str
    default: str | None = None


@dataclass(frozen=True, slots=True)
class OutputValue:
    """The plain value held by a value artifact (Integer, Float, JsonValue, ...)."""

    node: str
    output: str


@dataclass(frozen=True, slots=True)
class OutputProperty:
    """A property, or `uri`, of an upstream output artifact."""

    node: str
    output: str
    property: str


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the user's project, `module:qualname`."""

    ref: str


@dataclass(frozen=True, slots=True)
class Files:
    """External files that match a pattern when the node is resolved."""

    pattern: Value
    date: Value | None = None
    span: Value | None = None
    window: int = 1


@dataclass(frozen=True, slots=True)
class Concat:
    """The parts as text, one after another."""

    parts: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Array:
    """A list of which some items are known only at run time."""

    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Object:
    """A dict of which some values are known only at run time."""

    items: Mapping[str, Value]


Value = (
    Literal | ParameterRef | RunField | Environment | OutputValue | OutputProperty | Function | Files
    | Concat | Array | Object
)  # fmt: skip


# --- sources: where an input's artifacts come from ------------------------------------------------


@dataclass(frozen=True, slots=True)
class OutputRef:
    """An output of another node of the same run."""

    node: str
    output: str


@dataclass(frozen=True, slots=True)
class LatestBlessed:
    """The newest blessed artifact that this pipeline's node put out in an earlier run."""

    node: str
    output: str


@dataclass(frozen=True, slots=True)
class Window:
    """An output of this run, after the newest ones of earlier spans.

    At most `spans` in all, oldest first; with `passed`, only from runs where that node succeeded.
    """

    node: str
    output: str
    spans: int
    passed: str = ""


Source = OutputRef | LatestBlessed | Window


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


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionsIR:
    """How a node is run; the same on every runner."""

    retries: int = 0
    backoff: float = 1.0
    """Seconds before the first retry; doubled for each further one."""
    timeout: float = 0.0
    """Seconds for one attempt; 0 means no limit."""
    resources: ResourcesIR = ResourcesIR()
    cache: bool = True
    cache_max_age: float = 0.0
    """Seconds after which a cached result is not reused; 0 means it never expires."""
    owner: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeIR:
    """One node."""

    id: str
    component: str
    executor: str
    """`module:qualname` of the function that does the work."""
    inputs: tuple[InputIR, ...] = ()
    outputs: tuple[OutputIR, ...] = ()
    parameters: Mapping[str, Value] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    """Nodes that must succeed first although no artifact comes from them."""
    options: OptionsIR = OptionsIR()
    effects: bool = False
    """Whether it changes the world outside of its outputs; a reproduction then leaves it out."""

    def upstream(self) -> tuple[str, ...]:
        """Ids of all nodes that must succeed first, sorted."""
        found = set(self.after)
        for inp in self.inputs:
            for source in inp.sources:
                if isinstance(source, OutputRef | Window):
                    found.add(source.node)
                if isinstance(source, Window) and source.passed:
                    found.add(source.passed)
        for value in self.parameters.values():
            found.update(nodes_in(value))
        return tuple(sorted(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterIR:
    """A runtime parameter. Without a default it must be given when a run starts."""

    name: str
    type: str
    """int, float, str, bool or json."""
    required: bool = False
    default: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleIR:
    """When runs start by themselves: a cron expression or `@daily` and the like, in a time zone."""

    cron: str
    start: str = ""
    """First date, ISO 8601."""
    timezone: str = "UTC"
    catch_up: bool = False


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
    schema_version: int = SCHEMA_VERSION

    def node(self, node_id: str) -> NodeIR:
        """The node `node_id`; KeyError when there is none."""
        for node in self.nodes:
            if node.id == node_id:
                return node
        raise KeyError(node_id)


def nodes_in(value: Value) -> set[str]:
    """Ids of the nodes whose outputs `value` needs."""
    match value:
        case OutputValue(node=node) | OutputProperty(node=node):
            return {node}
        case Concat(parts=parts) | Array(items=parts):
            return set().union(*map(nodes_in, parts)) if parts else set()
        case Object(items=items):
            return set().union(*map(nodes_in, items.values())) if items else set()
        case Files(pattern=pattern, date=date, span=span):
            return set().union(*(nodes_in(v) for v in (pattern, date, span) if v is not None))
    return set()
