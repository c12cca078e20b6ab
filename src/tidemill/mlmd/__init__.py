"""MLMD's Python interface on tidemill's store: a project changes its import and goes on.

    from tidemill.mlmd import MetadataStore, ListOptions, errors, metadata_store_pb2

Same methods, messages and errors as `ml_metadata`, and the same databases. It needs the `mlmd` extra
(protobuf). Nothing in tidemill imports it: it is a door for others, and what lies behind it is the SQL of
tidemill.metadata.sql.mlmd.
"""

from __future__ import annotations

from tidemill.mlmd import (
    errors,
    metadata_store_pb2,
    metadata_store_service_pb2,
    mlmd_types,
)
from tidemill.mlmd.options import ExtraOptions, ListOptions, OrderByField
from tidemill.mlmd.store import MetadataStore, downgrade_schema

__all__ = [
    "ExtraOptions",
    "ListOptions",
    "MetadataStore",
    "OrderByField",
    "downgrade_schema",
    "errors",
    "metadata_store_pb2",
    "metadata_store_service_pb2",
    "mlmd_types",
]
