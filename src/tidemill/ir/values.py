"""Values and sources: what the parameters and inputs of a node are bound to, as frozen data.

They say where a value or an artifact comes from, and are answered by the launcher when the node is about
to run. They know nothing of nodes beyond their ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
    """A fact about the run: `id`, `date`, `root`, `pipeline` or `version`.

    Exit nodes may ask for `state` and `failures` too.
    """

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
    """0: every span from `since` on."""
    skip: int = 0
    since: Value | None = None


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


@dataclass(frozen=True, slots=True)
class LoopItem:
    """The item of a loop that a node works on, or a part of it: keys and indexes in `path`."""

    loop: str
    path: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class CollectedValues:
    """The plain values of an output in all iterations of the loops that the reader is not in."""

    node: str
    output: str


@dataclass(frozen=True, slots=True)
class FirstValue:
    """The first of these values that exists: those of skipped nodes do not."""

    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Compare:
    """Whether `left op right` holds; `op` is one of == != < <= > >=."""

    op: str
    left: Value
    right: Value


@dataclass(frozen=True, slots=True)
class AllOf:
    """Whether every part is true."""

    parts: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Whether some part is true."""

    parts: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Whether the part is false."""

    part: Value


Value = (
    Literal | ParameterRef | RunField | Environment | OutputValue | OutputProperty | Function | Files
    | Concat | Array | Object | LoopItem | CollectedValues | FirstValue | Compare | AllOf | AnyOf | Not
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


@dataclass(frozen=True, slots=True)
class Collected:
    """An output in all iterations of the loops that the reader is not in, in order."""

    node: str
    output: str


@dataclass(frozen=True, slots=True)
class LoopArtifact:
    """The artifact of a loop that a node works on."""

    loop: str


@dataclass(frozen=True, slots=True)
class FirstOf:
    """What the first of these sources gives that gives anything: skipped nodes do not."""

    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """Artifacts that a node put out in earlier runs of a pipeline, newest first."""

    node: str
    output: str
    pipeline: str = ""
    """Another pipeline; empty means this one."""
    limit: int = 1
    properties: Mapping[str, Value] = field(default_factory=dict)
    """Values that the artifacts' properties must have."""
    spans: tuple[Value, ...] = ()
    """First and last span, both included; oldest first then, the newest version of each."""
    complete: bool = False
    """Only from runs that are COMPLETE."""
    choose: str = ""
    """`module:qualname` of a function that chooses among what was found."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An artifact that is on record already, whatever made it."""

    id: int
    uri: str
    """Where it lies; an id of another record would point elsewhere."""


Source = OutputRef | LatestBlessed | Window | Collected | LoopArtifact | FirstOf | Earlier | Stored


# --- what they wait for ---------------------------------------------------------------------------


def nodes_of(source: Source) -> set[str]:
    """Ids of the nodes of this run that `source` waits for."""
    match source:
        case OutputRef(node=node) | Collected(node=node) | LoopArtifact(loop=node):
            return {node}
        case Window(node=node, passed=passed):
            return {node, passed} - {""}
        case FirstOf(sources=sources):
            return set().union(*map(nodes_of, sources))
        case Earlier(properties=properties, spans=spans):
            return set().union(*map(nodes_in, (*properties.values(), *spans)))
        case LatestBlessed() | Stored():
            return set()


def nodes_in(value: Value) -> set[str]:
    """Ids of the nodes whose outputs `value` needs."""
    match value:
        case OutputValue(node=node) | OutputProperty(node=node) | CollectedValues(node=node):
            return {node}
        case LoopItem(loop=loop):
            return {loop}
        case Compare(left=left, right=right):
            return nodes_in(left) | nodes_in(right)
        case Not(part=part):
            return nodes_in(part)
        case (
            Concat(parts=parts) | Array(items=parts) | FirstValue(values=parts) | AllOf(parts=parts)
            | AnyOf(parts=parts)
        ):  # fmt: skip
            return set().union(*map(nodes_in, parts)) if parts else set()
        case Object(items=items):
            return set().union(*map(nodes_in, items.values())) if items else set()
        case Files(pattern=pattern, date=date, span=span, since=since):
            return set().union(*(nodes_in(v) for v in (pattern, date, span, since) if v is not None))
    return set()
