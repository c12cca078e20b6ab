"""What both ends of the metadata service over gRPC agree on. Bodies are those of HTTP, JSON in UTF-8.

Errors of the store travel in the body, as over HTTP; statuses are left to the transport itself.
"""

from __future__ import annotations

SERVICE = "tidemill.metadata.v1.MetadataStore"

MOST_BYTES = 64 * 2**20
"""Size of an answer that a client takes."""


def path(method: str) -> str:
    """Where a call is found on a server."""
    return f"/{SERVICE}/{method}"
