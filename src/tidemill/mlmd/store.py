"""MetadataStore: MLMD's Python interface, whole, on tidemill's database.

It holds the lineage query and the schema's downgrade; writing and reading stand in putting.py, getting.py
and getting_types.py. Every method takes `extra_options` and ignores it, as MLMD does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tidemill.metadata.sql.mlmd import WHOLE_SUBGRAPH
from tidemill.mlmd import errors
from tidemill.mlmd.connection import SCHEMA_VERSION, bring_down
from tidemill.mlmd.getting import Getting
from tidemill.mlmd.getting_types import GettingTypes
from tidemill.mlmd.metadata_store_pb2 import LineageGraph
from tidemill.mlmd.metadata_store_service_pb2 import GetLineageSubgraphRequest, GetLineageSubgraphResponse
from tidemill.mlmd.options import ExtraOptions
from tidemill.mlmd.putting import Putting

_PORTION = 10_000
"""Nodes of a lineage that are asked of a server at once: a message has a largest size, a lineage has none."""


class MetadataStore(Putting, Getting, GettingTypes):
    """A metadata store, as `ml_metadata.MetadataStore` is.

    `MetadataStore(config, enable_upgrade_migration=False)`: `config` is a ConnectionConfig with
    fake_database or an empty sqlite config (in memory), sqlite, mysql or postgresql; UnimplementedError
    for what cannot be opened yet. ConnectionFailedError, which is a RuntimeError too, when the database
    cannot be opened. Or it is a MetadataStoreClientConfig, which names a metadata server; every method
    then may raise UnavailableError, and DeadlineExceededError after `client_timeout_sec`. ValueError when
    `config` is something else.

    A database of an older schema version is refused, as by MLMD, unless it is opened read-only or
    `enable_upgrade_migration` is set: then it is brought to version 10, without a backup.
    """

    @property
    def pipeline_asset(self) -> None:
        """None, as in MLMD outside Google."""
        return None

    def get_lineage_subgraph(
        self, query_options: Any, field_mask_paths: Sequence[str] | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> Any:  # fmt: skip
        """The LineageGraph around the starting nodes, up to `max_num_hops` events away.

        Nothing is cut silently: without `max_num_hops` it is the whole graph. `field_mask_paths` names
        the fields of the answer to fill. InvalidArgumentError without starting nodes or with a negative
        number of hops; NotFoundError when no node matches the starting query.
        """
        paths = set(field_mask_paths or (field.name for field in LineageGraph.DESCRIPTOR.fields))
        if self._connection.database is not None:
            response = GetLineageSubgraphResponse()
            request = GetLineageSubgraphRequest(
                lineage_subgraph_query_options=query_options, read_mask={"paths": paths}
            )
            self._connection.call(WHOLE_SUBGRAPH, request, response)
            return response.lineage_subgraph
        skeleton = self._ask(
            "GetLineageSubgraph",
            lineage_subgraph_query_options=query_options,
            read_mask={"paths": sorted(p.replace("_types", "s") for p in paths)},
        ).lineage_subgraph
        graph = LineageGraph()
        for kind in ("artifact", "execution", "context"):
            wanted = {f"{kind}s", f"{kind}_types"} & paths
            if not wanted:
                continue
            ids = [n.id for n in getattr(skeleton, f"{kind}s")]
            nodes = [
                node
                for start in range(0, len(ids), _PORTION)
                for node in getattr(self, f"get_{kind}s_by_id")(ids[start : start + _PORTION])
            ]
            if f"{kind}s" in wanted:
                getattr(graph, f"{kind}s").extend(nodes)
            if f"{kind}_types" in wanted:
                types = getattr(self, f"get_{kind}_types_by_id")({node.type_id for node in nodes})
                getattr(graph, f"{kind}_types").extend(types)
        for field in ("events", "attributions", "associations"):
            if field in paths:
                getattr(graph, field).extend(getattr(skeleton, field))
        return graph


def downgrade_schema(config: Any, downgrade_to_schema_version: int) -> None:
    """Bring a database back to an older schema, for older releases of ml-metadata. No backup is made.

    Rows that have no value in the older schema are dropped; MLMD would leave them, and not read them.
    tidemill's own tables go when nothing was run, and below version 6 the database must have none else.
    InvalidArgumentError when the version is none that the database can be brought back to, or when the
    config names no stored database; FailedPreconditionError when it cannot be done.
    """
    if downgrade_to_schema_version < 0:
        raise errors.InvalidArgumentError("downgrade_to_schema_version not specified")
    if downgrade_to_schema_version > SCHEMA_VERSION:
        raise errors.InvalidArgumentError(
            f"MLMD cannot be downgraded to schema_version: {downgrade_to_schema_version}. It must be "
            f"between 0 and {SCHEMA_VERSION}, the version of this library"
        )
    bring_down(config, downgrade_to_schema_version)
