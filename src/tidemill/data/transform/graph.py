"""The transform graph as plain data: what is computed from what, and what was learned from the data.

It holds no code and knows no engine: `ops` says what an operation means, the backends run it. The
file `graph.json` is all that a server needs to repeat what training saw.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidemill.data.transform.graph_v1 import from_version_1
from tidemill.errors import DataError, did_you_mean
from tidemill.types.json import canonical, digest

FORMAT = "tidemill.transform"
VERSION = 2
FILE = "graph.json"

SCALARS = ("int", "float", "string", "bool", "timestamp", "empty")
"""Types of columns. `int` is 64 bit signed, `float` is IEEE 754 double, `timestamp` is microseconds
since 1970-01-01 UTC; `empty` is a column in which no value was ever seen."""
LISTS = ("list[int]", "list[float]", "list[string]")
"""Types of columns with any number of values in a row. A null inside a list is left out when it is read."""
TYPES = (*SCALARS, *LISTS)


@dataclass(frozen=True, slots=True)
class Node:
    """One operation on rows. `inputs` are ids of earlier nodes; `type` is the type of its result."""

    id: str
    op: str
    inputs: tuple[str, ...]
    params: Mapping[str, Any]
    type: str
    learned: str = ""
    """Id of the analysis whose result the operation uses; empty for none."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, inverse of `from_json`."""
        value = {
            "id": self.id,
            "op": self.op,
            "inputs": list(self.inputs),
            "params": dict(self.params),
            "type": self.type,
        }
        return {**value, "learned": self.learned} if self.learned else value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Node:
        """Inverse of `to_json`."""
        learned = value.get("learned", "")
        return cls(
            value["id"], value["op"], tuple(value["inputs"]), value["params"], value["type"], str(learned)
        )


@dataclass(frozen=True, slots=True)
class Analysis:
    """What is learned from all rows of `inputs` (ids of nodes) before the nodes that use it can run."""

    id: str
    analyzer: str
    inputs: tuple[str, ...]
    params: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, inverse of `from_json`."""
        return {
            "id": self.id,
            "analyzer": self.analyzer,
            "inputs": list(self.inputs),
            "params": dict(self.params),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Analysis:
        """Inverse of `to_json`."""
        return cls(value["id"], value["analyzer"], tuple(value["inputs"]), value["params"])


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in an order in which each comes after its inputs.

    `inputs` gives the type of each raw column that is used; `outputs` names the result columns, in
    order; `fitted` has, per analysis, what was learned from the data. A graph is complete when every
    analysis is fitted; from then on the inputs of analyses are not needed any more.
    """

    inputs: Mapping[str, str]
    nodes: tuple[Node, ...]
    outputs: Mapping[str, str]
    analyses: tuple[Analysis, ...] = ()
    fitted: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    """Raw columns that only training has: see `features`."""
    learned: Mapping[str, str] = field(default_factory=dict)
    """Names under which a preprocessing_fn returned results of analyses themselves -> their ids."""
    source: str = ""
    """Reference of the function that was traced, for people; not part of the meaning."""
    written: Mapping[str, Any] | None = None
    """The JSON that the graph was read from, where that was of an older version: it keeps its digest."""

    def node(self, id: str) -> Node:
        """The node with this id; KeyError when there is none."""
        return {node.id: node for node in self.nodes}[id]

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON, without `source`."""
        return digest({**self.to_json(), "source": ""})

    def needed(self, ids: Iterable[str]) -> tuple[Node, ...]:
        """The nodes that `ids` are computed from, themselves included, in order; not what was learned."""
        wanted = set(ids)
        for node in reversed(self.nodes):
            if node.id in wanted:
                wanted.update(node.inputs)
        return tuple(node for node in self.nodes if node.id in wanted)

    def columns_for(self, outputs: Iterable[str] | None = None) -> list[str]:
        """Raw columns that these outputs (all by default) are computed from, in input order."""
        ids = [self.outputs[name] for name in self.select(outputs)]
        read = {node.params["name"] for node in self.needed(ids) if node.op == "input"}
        return [name for name in self.inputs if name in read]

    def features(self) -> list[str]:
        """The outputs that are not computed from a label: what serving needs, and all it needs."""
        hidden: set[str] = set()
        for node in self.nodes:
            is_label = node.op == "input" and node.params["name"] in self.labels
            if is_label or not hidden.isdisjoint(node.inputs):
                hidden.add(node.id)
        return [name for name, id in self.outputs.items() if id not in hidden]

    def select(self, outputs: Iterable[str] | None) -> list[str]:
        """`outputs` checked, or every output; DataError with a suggestion for an unknown name."""
        names = list(self.outputs) if outputs is None else list(outputs)
        for name in names:
            if name not in self.outputs:
                raise DataError(
                    f"the transform graph has no output {name!r}", hint=did_you_mean(name, self.outputs)
                )
        return names

    def output_types(self) -> dict[str, str]:
        """Type of each output column, in order."""
        types = {node.id: node.type for node in self.nodes}
        return {name: types[id] for name, id in self.outputs.items()}

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, inverse of `from_json`."""
        if self.written is not None:
            return dict(self.written)
        return {
            "format": FORMAT,
            "version": VERSION,
            "source": self.source,
            "inputs": [[name, type] for name, type in self.inputs.items()],
            "labels": list(self.labels),
            "nodes": [node.to_json() for node in self.nodes],
            "outputs": [[name, id] for name, id in self.outputs.items()],
            "analyses": [analysis.to_json() for analysis in self.analyses],
            "learned": [[name, id] for name, id in self.learned.items()],
            "fitted": {id: dict(values) for id, values in self.fitted.items()},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Graph:
        """Inverse of `to_json`; DataError for another format, a newer version or a broken graph."""
        if value.get("format") != FORMAT:
            raise DataError(f"not a transform graph: its format is {value.get('format')!r}")
        version = value.get("version")
        if version not in (1, VERSION):
            raise DataError(
                f"the transform graph has version {version!r}; this tidemill reads 1 to {VERSION}",
                hint="install the tidemill that wrote it, or newer",
            )
        try:
            now = from_version_1(value) if version == 1 else value
            graph = cls(
                inputs=dict(now["inputs"]),
                nodes=tuple(Node.from_json(node) for node in now["nodes"]),
                outputs=dict(now["outputs"]),
                analyses=tuple(Analysis.from_json(analysis) for analysis in now["analyses"]),
                fitted=now["fitted"],
                labels=tuple(now["labels"]),
                learned=dict(now["learned"]),
                source=now["source"],
                written=value if version == 1 else None,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"the transform graph is damaged: {error!r}") from None
        graph._check_order()
        return graph

    def _check_order(self) -> None:
        seen: set[str] = set()
        analyses = {analysis.id for analysis in self.analyses}
        for node in self.nodes:
            missing = [id for id in node.inputs if id not in seen]
            if node.learned and node.learned not in analyses:
                missing.append(node.learned)
            if missing or node.id in seen or node.type not in TYPES:
                raise DataError(f"the transform graph is damaged at node {node.id!r} ({node.op})")
            seen.add(node.id)
        for name, id in self.outputs.items():
            if id not in seen:
                raise DataError(f"the transform graph is damaged: output {name!r} has no node")
        for analysis in self.analyses:
            if not seen.issuperset(analysis.inputs):
                raise DataError(f"the transform graph is damaged: {analysis.analyzer} has no column")

    def save(self, folder: Path) -> Path:
        """Write `graph.json` in `folder`: canonical JSON, so that equal graphs are equal files."""
        path = folder / FILE
        path.write_bytes(canonical(self.to_json()) + b"\n")
        return path

    @classmethod
    def load(cls, folder: Path) -> Graph:
        """Read `graph.json` of `folder` (or that very file); DataError when missing or damaged."""
        path = folder if folder.is_file() else folder / FILE
        try:
            value = json.loads(path.read_bytes())
        except FileNotFoundError:
            raise DataError(f"no transform graph: {path} does not exist") from None
        except ValueError as error:
            raise DataError(f"the transform graph is not JSON: {error}", where=str(path)) from None
        if not isinstance(value, dict):
            raise DataError("the transform graph is damaged: it is not a JSON object", where=str(path))
        return cls.from_json(value)
