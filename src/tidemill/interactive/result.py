"""What came of a run: its nodes, their states, and their output artifacts as objects of their classes.

Everything is read from the record once the run ended, so a result stays what it was. Files are opened
only when something is looked at.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tidemill.errors import ResolutionError, did_you_mean
from tidemill.interactive import display
from tidemill.ir.model import PipelineIR
from tidemill.metadata import model as record
from tidemill.metadata.store import MetadataStore
from tidemill.runtime.launch import log_uri
from tidemill.runtime.loops import by_place
from tidemill.runtime.resolve import DIGEST
from tidemill.runtime.values import read_value
from tidemill.storage import mirror
from tidemill.types.artifact import Artifact, ValueArtifact
from tidemill.types.standard import STANDARD


class Outputs(Mapping[str, Any]):
    """Output artifacts by name; a list where an output has several. Attributes work too."""

    def __init__(self, node_id: str, found: Mapping[str, Any]) -> None:
        self._node_id = node_id
        self._found = dict(found)

    def __getitem__(self, name: str) -> Any:
        if name not in self._found:
            hint = did_you_mean(name, self._found) or "it has none"
            raise KeyError(f"{self._node_id} has no output {name!r}; {hint}")
        return self._found[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        return f"<outputs of {self._node_id}: {', '.join(self._found) or 'none'}>"

    def _repr_html_(self) -> str:
        rows = [(name, display.Raw(display.artifact_line(a))) for name, a in self._found.items()]
        return display.table(("output", "artifact"), rows)


class NodeResult:
    """A node of a run that ended. `state` is empty when it was not started."""

    def __init__(self, run: Result, node_id: str, node: record.NodeRecord | None, outputs: Outputs) -> None:
        self.run = run
        self.id = node_id
        self.outputs = outputs
        self.state = node.state.value if node else ""
        self.message = node.message if node else ""
        self.attempt = node.attempt if node else 0
        self.execution_id = node.execution_id if node else 0
        took = node.end_time - node.start_time if node and node.end_time else 0
        self.seconds = took / 1000
        uri = log_uri(run.record, node.node_id, node.iteration, node.attempt) if node else ""
        path = mirror.place(uri) if uri else None
        self.log: Path | None = path if path is not None and path.exists() else None

    @property
    def printed(self) -> str:
        """What it wrote to stdout and stderr; empty when it was reused or not started."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log else ""

    def __repr__(self) -> str:
        return f"<{self.id} {self.state or 'not started'}: {', '.join(self.outputs) or 'no outputs'}>"

    def _repr_html_(self) -> str:
        return display.node_html(self) + self.outputs._repr_html_()


class Result:
    """A run that ended: `result["Trainer"].outputs["model"]`; in loops `result["Trainer[2]"]`."""

    def __init__(
        self, run: record.Run, state: record.RunState, seconds: float, ir: PipelineIR, store: MetadataStore
    ) -> None:
        self.record = run
        self.id = run.id
        self.pipeline = run.pipeline
        self.state = state.value
        self.seconds = seconds
        known = by_place(ir, store.get_nodes(run.id))
        started = {n.node_id for n in known.values()}
        made = store.get_outputs([n.execution_id for n in known.values() if n.execution_id])
        classes = {t.name: t.python for t in ir.artifact_types}
        self.nodes: dict[str, NodeResult] = {}
        for place, at in known.items():
            found = made.get(at.execution_id, {})
            declared = ir.node(at.node_id).outputs
            shown = {o.name: found[o.name] for o in declared if o.name in found}
            outputs = {name: _artifacts(artifacts, classes) for name, artifacts in shown.items()}
            self.nodes[place] = NodeResult(self, place, at, Outputs(place, outputs))
        for node in ir.nodes:
            if node.id not in started:
                self.nodes[node.id] = NodeResult(self, node.id, None, Outputs(node.id, {}))

    def __getitem__(self, node_id: str) -> NodeResult:
        if node_id not in self.nodes:
            raise KeyError(f"the run has no node {node_id!r}; {did_you_mean(node_id, self.nodes)}")
        return self.nodes[node_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    def __repr__(self) -> str:
        states = ", ".join(f"{n.id} {n.state or '-'}" for n in self.nodes.values())
        return f"<run {self.id} {self.state}: {states}>"

    def _repr_html_(self) -> str:
        return display.run_html(self)


class _Shown:
    """What artifacts of a result can do besides: show themselves in a notebook."""

    def _repr_html_(self) -> str:
        assert isinstance(self, Artifact)
        return display.artifact_html(self)


def _artifacts(found: list[record.Artifact], classes: Mapping[str, str]) -> Any:
    made = [_artifact(a, classes.get(a.type, "")) for a in found]
    return made[0] if len(made) == 1 else made


def _artifact(found: record.Artifact, python: str) -> Artifact:
    mirror.hold(found.uri)  # the artifact has its path as long as this process lives
    artifact = _shown(_class(found.type, python))(
        found.uri,
        path=mirror.place(found.uri),
        id=found.id,
        name=found.name,
        digest=str(found.custom_properties.get(DIGEST, "")),
        properties=found.properties,
        custom_properties={k: v for k, v in found.custom_properties.items() if k != DIGEST},
    )
    if isinstance(artifact, ValueArtifact):
        try:
            artifact.value = read_value(found.type, artifact.path)
        except ResolutionError:
            artifact.value = None  # pruned since: what is on record can still be looked at
    return artifact


def _class(type_name: str, python: str) -> type[Artifact]:
    """The artifact's class; where it cannot be imported here, the nearest there is."""
    module, _, qualname = python.partition(":")
    try:
        cls: Any = importlib.import_module(module)
        for name in qualname.split("."):
            cls = getattr(cls, name)
    except (ImportError, AttributeError, ValueError):
        cls = STANDARD.get(type_name, Artifact)
    return cls if isinstance(cls, type) and issubclass(cls, Artifact) else Artifact


_FACES: dict[type[Artifact], type[Artifact]] = {}


def _shown(cls: type[Artifact]) -> type[Artifact]:
    """The class with a face for notebooks, under its own name and type."""
    if cls in _FACES:
        return _FACES[cls]
    names = {"TYPE_NAME": cls.TYPE_NAME, "__module__": cls.__module__, "__qualname__": cls.__qualname__,
             "__doc__": cls.__doc__}  # fmt: skip
    _FACES[cls] = type(cls.__name__, (_Shown, cls), names)
    return _FACES[cls]
