"""Foretelling a run: for each node, whether it would be reused, and if not, what changed.

It asks the same questions as `launch`, with the same code, and changes nothing of the record. To know a
node's own environment it may have to resolve its requirements, as the run would.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tidemill.errors import ResolutionError
from tidemill.ir.model import NodeIR, PipelineIR
from tidemill.metadata.model import Artifact, Run
from tidemill.metadata.store import MetadataStore
from tidemill.runtime import cache
from tidemill.runtime.execute import CancelToken
from tidemill.runtime.making import MakingFailed, Place
from tidemill.runtime.resolve import Resolver
from tidemill.storage.uri import local_path


class Verdict(StrEnum):
    """What would become of a node."""

    CACHED = "CACHED"
    RUN = "RUN"
    DEPENDS = "DEPENDS"
    """Decided only when nodes before it have run: equal outputs may still make it CACHED."""
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


def explain(pipeline: PipelineIR, run: Run, store: MetadataStore, workdir: Path) -> list[Forecast]:
    """A forecast for every node of `pipeline`, if `run` (which need not exist) were started now."""
    outputs: dict[str, Mapping[str, list[Artifact]]] = {}
    resolver = Resolver(store, run, workdir, outputs)
    forecasts = []
    for node in pipeline.nodes:
        unknown = [u for u in node.upstream() if u not in outputs]
        if unknown:
            reason = f"depends on what comes out of {', '.join(unknown)}"
            forecasts.append(Forecast(node_id=node.id, verdict=Verdict.DEPENDS, reason=reason, parts={}))
            continue
        try:
            own = _environment(node, run, workdir)
            decision = cache.decide(node, pipeline, resolver.resolve(node), store, environment=own)
        except (ResolutionError, MakingFailed) as error:
            forecasts.append(Forecast(node_id=node.id, verdict=Verdict.FAIL, reason=str(error), parts={}))
            continue
        if decision.execution_id:
            outputs[node.id] = decision.outputs
        verdict = Verdict.CACHED if decision.execution_id else Verdict.RUN
        forecasts.append(
            Forecast(
                node_id=node.id,
                verdict=verdict,
                reason=decision.reason,
                key=decision.key,
                parts=decision.parts,
            )
        )
    return forecasts


def _environment(node: NodeIR, run: Run, workdir: Path) -> str:
    """What identifies the node's own environment; empty when it has none."""
    wanted = node.options.environment
    if wanted is None:
        return ""
    from tidemill.runtime import environment

    place = Place(local_path(run.root), Path(os.devnull), CancelToken(), str(workdir))
    return environment.identify(wanted, place).digest
