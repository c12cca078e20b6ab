"""The methods of MetadataStore that write. Each is one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tidemill.mlmd.caller import Caller
from tidemill.mlmd.metadata_store_service_pb2 import PutExecutionRequest, PutLineageSubgraphRequest
from tidemill.mlmd.options import ExtraOptions


class Putting(Caller):
    """What MetadataStore can store."""

    def put_artifact_type(
        self, artifact_type: Any, can_add_fields: bool = False, can_omit_fields: bool = False,
        extra_options: ExtraOptions | None = None,
    ) -> int:  # fmt: skip
        """Store a type, or evolve the stored one of that name and version; its id.

        `can_add_fields` allows properties that are not stored yet, `can_omit_fields` a type that does not
        repeat all stored ones. Properties are never removed or retyped. AlreadyExistsError otherwise;
        InvalidArgumentError without a name or with a property of type UNKNOWN.
        """
        return self._put_type("Artifact", artifact_type, can_add_fields, can_omit_fields)

    def put_execution_type(
        self, execution_type: Any, can_add_fields: bool = False, can_omit_fields: bool = False,
        extra_options: ExtraOptions | None = None,
    ) -> int:  # fmt: skip
        """Like put_artifact_type, for executions."""
        return self._put_type("Execution", execution_type, can_add_fields, can_omit_fields)

    def put_context_type(
        self, context_type: Any, can_add_fields: bool = False, can_omit_fields: bool = False,
        extra_options: ExtraOptions | None = None,
    ) -> int:  # fmt: skip
        """Like put_artifact_type, for contexts."""
        return self._put_type("Context", context_type, can_add_fields, can_omit_fields)

    def put_artifacts(
        self, artifacts: Sequence[Any], field_mask_paths: Sequence[str] | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> list[int]:  # fmt: skip
        """Store artifacts without an id, update those with one; their ids in the order given.

        An update replaces uri, state, external id and all properties; with `field_mask_paths` (`uri`,
        `properties.NAME`, `custom_properties`, ...) only what they name. Type and name stay.
        AlreadyExistsError when a name is taken within its type, or an external id;
        InvalidArgumentError for an unknown id or a property that the type does not declare so;
        NotFoundError for an unknown type.
        """
        return self._put_nodes("Artifacts", "artifact", artifacts, field_mask_paths)

    def put_executions(
        self, executions: Sequence[Any], field_mask_paths: Sequence[str] | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> list[int]:  # fmt: skip
        """Like put_artifacts, for executions."""
        return self._put_nodes("Executions", "execution", executions, field_mask_paths)

    def put_contexts(
        self, contexts: Sequence[Any], field_mask_paths: Sequence[str] | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> list[int]:  # fmt: skip
        """Like put_artifacts, for contexts. They must have names, and an update may change them."""
        return self._put_nodes("Contexts", "context", contexts, field_mask_paths)

    def put_events(self, events: Sequence[Any], extra_options: ExtraOptions | None = None) -> None:
        """Store events. InvalidArgumentError when an end is unknown or the type is missing;
        AlreadyExistsError for a second event of one type between the same two nodes."""
        self._ask("PutEvents", events=events)

    def put_attributions_and_associations(
        self, attributions: Sequence[Any], associations: Sequence[Any],
        extra_options: ExtraOptions | None = None,
    ) -> None:  # fmt: skip
        """Put artifacts and executions into contexts; those that are there already stay.
        InvalidArgumentError when an id is unknown."""
        self._ask("PutAttributionsAndAssociations", attributions=attributions, associations=associations)

    def put_parent_contexts(
        self, parent_contexts: Sequence[Any], extra_options: ExtraOptions | None = None
    ) -> None:
        """Make contexts the parents of others. InvalidArgumentError when an id is unknown or a circle
        would close; AlreadyExistsError when the relation is stored."""
        self._ask("PutParentContexts", parent_contexts=parent_contexts)

    def put_execution(
        self, execution: Any, artifact_and_events: Sequence[Sequence[Any]],
        contexts: Sequence[Any] | None, reuse_context_if_already_exist: bool = False,
        reuse_artifact_if_already_exist_by_external_id: bool = False,
        force_reuse_context: bool = False, force_update_time: bool = False,
        extra_options: ExtraOptions | None = None,
    ) -> tuple[int, list[int], list[int]]:  # fmt: skip
        """Store an execution with its artifacts, events and contexts, all or nothing.

        `artifact_and_events` are pairs (artifact or None, event or None); an event's ids are filled in.
        Everything is put into every context. `reuse_context_if_already_exist` takes the stored context of
        the type and name; `force_reuse_context` takes contexts with an id as they are;
        `reuse_artifact_if_already_exist_by_external_id` updates the artifact with the external id;
        `force_update_time` sets the execution's update time even when nothing changed.
        Returns the ids of the execution, of the artifacts (-1 for none) and of the contexts.
        """
        request = PutExecutionRequest(execution=execution, contexts=contexts)
        for pair in artifact_and_events:
            if pair:
                request.artifact_event_pairs.add(artifact=pair[0], event=pair[1] if len(pair) == 2 else None)
        options = request.options
        options.reuse_context_if_already_exist = reuse_context_if_already_exist
        options.reuse_artifact_if_already_exist_by_external_id = (
            reuse_artifact_if_already_exist_by_external_id
        )
        options.force_reuse_context = force_reuse_context
        options.force_update_time = force_update_time
        response = self._call("PutExecution", request)
        return response.execution_id, list(response.artifact_ids), list(response.context_ids)

    def put_lineage_subgraph(
        self, executions: Sequence[Any], artifacts: Sequence[Any], contexts: Sequence[Any],
        event_edges: Sequence[tuple[int | None, int | None, Any]],
        reuse_context_if_already_exist: bool = False,
        reuse_artifact_if_already_exist_by_external_id: bool = False,
        extra_options: ExtraOptions | None = None,
    ) -> tuple[list[int], list[int], list[int]]:  # fmt: skip
        """Store many nodes and the events between them, all or nothing.

        `event_edges` are triples (index into executions, index into artifacts, event); an index may be
        None when the event has the id. Every node is put into every context. OutOfRangeError for an index
        outside its list. Returns the ids of executions, artifacts and contexts.
        """
        request = PutLineageSubgraphRequest(executions=executions, artifacts=artifacts, contexts=contexts)
        for execution_index, artifact_index, event in event_edges:
            request.event_edges.add(
                execution_index=execution_index, artifact_index=artifact_index, event=event
            )
        options = request.options
        options.reuse_context_if_already_exist = reuse_context_if_already_exist
        options.reuse_artifact_if_already_exist_by_external_id = (
            reuse_artifact_if_already_exist_by_external_id
        )
        response = self._call("PutLineageSubgraph", request)
        return list(response.execution_ids), list(response.artifact_ids), list(response.context_ids)

    def _put_type(self, kind: str, new: Any, can_add: bool, can_omit: bool) -> int:
        response = self._ask(
            f"Put{kind}Type",
            **{f"{kind.lower()}_type": new, "can_add_fields": can_add, "can_omit_fields": can_omit},
        )
        return int(response.type_id)

    def _put_nodes(self, kind: str, one: str, nodes: Sequence[Any], mask: Sequence[str] | None) -> list[int]:
        fields: dict[str, Any] = {f"{one}s": nodes}
        if mask:
            fields["update_mask"] = {"paths": mask}
        return list(getattr(self._ask(f"Put{kind}", **fields), f"{one}_ids"))
