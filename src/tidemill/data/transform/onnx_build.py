"""Puts ONNX nodes together: names, constants, inputs and outputs. It knows no operation of ours."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tidemill.data.transform.values import DTYPES, STAND_INS, element, objects
from tidemill.errors import DataError

OPSET, ML_OPSET, IR_VERSION = 20, 3, 9


class Cannot(Exception):
    """ONNX has no words for an operation; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Col:
    """A column of the model: names of its tensors."""

    data: str
    valid: str = ""
    """Empty where it is never null."""
    width: int = 0
    """Of a vector; 0 for one value in a row."""


def library() -> Any:
    """The onnx package; DataError when it is not installed."""
    try:
        return importlib.import_module("onnx")
    except ImportError:
        raise DataError(
            "exporting to ONNX needs onnx, which is not installed here", hint="pip install 'tidemill[onnx]'"
        ) from None


def onnx_type(type: str) -> int:
    """The tensor type of a column type."""
    proto = library().TensorProto
    kinds = {"float": proto.DOUBLE, "bool": proto.BOOL, "string": proto.STRING, "empty": proto.DOUBLE}
    return int(kinds.get(element(type) or type, proto.INT64))


def input_names(column: str) -> tuple[str, str]:
    """Names of the two tensors of an input column; outputs have the column's own name."""
    return f"input.{column}", f"input.{column}.valid"


class Builder:
    """Collects the nodes of a model; what no output needs is left out of it."""

    def __init__(self) -> None:
        self._onnx = library()
        self._helper: Any = importlib.import_module("onnx.helper")
        self._nodes: list[Any] = []
        self._constants: dict[tuple[Any, ...], str] = {}
        self._initializers: dict[str, Any] = {}
        self._inputs: dict[str, Any] = {}
        self._outputs: list[Any] = []
        self._count = 0
        self._rows = ""
        self.used: set[str] = set()

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """The output of a new node."""
        name = self._name(kind.lower())
        node = self._helper.make_node(kind, list(inputs), [name], name=name, domain=domain, **attributes)
        self._nodes.append(node)
        return name

    def const(self, value: Any, type: str) -> str:
        """A constant tensor of `value` (a scalar is one of one element), in the element type of `type`."""
        kind = element(type) or type
        items = np.atleast_1d(objects(value) if isinstance(value, list) and kind == "string" else value)
        items = items if kind == "string" else items.astype(DTYPES[kind])
        content = tuple(items.ravel().tolist()) if kind == "string" else items.tobytes()
        key = (kind, items.shape, content)
        if key not in self._constants:
            name = self._constants[key] = self._name("const")
            if kind == "string":
                texts = [text.encode() for text in items.ravel().tolist()]
                tensor = self._helper.make_tensor(name, onnx_type(type), items.shape, texts)
            else:
                raw = items.astype(items.dtype.newbyteorder("<")).tobytes()
                tensor = self._helper.make_tensor(name, onnx_type(type), items.shape, raw, raw=True)
            self._initializers[name] = tensor
        return self._constants[key]

    def input(self, name: str, type: str, width: int | None) -> Col:
        """A column that is fed."""
        shape = ["rows"] if width is None else ["rows", width]
        data, valid = input_names(name)
        self._inputs[data] = self._helper.make_tensor_value_info(data, onnx_type(type), shape)
        self._inputs[valid] = self._helper.make_tensor_value_info(valid, onnx_type("bool"), ["rows"])
        self._rows = self._rows or valid
        return Col(data, valid, width or 0)

    def constant(self, value: Any, type: str) -> Col:
        """A column with `value`, null for None, in every row."""
        found = self.every_row(self.const(STAND_INS[type] if value is None else value, type))
        return Col(found, self.every_row(self.const(False, "bool")) if value is None else "")

    def every_row(self, one: str) -> str:
        """A tensor of one element, repeated for each row."""
        if not self._rows:
            raise Cannot("an output that no column goes into, so that nothing says how many rows there are")
        return self.op("Expand", one, self.op("Shape", self._rows))

    def all_of(self, valids: Sequence[str]) -> str:
        """True where all are; an empty name is always true."""
        names = list(dict.fromkeys(name for name in valids if name))
        found = names[0] if names else ""
        for name in names[1:]:
            found = self.op("And", found, name)
        return found

    def choose(self, condition: str, a: str, b: str, type: str) -> str:
        """`a` where the condition holds, else `b`. ONNX Runtime has no Where of bools."""
        if type != "bool":
            return self.op("Where", condition, a, b)
        return self.op("Or", self.op("And", condition, a), self.op("And", self.op("Not", condition), b))

    def column(self, name: str) -> str:
        """A tensor of shape (rows,) as one of shape (rows, 1)."""
        return self.op("Unsqueeze", name, self.const(1, "int"))

    def output(self, name: str, column: Col, type: str) -> None:
        """An output, with the stand-in where it is null."""
        shape: list[Any] = ["rows", column.width] if column.width else ["rows"]
        data = column.data
        if column.valid:
            valid = self.column(column.valid) if column.width else column.valid
            kind = element(type) or type
            data = self.choose(valid, data, self.const(STAND_INS[kind], kind), kind)
            self._named(column.valid, f"{name}.valid")
            info = self._helper.make_tensor_value_info(f"{name}.valid", onnx_type("bool"), ["rows"])
            self._outputs.append(info)
        self._named(data, name)
        self._outputs.append(self._helper.make_tensor_value_info(name, onnx_type(type), shape))

    def _named(self, source: str, name: str) -> None:
        self._nodes.append(self._helper.make_node("Identity", [source], [name], name=f"#out.{name}"))

    def model(self, digest: str) -> Any:
        """The finished model, checked."""
        kept = self._reached()
        inputs = [info for name, info in self._inputs.items() if name in self.used]
        constants = [tensor for name, tensor in self._initializers.items() if name in self.used]
        graph = self._helper.make_graph(kept, "transform", inputs, self._outputs, constants)
        graph.doc_string = f"tidemill transform graph {digest}"
        opsets = [self._helper.make_opsetid("", OPSET), self._helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
        model = self._helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        model.producer_name = "tidemill"
        self._onnx.checker.check_model(model)
        return model

    def _reached(self) -> list[Any]:
        kept = []
        self.used = {info.name for info in self._outputs}
        for node in reversed(self._nodes):
            if self.used.intersection(node.output):
                self.used.update(node.input)
                kept.append(node)
        return kept[::-1]

    def _name(self, hint: str) -> str:
        self._count += 1
        return f"#{hint}.{self._count}"  # no name of a column is like that
