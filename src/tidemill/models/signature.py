"""What a model takes and gives, as plain data: names, types and shapes. It knows no library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tidemill.errors import DataError

SCALARS = ("int", "float", "string", "bool", "timestamp", "empty")
"""Types of values, as the transform graph names them; `empty` had no value in the training data."""
TYPES = (*SCALARS, "list[int]", "list[float]", "list[string]")
"""Types of fields: raw columns may be lists of any length. A vector is a scalar type with a shape."""


@dataclass(frozen=True, slots=True)
class Field:
    """One input or output. `shape` is that of one row: () for a number, (5,) for five of them."""

    name: str
    type: str
    shape: tuple[int, ...] = ()

    @property
    def width(self) -> int:
        """How many values one row has."""
        return self.shape[0] if self.shape else 1

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, inverse of `from_json`."""
        return {"name": self.name, "type": self.type, "shape": list(self.shape)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Field:
        """Inverse of `to_json`; DataError for a type or shape that there is not."""
        found = cls(str(value["name"]), str(value["type"]), tuple(int(size) for size in value["shape"]))
        if found.type not in TYPES or len(found.shape) > 1 or any(size < 1 for size in found.shape):
            raise DataError(f"the signature has a field that cannot be: {dict(value)!r}")
        return found


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model is asked with (raw rows), and what it answers; empty where nobody said."""

    inputs: tuple[Field, ...] = ()
    outputs: tuple[Field, ...] = ()

    @property
    def input_names(self) -> list[str]:
        """Names of the columns that a row needs, in order."""
        return [field.name for field in self.inputs]

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, in order."""
        return [field.name for field in self.outputs]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, inverse of `from_json`."""
        return {"inputs": fields_to_json(self.inputs), "outputs": fields_to_json(self.outputs)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Signature:
        """Inverse of `to_json`."""
        return cls(fields_from_json(value["inputs"]), fields_from_json(value["outputs"]))


def fields_to_json(fields: Iterable[Field]) -> list[dict[str, Any]]:
    """A list of plain JSON, inverse of `fields_from_json`."""
    return [field.to_json() for field in fields]


def fields_from_json(value: Iterable[Mapping[str, Any]]) -> tuple[Field, ...]:
    """Inverse of `fields_to_json`."""
    return tuple(Field.from_json(item) for item in value)


def scalars(types: Mapping[str, str]) -> tuple[Field, ...]:
    """Fields of one value per row, from types by name. Arrow's names of types are understood."""
    return tuple(Field(name, _known(kind)) for name, kind in types.items())


def _known(kind: str) -> str:
    """The type of ours that a name of Arrow's or numpy's means; `string` for what is none of them."""
    if kind in TYPES:
        return kind
    for start, name in (("int", "int"), ("uint", "int"), ("float", "float"), ("double", "float"),
                        ("bool", "bool"), ("timestamp", "timestamp"), ("date", "timestamp")):  # fmt: skip
        if kind.startswith(start):
            return name
    return "string"
