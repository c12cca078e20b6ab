"""Control: which nodes run, how often, and what runs in the end.

    with When(evaluator.outputs.blessing.blessed == 1):
        push(model=trainer.outputs.model)
    with Else():
        alert(reason="not blessed")

    with ForEach([0.1, 0.01]) as rate:
        trained = train(examples=examples, rate=rate)
    compare(models=collect(trained.outputs.model))

Blocks only note what stands in them; all is decided at run time, by the launcher.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from itertools import count
from types import TracebackType
from typing import Any, Generic, TypeVar, cast, overload

from tidemill.dsl.channel import Channel, Outputs, channel_parts
from tidemill.dsl.component import Component
from tidemill.dsl.location import caller
from tidemill.dsl.node import Node, collecting, enclosing
from tidemill.dsl.placeholder import Combination, Placeholder
from tidemill.dsl.resolver import Collected, Earlier, FirstOf, LatestBlessed, RollingWindow
from tidemill.dsl.signature import InputSpec, OutputSpec, ParameterSpec, Signature
from tidemill.errors import DefinitionError
from tidemill.types.artifact import Artifact, ValueArtifact

A = TypeVar("A", bound=Artifact)
T = TypeVar("T")

just_left: ContextVar[When | None] = ContextVar("just_left", default=None)
"""The condition whose block ended last: what an Else can belong to."""


class When:
    """A block whose nodes are skipped unless the condition holds.

    The condition compares outputs' properties or values, runtime parameters and facts of the run with
    each other or with plain values; join several with `&`, `|` and `not_()`.
    """

    def __init__(self, condition: bool) -> None:
        self.where = caller()
        self.condition: Any = condition
        """What must hold, without the conditions of blocks around it."""
        self.before: tuple[Any, ...] = ()
        """Conditions of the branches before this one, none of which may hold."""
        self.around: tuple[Any, ...] = ()

    @property
    def parts(self) -> tuple[Any, ...]:
        """Everything that must hold in this block."""
        other = tuple(Combination("not", (c,)) for c in self.before)
        return other if self.condition is None else (*other, self.condition)

    def __enter__(self) -> None:
        self.around = enclosing.get()
        enclosing.set((*self.around, self))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        enclosing.set(self.around)
        just_left.set(self)


class ElseWhen(When):
    """A block for another condition, where none of the branches before it holds."""

    def __enter__(self) -> None:
        before, around = just_left.get(), enclosing.get()
        if before is None or (before.around is not around and before.around != around):
            raise DefinitionError(
                f"{type(self).__name__} stands without a When before it",
                where=self.where,
                hint="write it right after the block of `with When(...):`, at the same depth",
            )
        if before.condition is None:
            raise DefinitionError(f"{type(self).__name__} stands after an Else", where=self.where)
        self.before = (*before.before, before.condition)
        super().__enter__()


class Else(ElseWhen):
    """A block for when none of the branches before it holds."""

    def __init__(self) -> None:
        super().__init__(cast("bool", None))
        self.where = caller()


class ForEach(Generic[T]):
    """A block whose nodes run once for each item.

    `items` is a list, a runtime parameter or an output that holds one, or a list of artifacts
    (outputs, a rolling window, a collection). At most `parallelism` iterations run at the same time, 0
    for no limit, and there may be `limit` of them. Blocks nest.
    """

    @overload
    def __init__(
        self: ForEach[T], items: Sequence[T], *, name: str = ..., parallelism: int = ..., limit: int = ...
    ) -> None: ...
    @overload
    def __init__(
        self: ForEach[Any], items: Any, *, name: str = ..., parallelism: int = ..., limit: int = ...
    ) -> None: ...
    def __init__(self, items: Any, *, name: str = "", parallelism: int = 0, limit: int = 1000) -> None:
        self.where = caller()
        self.items = items
        self.name = name
        self.parallelism = parallelism
        self.limit = limit
        self.head: Node[Any] | None = None
        """The node that finds the items."""
        self.around: tuple[Any, ...] = ()

    def __enter__(self) -> T:
        artifact = _artifact_of(self.items)
        component = _loop_of_artifacts(artifact) if artifact else LOOP_OF_VALUES
        self.head = Node(component, (), {"items": self.items}).with_id(self.name or _free_name())
        self.head.where = self.where
        for name, least in (("parallelism", 0), ("limit", 1)):
            value: object = getattr(self, name)
            if type(value) is not int or value < least:
                self.head.note(f"{name} is {value!r}; it must be a whole number from {least} on")
        self.head.loop = self
        self.around = enclosing.get()
        enclosing.set((*self.around, self))
        if artifact:
            return cast("T", LoopChannel(self.head, "item", artifact))
        return cast("T", Item(self.head, (), _kind_of(self.items)))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        enclosing.set(self.around)


class Item(Placeholder):
    """The item of a loop, or a part of it."""

    def __init__(self, head: Node[Any], path: tuple[str | int, ...], kind: type | None) -> None:
        self._head = head
        self._path = path
        self._kind = kind

    def describe(self) -> str:
        """`item of for_each['key']`."""
        return f"item of {self._head.id}{''.join(f'[{part!r}]' for part in self._path)}"

    def kind(self) -> type | None:
        """The type that all items of a plain list have."""
        return self._kind

    def __getitem__(self, key: object) -> Any:
        if not isinstance(key, (str, int)):
            self._refuse(f"look inside it with {key!r}", "use a str or an int")
        return Item(self._head, (*self._path, key), None)


def item_parts(item: Item) -> tuple[Node[Any], tuple[str | int, ...]]:
    """The loop's node, and where in the item the part stands."""
    return item._head, item._path


class LoopChannel(Channel):
    """The artifact of a loop that the nodes in its block work on."""


def collect(output: A) -> list[A]:
    """An output of a node in a loop, of all iterations in order, for a node outside the loop.

    As an input it is a list of artifacts; as a parameter, the list of their values.
    """
    return cast("list[A]", Collected(cast("Channel", output)))


def one_of(*outputs: T) -> T:
    """The first of these outputs that exists, for a node that joins branches: skipped nodes have none.

    The last one may be a plain value, as a parameter's value when there is no other.
    """
    return cast("T", FirstOf(outputs))


def on_exit(node: Node[Any]) -> Node[Any]:
    """Run the node when all others have ended, whatever became of them; see `run.state`."""
    node.on_exit = True
    return node


# --- nodes that the launcher does -----------------------------------------------------------------


def approval(message: str = "") -> Node[None]:
    """A node that waits until somebody says yes: `tidemill approve RUN NODE`. A no fails it.

        approval(message="Push to production?") >> pusher

    A timeout among its options says how long it waits.
    """
    return Node(APPROVAL, (), {"message": message})


class Imported(Outputs, Generic[A]):
    """What an importer puts out."""

    artifact: A


def importer(uri: str, type: type[A], *, properties: Mapping[str, Any] | None = None) -> Node[Imported[A]]:
    """A node that brings files made elsewhere into the record, as an artifact, where they lie.

    The same files give the same artifact again. They are not copied, so they must stay as they are.
    """
    outputs = {"artifact": OutputSpec(type, returned=False)}
    parameters = {
        "uri": ParameterSpec(str, required=True, default=None),
        "properties": ParameterSpec(dict[str, Any], required=False, default={}),
    }
    component = _built("Importer", "importer", {}, outputs, parameters)
    return Node(component, (), {"uri": uri, "properties": dict(properties or {})})


def _built(
    name: str, kind: str, inputs: Mapping[str, InputSpec], outputs: Mapping[str, OutputSpec],
    parameters: Mapping[str, ParameterSpec],
) -> Component[..., Any]:  # fmt: skip
    """A component without a function."""

    def declared() -> None:
        """Done by the launcher."""

    declared.__name__ = declared.__qualname__ = name
    made: Component[..., Any] = Component(declared, "", "", {})
    made.signature = Signature(inputs, outputs, parameters, (*inputs, *parameters), ())
    made.kind = kind
    return made


def _loop_of_artifacts(artifact: type[Artifact]) -> Component[..., Any]:
    return _built("ForEach", "loop", {"items": InputSpec(artifact, many=True, optional=True)}, {}, {})


LOOP_OF_VALUES = _built(
    "ForEach", "loop", {}, {}, {"items": ParameterSpec(list[Any], required=True, default=None)}
)
APPROVAL = _built("Approval", "approval", {}, {}, {"message": ParameterSpec(str, required=False, default="")})


def _free_name() -> str:
    """for_each, for_each_2, ...: loops need a name of their own only where another one would help."""
    taken = {node.name for node in collecting.get() or ()}
    return next(n for i in count(1) if (n := f"for_each_{i}" if i > 1 else "for_each") not in taken)


def _artifact_of(items: Any) -> type[Artifact] | None:
    """The artifact type of a list of artifacts; None for values."""
    for item in items if isinstance(items, (list, tuple)) else [items]:
        if isinstance(item, Collected | RollingWindow | LatestBlessed | Earlier):
            return _artifact_of([item.channel])
        if isinstance(item, Channel):
            artifact = channel_parts(item)[2]
            return None if issubclass(artifact, ValueArtifact) and item is items else artifact
    return None


def _kind_of(items: Any) -> type | None:
    kinds = set(map(type, items)) if isinstance(items, (list, tuple)) else set()
    return kinds.pop() if len(kinds) == 1 and kinds <= {int, float, str, bool} else None
