"""Short ways to bring a metadata store into a state: runs, nodes that ended, blessed models.

For tests of stores and of what stands on them. Everything goes through the store's protocol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidemill.metadata.model import (
    Artifact,
    ArtifactType,
    Claim,
    ClaimRequest,
    NodeState,
    Properties,
    PropertyType,
    Publication,
    Run,
    RunState,
)
from tidemill.metadata.store import MetadataStore

TYPES = (
    ArtifactType(
        name="Examples",
        properties={
            "span": PropertyType.INT,
            "version": PropertyType.INT,
            "split_names": PropertyType.STRING,
        },
        base_type="Dataset",
    ),
    ArtifactType(name="Model", base_type="Model"),
    ArtifactType(name="ModelBlessing"),
)
"""What the runs of these stories register."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a node ended: its execution, and what it put out."""

    execution_id: int
    outputs: Mapping[str, Sequence[Artifact]]

    def only(self, output: str) -> Artifact:
        """The one artifact of an output."""
        (artifact,) = self.outputs[output]
        return artifact


def start_run(
    store: MetadataStore,
    run_id: str,
    *,
    pipeline: str = "taxi",
    date: str = "",
    types: Sequence[ArtifactType] = TYPES,
    version: str = "v1",
) -> Run:
    """Start a run that `driver` drives."""
    run = Run(
        id=run_id,
        pipeline=pipeline,
        version=version,
        state=RunState.RUNNING,
        root="file:///pipelines",
        parameters={"steps": 100},
        date=date,
        owner="driver",
    )
    store.create_run(run, types)
    return run


def claim_node(
    store: MetadataStore,
    run_id: str,
    node_id: str,
    *,
    attempt: int | None = None,
    component: str = "Trainer",
    iteration: int = 0,
    owner: str = "worker",
    request_id: str = "",
) -> Claim:
    """Ask to run a node."""
    return store.claim(
        ClaimRequest(
            run_id=run_id,
            node_id=node_id,
            component=component,
            owner=owner,
            attempt=attempt,
            iteration=iteration,
            request_id=request_id,
        )
    )


def end_node(
    store: MetadataStore,
    run_id: str,
    node_id: str,
    *,
    state: NodeState = NodeState.COMPLETE,
    inputs: Mapping[str, Sequence[Artifact]] | None = None,
    outputs: Mapping[str, Sequence[Artifact]] | None = None,
    properties: Properties | None = None,
    cache_key: str = "",
    message: str = "",
    iteration: int = 0,
) -> Ended:
    """Claim a node and publish how it ended."""
    claim = claim_node(store, run_id, node_id, iteration=iteration)
    publication = Publication(
        state=state,
        inputs={name: [a.id for a in artifacts] for name, artifacts in (inputs or {}).items()},
        outputs=outputs or {},
        properties=properties or {},
        cache_key=cache_key,
        message=message,
    )
    execution_id = store.publish(claim, publication)
    return Ended(execution_id, store.get_outputs([execution_id]).get(execution_id, {}))


def examples(span: int, uri: str = "file:///examples") -> Artifact:
    """New Examples of a span."""
    return Artifact(type="Examples", uri=uri, properties={"span": span, "version": 1})


def model(uri: str = "file:///model") -> Artifact:
    """A new Model."""
    return Artifact(type="Model", uri=uri)


def train_and_judge(
    store: MetadataStore, run_id: str, *, blessed: int, pipeline: str = "taxi", date: str = ""
) -> Artifact:
    """A run whose `trainer` puts out a model that its `evaluator` judges; the model."""
    start_run(store, run_id, pipeline=pipeline, date=date)
    trained = end_node(store, run_id, "trainer", outputs={"model": [model()]}).only("model")
    verdict = Artifact(type="ModelBlessing", uri="file:///blessing", custom_properties={"blessed": blessed})
    end_node(store, run_id, "evaluator", inputs={"model": [trained]}, outputs={"blessing": [verdict]})
    return trained


def snapshot(store: MetadataStore, run_id: str) -> tuple[Any, ...]:
    """Everything that a refused change could have touched."""
    executions = store.get_executions(run_id)
    events = store.get_events(execution_ids=[e.id for e in executions])
    return (store.statistics(), store.get_nodes(run_id), executions, events)
