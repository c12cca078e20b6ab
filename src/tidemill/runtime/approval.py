"""Approval gates: a node that ends when somebody decided about it, and not before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tidemill.metadata.model import PropertyValue
from tidemill.metadata.store import MetadataStore
from tidemill.runtime.call import NodeCall


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A decision, as the record of the node keeps it."""

    granted: bool
    message: str
    properties: Mapping[str, PropertyValue]


def decided(store: MetadataStore, call: NodeCall) -> bool:
    """Whether somebody decided."""
    return store.get_decision(call.run_id, call.node_id, call.iteration) is not None


def verdict(store: MetadataStore, call: NodeCall) -> Verdict:
    """What was decided, by whom and why."""
    found = store.get_decision(call.run_id, call.node_id, call.iteration)
    assert found is not None, "a node is claimed only once it was decided"
    verb = "approved" if found.granted else "rejected"
    message = f"{verb} by {found.by}" + (f": {found.comment}" if found.comment else "")
    return Verdict(
        granted=found.granted,
        message=message,
        properties={"decided_by": found.by, "comment": found.comment, "decided_at": found.time},
    )
