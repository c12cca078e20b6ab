"""MLMD's data model and calls on tidemill's database: the SQL behind the package tidemill.mlmd.

It works on MLMD's protobuf messages and must not know where they come from: it neither imports the room
that defines them nor creates one that it was not given the means for.
"""

from __future__ import annotations

from tidemill.metadata.sql.mlmd.refusal import Refusal, Status
from tidemill.metadata.sql.mlmd.service import WHOLE_SUBGRAPH, Rpc, Service

__all__ = ["WHOLE_SUBGRAPH", "Refusal", "Rpc", "Service", "Status"]
