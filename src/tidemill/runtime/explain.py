"""Foretelling a run: for each node, whether it would be reused, and if not, what changed.

It asks the same questions as `launch`, with the same code, and changes nothing of the record. To know a
node's own environment it may have to resolve its requirements, as the run would.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tidemill.errors import ResolutionError
from tidemill.ir.model import NodeIR, PipelineIR
from tidemill.metadata.model import Artifact, NodeState, Run
from tidemill.metadata.store import MetadataStore
from tidemill.runtime import cache
from tidemill.runtime.decide import Skip
from tidemill.runtime.execute import CancelToken
from tidemill.runtime.items import loop_items
from tidemill.runtime.making import MakingFailed, Place
from tidemill.runtime.resolve import Resolver
from tidemill.runtime.select import Selection
from tidemill.storage import mirror


class Verdict(StrEnum):
    """What would become of a node."""

    CACHED = "CACHED"
    RUN = "RUN"
    DEPENDS = "DEPENDS"
    """Decided only when nodes before it have run: equal outputs may still make it CACHED."""
    BASE = "BASE"
    """Its result is taken from the base run."""
    SKIP = "SKIP"
    """Its condition does not hold."""
    FAIL = "FAIL"
    """It cannot be resolved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What would become of one node, and why."""

    node_id: str
    verdict: Verdict
    reason: str
    key: str = ""
    parts: Mapping[str, str]


def explain(
    pipeline: PipelineIR, run: Run, store: MetadataStore, workdir: Path, selection: Selection | None = None
) -> list[Forecast]:
    """A forecast for every node of `pipeline`, if `run` (which need not exist) were started now.

    With a selection, for its nodes only; those of the base come from the run's base run.
    """
    foretold = _Foretold()
    resolver = Resolver(store, run, workdir, foretold)
    if selection is None:
        return [_forecast(node, pipeline, store, resolver, foretold) for node in pipeline.nodes]
    foretold.known.update(_outputs_of(store, run.base_run, selection.base))
    reason = f"taken from run {run.base_run}"
    return [
        Forecast(node_id=node.id, verdict=Verdict.BASE, reason=reason, parts={})
        if node.id in selection.base
        else _forecast(node, pipeline, store, resolver, foretold)
        for node in pipeline.nodes
        if node.id in (*selection.run, *selection.base)
    ]


def _outputs_of(
    store: MetadataStore, run_id: str, nodes: Sequence[str]
) -> dict[str, Mapping[str, list[Artifact]]]:
    """What nodes of a run put out, of those that did and are in no loop."""
    keys = [(node_id, 0) for node_id in nodes]
    records = [r for r in store.get_nodes(run_id, keys) if r.state in (NodeState.COMPLETE, NodeState.CACHED)]
    outputs = store.get_outputs([r.execution_id for r in records])
    return {r.node_id: outputs.get(r.execution_id, {}) for r in records}


def _forecast(
    node: NodeIR, pipeline: PipelineIR, store: MetadataStore, resolver: Resolver, foretold: _Foretold
) -> Forecast:
    def depends(reason: str) -> Forecast:
        return Forecast(node_id=node.id, verdict=Verdict.DEPENDS, reason=reason, parts={})

    if node.loops:
        return depends(f"runs for each item of {node.loops[-1]}")
    if node.on_exit or node.kind == "approval":
        return depends("runs when all others have ended" if node.on_exit else "waits for somebody's approval")
    if unknown := [u for u in node.upstream() if u not in foretold.known]:
        return depends(f"depends on what comes out of {', '.join(unknown)}")
    try:
        resolver.check_condition(node)
        resolved = resolver.resolve(node)
        if node.kind == "loop":
            return depends(f"{len(loop_items(node, resolved))} iterations")
        own = _environment(node, resolver.run, resolver.workdir)
        decision = cache.decide(node, pipeline, resolved, store, environment=own)
    except Skip as skip:
        return Forecast(node_id=node.id, verdict=Verdict.SKIP, reason=str(skip), parts={})
    except (ResolutionError, MakingFailed) as error:
        return Forecast(node_id=node.id, verdict=Verdict.FAIL, reason=str(error), parts={})
    if decision.execution_id:
        foretold.known[node.id] = decision.outputs
    return Forecast(
        node_id=node.id,
        verdict=Verdict.CACHED if decision.execution_id else Verdict.RUN,
        reason=decision.reason,
        key=decision.key,
        parts=decision.parts,
    )


def _environment(node: NodeIR, run: Run, workdir: Path) -> str:
    """What identifies the node's own environment; empty when it has none."""
    wanted = node.options.environment
    if wanted is None:
        return ""
    from tidemill.runtime import environment

    place = Place(mirror.place(run.root), Path(os.devnull), CancelToken(), str(workdir))
    return environment.identify(wanted, place).digest


class _Foretold:
    """`Before`, for nodes that did not run yet: outputs of those that would be reused."""

    def __init__(self) -> None:
        self.known: dict[str, Mapping[str, list[Artifact]]] = {}

    def exists(self, node_id: str) -> bool:
        """See Before."""
        return node_id in self.known

    def outputs(self, node_id: str) -> Mapping[str, list[Artifact]]:
        """See Before."""
        return self.known.get(node_id, {})

    def collected(self, node_id: str, output: str) -> list[Artifact]:
        """See Before; nodes in loops are never foretold."""
        raise ResolutionError(f"the iterations of {node_id} did not put out {output!r} yet")

    def item(self, loop_id: str) -> object:
        """See Before; nodes in loops are never foretold."""
        raise ResolutionError(f"the items of {loop_id} are not known yet")
