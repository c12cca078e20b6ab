"""The order: what an executor process is told to do, and its answer. Plain JSON both ways.

User code sees resolved artifacts and parameters here, and never the metadata store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from tidemill.types.artifact import PropertyValue


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderedArtifact:
    """An artifact as an executor gets it: for an input what is stored, for an output where to write."""

    type: str
    python: str
    """The artifact class, `module:qualname`."""
    uri: str
    path: str = ""
    """Folder on this machine with its files; empty when the URI is one."""
    id: int = 0
    name: str = ""
    digest: str = ""
    properties: Mapping[str, PropertyValue] = field(default_factory=dict)
    custom_properties: Mapping[str, PropertyValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderedInput:
    """The artifacts of one input."""

    artifacts: tuple[OrderedArtifact, ...]
    many: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderedOutput:
    """One output to make."""

    artifact: OrderedArtifact
    returned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Call `executor` with these inputs, outputs and parameters."""

    executor: str
    inputs: Mapping[str, OrderedInput]
    outputs: Mapping[str, OrderedOutput]
    parameters: Mapping[str, Any]
    """JSON; `{"$function": ref}` and `{"$files": {...}}` stand for functions and file sets."""
    code_root: str = ""
    workdir: str = ""
    rules: tuple[Mapping[str, Any], ...] = ()
    """How exceptions are classified: the fields of each RuleIR."""
    no_retry_on: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Inverse of `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of `to_json`."""
        return cls(
            executor=data["executor"],
            inputs={
                name: OrderedInput(
                    artifacts=tuple(OrderedArtifact(**a) for a in i["artifacts"]), many=i["many"]
                )
                for name, i in data["inputs"].items()
            },
            outputs={
                name: OrderedOutput(artifact=OrderedArtifact(**o["artifact"]), returned=o["returned"])
                for name, o in data["outputs"].items()
            },
            parameters=data["parameters"],
            code_root=data["code_root"],
            workdir=data["workdir"],
            rules=tuple(data["rules"]),
            no_retry_on=tuple(data["no_retry_on"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of an order: the outputs as they are now, or why there are none."""

    outputs: Mapping[str, OrderedArtifact] = field(default_factory=dict)
    failure_kind: str = ""
    message: str = ""
    exception: str = ""
    fingerprint: str = ""
    backoff: float = -1.0
    """Seconds of backoff that a rule asks for; negative when none does."""
    began: float = 0.0
    """When the executor function was called, by the machine's monotonic clock; 0 if it never was."""
    seconds: float = 0.0
    """Time the executor function itself took."""

    def to_json(self) -> dict[str, Any]:
        """Inverse of `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of `to_json`."""
        outputs = {name: OrderedArtifact(**a) for name, a in data["outputs"].items()}
        return cls(**{**data, "outputs": outputs})
