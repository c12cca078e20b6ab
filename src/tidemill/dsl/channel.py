"""Channels: outputs of nodes, as they are passed around in a definition.

To a type checker `node.outputs.model` is a `Model`; at definition time it is a `Channel[Model]`. So
any type checker refuses to wire a Model into an input of Examples, and `compile` refuses it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidemill.dsl.location import caller
from tidemill.dsl.placeholder import ArtifactProperty, Placeholder
from tidemill.errors import Problem, did_you_mean
from tidemill.types.artifact import Artifact

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

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        declared = self._type.declared_properties()
        if name != "uri" and name not in declared:
            hint = did_you_mean(name, [*declared, "uri"])
            what = f"{self.describe()} is a {self._type.TYPE_NAME}, which has no property {name!r}"
            self._node.problems.append(Problem(what, caller(), hint))
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

    _node: Node[Any]

    @classmethod
    def of(cls, node: Node[Any]) -> Outputs:
        """The outputs of `node`."""
        outputs = cls()
        outputs._node = node
        return outputs

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Any:
        node = self._node
        declared = node.component.signature.outputs
        if name not in declared:
            what = f"{node.id} ({node.component.name}) has no output {name!r}"
            node.problems.append(Problem(what, caller(), did_you_mean(name, declared)))
            return Channel(node, name, Artifact)
        return Channel(node, name, declared[name].type)

    def __iter__(self) -> Any:
        return iter(self._node.component.signature.outputs)

    def __repr__(self) -> str:
        return f"<outputs of {self._node.id}: {', '.join(self)}>"


def channel_parts(channel: Channel) -> tuple[Node[Any], str, type[Artifact]]:
    """Node, output name and artifact type of a channel (whose own attributes are placeholders)."""
    return channel._node, channel._output, channel._type
