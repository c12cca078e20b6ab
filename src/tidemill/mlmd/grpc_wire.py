"""What both ends of MLMD's gRPC service must agree on: names, codes and sizes.

The facts are those of `ml_metadata/proto/metadata_store_service.proto`: one service, 52 unary calls, each
from NAMERequest to NAMEResponse. This file knows neither a database nor a socket.
"""

from __future__ import annotations

import grpc

from tidemill.mlmd.service_messages import METHODS

SERVICE = "ml_metadata.MetadataStoreService"
CALLS = tuple(METHODS.split())
"""Names of the calls."""

MOST_BYTES = 64 * 2**20
"""Size of a message that either end takes, unless told otherwise. gRPC's own limit of 4 MiB is less than
the lineage of a busy store needs."""

CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}
"""Number of a status -> gRPC's name for it: they are the same 16."""


def path(call: str) -> str:
    """Where a call is found on a server."""
    return f"/{SERVICE}/{call}"


def target(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"
