"""Channels: outputs of nodes, as they are passed around in a definition.

To a type checker `node.outputs.model` is a `Model`; at definition time it is a `Channel[Model]`. So
any type checker refuses to wire a Model into an input of Examples, and `compile` refuses it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidemill.dsl.location import caller
from tidemill.dsl.placeholder import ArtifactProperty, Placeholder
from tidemill.errors import did_you_mean
from tidemill.types.artifact import Artifact, ValueArtifact

if TYPE_CHECKING:
    from tidemill.dsl.node import Node


class Channel(Placeholder):
    """An output of a node. Attributes are placeholders of the artifact's properties."""

    def __init__(self, node: Node[Any], output: str, type: type[Artifact]) -> None:
        self._node = node
        self._output = output
        self._type = type

    def describe(self) -> str:
        """`Node.outputs.output`."""
        return f"{self._node.id}.outputs.{self._output}"

    def kind(self) -> type | None:
        """Type of the plain value that the output holds; the artifact type when it holds none."""
        if not issubclass(self._type, ValueArtifact):
            return None if self._type is Artifact else self._type
        return None if self._type.VALUE_TYPE is object else self._type.VALUE_TYPE

    def property_kind(self, name: str) -> type | None:
        """Type of the property `name`; None when there is no such property."""
        declared = self._type.declared_properties()
        return str if name == "uri" else declared[name].python_type if name in declared else None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name == "value" and issubclass(self._type, ValueArtifact):
            return self  # as a parameter or in a condition it stands for its value anyway
        declared = self._type.declared_properties()
        if name != "uri" and name not in declared:
            what = f"output {self._output!r} is {self._type.TYPE_NAME}, which has no property {name!r}"
            self._node.note(what, did_you_mean(name, [*declared, "uri"]), where=caller())
        return ArtifactProperty(self, name)

    def __repr__(self) -> str:
        return f"<{self.describe()}: {self._type.TYPE_NAME}>"


class Outputs:
    """The outputs of a node, by attribute or by key.

    Subclass it to declare the outputs of a component whose executor lives elsewhere:

        class TrainerOutputs(Outputs):
            model: Model
            model_run: ModelRun
    """

    def __init__(self, node: Node[Any]) -> None:
        self._node = node

    if not TYPE_CHECKING:  # a type checker shall see the declared outputs only

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(name)
            return self[name]

    def __getitem__(self, name: str) -> Any:
        node = self._node
        declared = node.component.signature.outputs
        if name in declared:
            return Channel(node, name, declared[name].type)
        if not node.component.signature.problems:
            what = f"{node.component.name} has no output {name!r}"
            node.note(what, did_you_mean(name, declared), where=caller())
        return Channel(node, name, Artifact)

    def __iter__(self) -> Any:
        return iter(self._node.component.signature.outputs)

    def __repr__(self) -> str:
        return f"<outputs of {self._node.id}: {', '.join(self)}>"


def channel_parts(channel: Channel) -> tuple[Node[Any], str, type[Artifact]]:
    """Node, output name and artifact type of a channel (whose own attributes are placeholders)."""
    return channel._node, channel._output, channel._type
