"""A fitted transform graph, ready to run: over Arrow tables in batch, over single rows in a server.

Both give the same results; a property test over every operation holds them to it. Arrow and polars are loaded
by the batch methods only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.data.transform.graph import Graph
from tidemill.data.transform.ops import SOURCES, op_of
from tidemill.data.transform.rows import Program
from tidemill.data.transform.values import Array, Values, from_python, to_array, to_python
from tidemill.errors import DataError, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa

    from tidemill.data.transform.onnx_export import OnnxExport


class FittedGraph:
    """What a preprocessing_fn became. Load one with `FittedGraph.load(folder)`. Threads may share it."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._programs: dict[tuple[str, ...] | None, tuple[list[str], list[str], Program]] = {}

    @classmethod
    def load(cls, folder: Path | str) -> FittedGraph:
        """Read `graph.json` of a TransformGraph's folder; DataError when missing, damaged or unfitted."""
        fitted = cls(Graph.load(Path(folder)))
        for node in fitted.graph.nodes:
            if node.op not in SOURCES:
                op_of(node.op)
            if node.learned and node.learned not in fitted.graph.fitted:
                raise DataError(f"the transform graph was never fitted: {node.op} lacks its values")
        return fitted

    @property
    def digest(self) -> str:
        """sha256 of the graph and all learned values."""
        return self.graph.digest

    @cached_property
    def output_types(self) -> dict[str, str]:
        """Type of each output column, in order: one of `graph.TYPES`."""
        return self.graph.output_types()

    @property
    def features(self) -> list[str]:
        """The outputs that serving needs: those that are not computed from a `label`."""
        return list(self._features)

    @cached_property
    def _features(self) -> tuple[str, ...]:
        return tuple(self.graph.features())

    @property
    def arrow_schema(self) -> pa.Schema:
        """Schema of the tables that `transform` gives when asked for all outputs."""
        import pyarrow as pa

        return pa.schema([(name, arrow_type(kind)) for name, kind in self.output_types.items()])

    def vocabulary(self, output: str) -> list[str]:
        """The terms of the vocabulary that output `output` indexes, in order; DataError if it has none."""
        node = self.graph.node(self.graph.outputs[self.graph.select([output])[0]])
        if node.op != "apply_vocabulary":
            raise DataError(f"output {output!r} is not made by compute_and_apply_vocabulary")
        return list(self.graph.fitted[node.learned]["values"])

    def learned(self, name: str) -> dict[str, Any]:
        """What an analysis found that preprocessing_fn returned as `name`; DataError for an unknown name."""
        if name not in self.graph.learned:
            raise DataError(
                f"preprocessing_fn returned no analysis {name!r}", hint=did_you_mean(name, self.graph.learned)
            )
        return dict(self.graph.fitted[self.graph.learned[name]])

    def transform(self, table: pa.Table, outputs: Iterable[str] | None = None) -> pa.Table:
        """`outputs` (all by default) of raw rows, in row order.

        Only the raw columns that these outputs need must be there: a server leaves out the label.
        """
        import pyarrow as pa

        from tidemill.data.transform.batch import read_frame, run_frame  # servers lack polars

        names = self.graph.select(outputs)
        frame = read_frame(table, self.graph.inputs, self.graph.columns_for(names))
        if not frame.width and names:  # every output is learned, and the same in all rows
            return self._repeated(names, table.num_rows)
        ids = dict.fromkeys(self.graph.outputs[name] for name in names)
        found = run_frame(self.graph, self.prepared, frame, ids)
        arrow = found.to_arrow()
        types = self.output_types
        columns = [arrow.column(self.graph.outputs[name]).cast(arrow_type(types[name])) for name in names]
        return pa.table(dict(zip(names, columns, strict=True)))

    def transform_rows(
        self, rows: Sequence[Mapping[str, Any]], outputs: Iterable[str] | None = None
    ) -> dict[str, list[Any]]:
        """`outputs` (all by default) of a few raw rows, as lists; None for null. Needs no polars.

        A column that a row lacks is null there; DataError when no row has it.
        """
        wanted = None if outputs is None else tuple(outputs)
        names, _, _ = self._program(wanted)
        types, found = self.output_types, self._run(rows, wanted)
        return {name: to_python(values, types[name]) for name, values in zip(names, found, strict=True)}

    def transform_arrays(
        self, rows: Sequence[Mapping[str, Any]], outputs: Iterable[str] | None = None
    ) -> dict[str, Array]:
        """The features (or `outputs`) of a few raw rows as numpy arrays, for a model; shape (rows,).

        Nulls are NaN where the column is a number (float64 then), None in text, NaT in timestamps. Lists of
        one length are a matrix of shape (rows, length), others an object array of arrays. Needs no polars.
        """
        wanted = self._features if outputs is None else tuple(outputs)
        names, _, _ = self._program(wanted)
        types, found = self.output_types, self._run(rows, wanted)
        return {name: to_array(values, types[name]) for name, values in zip(names, found, strict=True)}

    def transform_row(self, row: Mapping[str, Any], outputs: Iterable[str] | None = None) -> dict[str, Array]:
        """The features (or `outputs`) of one raw row: arrays as `transform_arrays` gives them, of one row.

        `row` has the raw columns by name; the label is not needed, None is null, and what else it has is not
        looked at. DataError, with the column's name, for one that is missing and for a value of another type.
        """
        return self.transform_arrays([row], outputs)

    def to_onnx(self, outputs: Iterable[str] | None = None, *, partial: bool = False) -> OnnxExport:
        """The features (or `outputs`) as an ONNX model; needs the extra `onnx`.

        With `partial`, operations that ONNX cannot say are left before the model, whose inputs are their
        results then; without, they are a DataError that names them. See `onnx_export`.
        """
        from tidemill.data.transform.onnx_export import export

        return export(self, self.features if outputs is None else self.graph.select(outputs), partial)

    @cached_property
    def prepared(self) -> dict[str, Mapping[str, Any]]:
        """Parameters of each node with what was learned and lookup structures."""
        return prepare(self.graph)

    def columns_of(self, rows: Sequence[Mapping[str, Any]], names: Iterable[str]) -> dict[str, Values]:
        """Raw columns `names` of rows, typed; DataError for a missing column or a value of another type."""
        columns = {}
        for name in names:
            if rows and not any(name in row for row in rows):
                raise DataError(f"no row has the column {name!r}", hint=did_you_mean(name, rows[0]))
            columns[name] = from_python([row.get(name) for row in rows], self.graph.inputs[name], name)
        return columns

    def _run(self, rows: Sequence[Mapping[str, Any]], outputs: tuple[str, ...] | None) -> list[Values]:
        names, raw, program = self._program(outputs)
        found = program.run(self.columns_of(rows, raw), len(rows))
        return [found[self.graph.outputs[name]] for name in names]

    def _program(self, key: tuple[str, ...] | None) -> tuple[list[str], list[str], Program]:
        if key not in self._programs:
            names = self.graph.select(key)
            ids = dict.fromkeys(self.graph.outputs[name] for name in names)
            made = names, self.graph.columns_for(names), Program(self.graph, self.prepared, ids)
            self._programs[key] = made
        return self._programs[key]

    def _repeated(self, names: list[str], size: int) -> pa.Table:
        import pyarrow as pa

        rows = self.transform_rows([{}] * size, names)
        types = self.output_types
        return pa.table({name: pa.array(rows[name], arrow_type(types[name])) for name in names})


def arrow_type(type: str) -> pa.DataType:
    """The Arrow type in which an output of this type is stored."""
    import pyarrow as pa

    scalars: dict[str, pa.DataType] = {
        "int": pa.int64(),
        "float": pa.float64(),
        "string": pa.string(),
        "bool": pa.bool_(),
        "timestamp": pa.timestamp("us"),
        "empty": pa.null(),
    }
    return pa.list_(scalars[type[5:-1]]) if type.startswith("list[") else scalars[type]


def prepare(graph: Graph) -> dict[str, Mapping[str, Any]]:
    """Parameters by node id; a node whose analysis is not fitted yet is left out."""
    types = {node.id: node.type for node in graph.nodes}
    ready: dict[str, Mapping[str, Any]] = {}
    for node in graph.nodes:
        if node.learned and node.learned not in graph.fitted:
            continue
        learned = graph.fitted[node.learned] if node.learned else {}
        params: Mapping[str, Any] = {**learned, **node.params, "types": tuple(types[i] for i in node.inputs)}
        op = None if node.op in SOURCES else op_of(node.op)
        ready[node.id] = op.prepare(params) if op and op.prepare else params
    return ready
