"""The orders of a launch: what an executor is told, from what was resolved, and what its answer becomes."""

from __future__ import annotations

from typing import Any

from tidemill.ir import model as ir
from tidemill.metadata.model import Artifact, ArtifactState
from tidemill.runtime import cache
from tidemill.runtime.call import NodeCall
from tidemill.runtime.order import Order, OrderedArtifact, OrderedInput, OrderedOutput
from tidemill.runtime.resolve import DIGEST, Resolved, spelled
from tidemill.storage import mirror
from tidemill.storage.uri import join


def order_of(
    node: ir.NodeIR, pipeline: ir.PipelineIR, resolved: Resolved, folder: str, call: NodeCall, **rules: Any
) -> Order:
    """The order to execute a node; its outputs are to be written below `folder`."""
    return Order(
        executor=node.executor,
        inputs={
            i.name: OrderedInput(
                artifacts=tuple(_ordered(a, pipeline) for a in resolved.inputs[i.name]), many=i.many
            )
            for i in node.inputs
        },
        outputs={
            o.name: OrderedOutput(
                artifact=OrderedArtifact(
                    type=o.type,
                    python=_python(o.type, pipeline),
                    uri=join(folder, o.name),
                    path=str(mirror.place(join(folder, o.name))),
                ),
                returned=o.returned,
            )
            for o in node.outputs
        },
        parameters={name: spelled(value) for name, value in resolved.parameters.items()},
        code_root=call.code_root,
        workdir=call.workdir,
        **rules,
    )


def choosing_order(
    pipeline: ir.PipelineIR, function: str, candidates: list[Artifact], folder: str, call: NodeCall
) -> Order:
    """The order to ask a user's function which of the artifacts to take; its answer lies in `folder`."""
    planned = OrderedArtifact(
        type="JsonValue",
        python="tidemill.types.standard:JsonValue",
        uri=folder,
        path=str(mirror.place(folder)),
    )
    given = tuple(_ordered(a, pipeline) for a in candidates)
    return Order(
        executor="tidemill.runtime.choosing:choose",
        inputs={"candidates": OrderedInput(artifacts=given, many=True)},
        outputs={"result": OrderedOutput(artifact=planned, returned=True)},
        parameters={"by": {"$function": function}},
        code_root=call.code_root,
        workdir=call.workdir,
    )


def published(ordered: OrderedArtifact) -> Artifact:
    """The artifact that an executor made, to be published."""
    return Artifact(
        type=ordered.type,
        uri=ordered.uri,
        state=ArtifactState.LIVE,
        properties=ordered.properties,
        custom_properties={**ordered.custom_properties, DIGEST: ordered.digest},
    )


def _ordered(artifact: Artifact, pipeline: ir.PipelineIR) -> OrderedArtifact:
    """An input, its files fetched to this machine if they are elsewhere."""
    digest = cache.content(artifact)
    return OrderedArtifact(
        type=artifact.type,
        python=_python(artifact.type, pipeline),
        uri=artifact.uri,
        path=str(mirror.fetched(artifact.uri, str(artifact.custom_properties.get(DIGEST, "")))),
        id=artifact.id,
        name=artifact.name,
        digest=digest,
        properties=artifact.properties,
        custom_properties=artifact.custom_properties,
    )


def _python(type_name: str, pipeline: ir.PipelineIR) -> str:
    return next(t.python for t in pipeline.artifact_types if t.name == type_name)
