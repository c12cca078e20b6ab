"""Outputs of nodes as Airflow's assets, and assets as what a run was started by.

An asset says that an output is there; what it is, is in the record. An event of one carries where to find it:
ids, URI, type, digest, date. It holds no content and no secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from airflow.sdk import Asset, BaseOperator

from tidemill.ir.model import PipelineIR
from tidemill.metadata.model import Artifact, NodeState
from tidemill.metadata.store import MetadataStore
from tidemill.runners.airflow import names, outputs
from tidemill.runners.base.arrivals import Arrived
from tidemill.runners.base.task import EngineRun
from tidemill.runtime.launch import Outcome

_TOLD = (NodeState.COMPLETE, NodeState.CACHED)
"""CACHED as well: the same output is there for this run's date, and whoever waits for it was perhaps never
told, since a run on another engine made it. What it starts for nothing ends with cache hits."""


def outlets(ir: PipelineIR, wanted: str | Sequence[str]) -> dict[str, list[Asset]]:
    """Node -> its assets; see `outputs.chosen`."""
    return {
        node_id: [_asset(names.asset_uri(ir.name, node_id, output)) for output in kept]
        for node_id, kept in outputs.chosen(ir, wanted).items()
    }


def tell(
    operator: BaseOperator, context: Mapping[str, Any], store: MetadataStore, pipeline: str,
    run: EngineRun, outcome: Outcome | None,
) -> None:  # fmt: skip
    """Say which of the task's assets are there now; of those that are not, no event is made."""
    if not operator.outlets:
        return
    made: Mapping[str, Sequence[Artifact]] = {}
    if outcome is not None and outcome.state in _TOLD:
        made = store.get_outputs([outcome.execution_id]).get(outcome.execution_id, {})
    kept = []
    for asset in operator.outlets:
        artifacts = made.get(asset.uri.rpartition("/")[2], ())
        if artifacts and outcome is not None:
            context["outlet_events"][asset].extra = _facts(pipeline, run, outcome, asset, artifacts)
            kept.append(asset)
    operator.outlets = kept  # Airflow makes an event of each of them once the task has succeeded


def arrived(context: Mapping[str, Any]) -> tuple[Arrived, ...]:
    """The events that started this run of Airflow, oldest first; none for a run of the clock or by hand."""
    events = context.get("triggering_asset_events") or {}
    found = [
        Arrived(name=event.asset.name, time=event.timestamp.isoformat(), facts=_of_watcher(event.extra))
        for asset in events
        for event in events[asset]
    ]
    return tuple(sorted(found, key=lambda a: (a.time, a.name)))


def _asset(uri: str) -> Asset:
    return Asset(name=uri, uri=uri, group="tidemill")


def _facts(
    pipeline: str, run: EngineRun, outcome: Outcome, asset: Asset, artifacts: Sequence[Artifact]
) -> dict[str, Any]:
    """What an event says of the output: of several artifacts of the first, and how many there are."""
    first = artifacts[0]
    known: Iterable[tuple[str, Any]] = (
        ("pipeline", pipeline),
        ("node", outcome.node_id),
        ("output", asset.uri.rpartition("/")[2]),
        ("run", run.record_id),
        ("date", run.date),
        ("state", outcome.state.value),
        ("artifact", first.id),
        ("artifact_uri", first.uri),
        ("type", first.type),
        ("digest", first.custom_properties.get("digest")),
        ("span", first.properties.get("span")),
        ("iteration", outcome.iteration),
        ("artifacts", len(artifacts) if len(artifacts) > 1 else 0),
    )
    return {key: value for key, value in known if value not in (None, "", 0)} | {"artifact": first.id}


def _of_watcher(extra: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The facts of an event. Airflow wraps those that a trigger gave."""
    payload = (extra or {}).get("payload")
    return payload if isinstance(payload, Mapping) else extra or {}
