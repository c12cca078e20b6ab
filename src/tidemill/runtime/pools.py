"""Claims of nodes that need slots of a pool. The store counts slots; who still lives is known here."""

from __future__ import annotations

from dataclasses import replace

from tidemill.metadata.model import Claim, ClaimRequest
from tidemill.metadata.store import MetadataStore
from tidemill.runtime import owner


def claim(store: MetadataStore, request: ClaimRequest) -> Claim:
    """Ask to run a node; slots of processes that died are free. See MetadataStore.claim."""
    answer = store.claim(request)
    dead = tuple(holder for holder in answer.holders if owner.is_alive(holder) is False)
    return store.claim(replace(request, dead=dead)) if dead else answer
