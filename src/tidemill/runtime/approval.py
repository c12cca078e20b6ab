"""Approval gates: a node that ends when somebody decided about it, and not before."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from tidemill.ir.model import NodeIR
from tidemill.metadata.model import PropertyValue
from tidemill.metadata.store import MetadataStore
from tidemill.runtime.call import NodeCall
from tidemill.runtime.failure import Failure, FailureKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A decision, as the record of the node keeps it."""

    granted: bool
    message: str
    properties: Mapping[str, PropertyValue]


def due(store: MetadataStore, node: NodeIR, call: NodeCall) -> bool:
    """Whether the wait is over: somebody decided, or took longer than the node's timeout."""
    if store.get_decision(call.run_id, call.node_id, call.iteration) is not None:
        return True
    waits = node.options.timeout
    return bool(waits and call.ready and time.time() - call.ready / 1000 > waits)


def verdict(store: MetadataStore, node: NodeIR, call: NodeCall) -> Verdict | Failure:
    """What was decided, by whom and why; a Failure when nobody did in time."""
    found = store.get_decision(call.run_id, call.node_id, call.iteration)
    if found is None:
        message = f"nobody decided within the node's timeout of {node.options.timeout:g} s"
        return Failure(kind=FailureKind.TIMEOUT, message=message)
    verb = "approved" if found.granted else "rejected"
    message = f"{verb} by {found.by}" + (f": {found.comment}" if found.comment else "")
    return Verdict(
        granted=found.granted,
        message=message,
        properties={"decided_by": found.by, "comment": found.comment, "decided_at": found.time},
    )
