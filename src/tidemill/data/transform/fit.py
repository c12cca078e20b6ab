"""Fitting: a traced graph and rows become a fitted graph.

The data engine reads the rows, one row group at a time, and as few times as possible: once, unless an
analysis needs the result of another. All analyses of one such phase are one analyzer of the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from tidemill.data.dataset import Dataset
from tidemill.data.engine import Analyzer, Backend, analyze
from tidemill.data.engine.kept import KeptStates
from tidemill.data.transform.analyzers import ANALYZERS, State
from tidemill.data.transform.batch import read_frame, run_frame, type_of
from tidemill.data.transform.fitted import prepare
from tidemill.data.transform.graph import Analysis, Graph
from tidemill.errors import DataError
from tidemill.types.json import digest

STATES_VERSION = 1
"""Changes when an analyzer's state for the same rows does: kept states of before are not used then."""


Reader = Callable[[Sequence[str]], Iterable[pa.Table]]
"""Gives the rows to analyze, these columns only, from the start each time it is called."""


def fit(
    graph: Graph,
    data: Dataset | Reader,
    *,
    backend: Backend | str = "inline",
    kept: KeptStates | None = None,
) -> Graph:
    """`graph` with every analysis fitted to the rows of `data`.

    data: a Dataset; or, for rows in memory, what gives tables of them, which are taken in here.
    backend: where it is done; the result has the same bytes on each. kept: see `engine.analyze`.
    DataError when there are no rows but something to analyze, or a column has another type than traced.
    """

    def run(phase: Phase) -> list[dict[str, Any]]:
        if not isinstance(data, Dataset):
            return _over_tables(phase, data)
        if not data.num_rows:
            raise _no_rows(phase)
        return analyze(phase, data, backend=backend, kept=kept)

    for analyses in phases(graph):
        graph = fit_phase(graph, analyses, run)
    return graph


def _over_tables(phase: Phase, read: Reader) -> list[dict[str, Any]]:
    state, rows = phase.empty(), 0
    for table in read(phase.columns):
        rows += table.num_rows
        state = phase.add(state, table)
    if not rows:
        raise _no_rows(phase)
    return phase.finish(state)


def fit_phase(
    graph: Graph, analyses: Sequence[Analysis], run: Callable[[Phase], list[dict[str, Any]]]
) -> Graph:
    """`graph` with these analyses fitted to what `run` finds for their phase."""
    found = run(Phase(graph, tuple(analyses)))
    learned = {analysis.id: values for analysis, values in zip(analyses, found, strict=True)}
    return replace(graph, fitted={**graph.fitted, **learned})


@dataclass(frozen=True)
class Phase(Analyzer[list[State], list[dict[str, Any]]]):
    """The analyses that can be fitted in one reading of the rows, as one analyzer of the data engine."""

    graph: Graph
    analyses: tuple[Analysis, ...]
    columns: Sequence[str] = field(init=False)

    def __post_init__(self) -> None:
        """Looks up what has to be read."""
        nodes = self.graph.needed(self.inputs)
        raw = dict.fromkeys(node.params["name"] for node in nodes if node.op == "input")
        object.__setattr__(self, "columns", [name for name in self.graph.inputs if name in raw])

    @property
    def inputs(self) -> list[str]:
        """Ids of the nodes that are analyzed."""
        return list(dict.fromkeys(id for analysis in self.analyses for id in analysis.inputs))

    @cached_property
    def version(self) -> str:  # type: ignore[override]  # computed, and only when states are kept
        """All that the states depend on: what is analyzed how, and what was learned before."""
        nodes = self.graph.needed(self.inputs)
        names = {node.id: f"{place}" for place, node in enumerate(nodes)}
        rows = [
            [n.op, [names[i] for i in n.inputs], dict(n.params), n.type, dict(self._fitted(n.learned))]
            for n in nodes
        ]
        asked = [[a.analyzer, [names[i] for i in a.inputs], dict(a.params)] for a in self.analyses]
        types = [self.graph.inputs[name] for name in self.columns]
        return digest({"states": STATES_VERSION, "nodes": rows, "analyses": asked, "types": types})

    def _fitted(self, learned: str) -> Mapping[str, Any]:
        return self.graph.fitted.get(learned, {})

    def empty(self) -> list[State]:
        """See `Analyzer`."""
        return [ANALYZERS[analysis.analyzer](analysis.params) for analysis in self.analyses]

    def add(self, state: list[State], table: pa.Table) -> list[State]:
        """See `Analyzer`."""
        frame = run_frame(self.graph, self._prepared, self._read(table), self.inputs)
        for analysis, one in zip(self.analyses, state, strict=True):
            with _naming(self.graph, analysis):
                one.add([frame[id] for id in analysis.inputs])
        return state

    def merge(self, state: list[State], later: list[State]) -> list[State]:
        """See `Analyzer`."""
        for analysis, one, other in zip(self.analyses, state, later, strict=True):
            with _naming(self.graph, analysis):
                one.merge(other)
        return state

    def finish(self, state: list[State]) -> list[dict[str, Any]]:
        """What was learned, in the order of the analyses."""
        found = []
        for analysis, one in zip(self.analyses, state, strict=True):
            with _naming(self.graph, analysis):
                found.append(one.finish())
        return found

    def to_bytes(self, state: list[State]) -> bytes:
        """See `Analyzer`."""
        return super().to_bytes([one.plain() for one in state])

    def from_bytes(self, data: bytes) -> list[State]:
        """See `Analyzer`."""
        plain: list[Any] = super().from_bytes(data)
        state = self.empty()
        for one, value in zip(state, plain, strict=True):
            one.restore(value)
        return state

    @cached_property
    def _prepared(self) -> dict[str, Mapping[str, Any]]:
        return prepare(self.graph)

    def _read(self, table: pa.Table) -> pl.DataFrame:
        return read_frame(table, self.graph.inputs, self.columns)

    def __getstate__(self) -> dict[str, Any]:
        """Without what can be looked up again: polars objects do not travel."""
        return {name: value for name, value in self.__dict__.items() if name != "_prepared"}


class _naming:
    """Says in a DataError which output it is about."""

    def __init__(self, graph: Graph, analysis: Analysis) -> None:
        self.graph, self.analysis = graph, analysis

    def __enter__(self) -> None:
        self.quiet = np.errstate(all="ignore")  # what left the range of floats is looked at in the end
        self.quiet.__enter__()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.quiet.__exit__(None, None, None)
        if isinstance(error, DataError):
            names = [n for n, id in self.graph.outputs.items() if self._uses(id)]
            names += [n for n, id in self.graph.learned.items() if id == self.analysis.id]
            of = f", for output {names[0]!r}" if names else ""
            what = f"{self.analysis.analyzer}{of}: {error.message}"
            raise DataError(what, hint=error.hint) from None

    def _uses(self, output: str) -> bool:
        return any(node.learned == self.analysis.id for node in self.graph.needed([output]))


def _no_rows(phase: Phase) -> DataError:
    return DataError(
        f"there are no rows to analyze, and {phase.analyses[0].analyzer} needs some",
        hint="check the splits in analyze_splits and the examples' row counts",
    )


def input_types(schemas: Iterable[pa.Schema]) -> dict[str, str]:
    """Type of each column over all files: what has no value in one file takes its type from another.

    Int and float meet at float. A column that a graph cannot read, or whose types contradict, is `other`.
    """
    found: dict[str, str] = {}
    for schema in schemas:
        for arrow in schema:
            kinds = {found.get(arrow.name, "empty"), type_of(arrow.type)}
            kinds = kinds - {"empty"} or kinds
            found[arrow.name] = kinds.pop() if len(kinds) == 1 else "other"
            for pair in (("int", "float"), ("list[int]", "list[float]")):
                if kinds == set(pair):
                    found[arrow.name] = pair[1]
    return found


def phases(graph: Graph) -> list[list[Analysis]]:
    """The analyses by the reading of the data in which they can be fitted."""
    analyses = {analysis.id: analysis for analysis in graph.analyses}
    depth: dict[str, int] = {}

    def ready(id: str) -> int:
        return max((depth[source] for source in analyses[id].inputs), default=0)

    for node in graph.nodes:  # what an analysis looks at comes before the nodes that use its result
        after = ready(node.learned) + 1 if node.learned else 0
        depth[node.id] = max([after, *(depth[id] for id in node.inputs)])
    found: list[list[Analysis]] = [[] for _ in range(max(map(ready, analyses), default=-1) + 1)]
    for analysis in graph.analyses:
        found[ready(analysis.id)].append(analysis)
    return found
