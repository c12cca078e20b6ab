"""The methods of MetadataStore that read nodes and what connects them, each in one transaction.

Lists of ids may be any iterable; what is not stored is left out of the answer, which comes in the order of
the ids themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tidemill.mlmd.caller import Caller
from tidemill.mlmd.options import ExtraOptions, ListOptions, OrderByField


class Getting(Caller):
    """What MetadataStore can be asked about nodes."""

    def get_artifacts(
        self, list_options: ListOptions | None = None, extra_options: ExtraOptions | None = None
    ) -> list[Any]:
        """All artifacts, or those that `list_options` ask for, in its order."""
        return self._list("GetArtifacts", "artifacts", list_options)

    def get_artifacts_by_id(
        self, artifact_ids: Iterable[int], extra_options: ExtraOptions | None = None
    ) -> list[Any]:
        """Artifacts by id."""
        return list(self._ask("GetArtifactsByID", artifact_ids=artifact_ids).artifacts)

    def get_artifacts_by_type(
        self, type_name: str, type_version: str | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> list[Any]:  # fmt: skip
        """Artifacts of a type; none when there is no such type."""
        found = self._ask("GetArtifactsByType", type_name=type_name, type_version=type_version or None)
        return list(found.artifacts)

    def get_artifact_by_type_and_name(
        self, type_name: str, artifact_name: str, type_version: str | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> Any | None:  # fmt: skip
        """The artifact of a type with this name, or None."""
        found = self._ask(
            "GetArtifactByTypeAndName",
            type_name=type_name,
            artifact_name=artifact_name,
            type_version=type_version or None,
        )
        return found.artifact if found.HasField("artifact") else None

    def get_artifacts_by_external_ids(
        self, external_ids: Iterable[str], extra_options: ExtraOptions | None = None
    ) -> list[Any]:
        """Artifacts by external id. NotFoundError when there is none of them; InvalidArgumentError when
        one is empty."""
        return list(self._ask("GetArtifactsByExternalIds", external_ids=external_ids).artifacts)

    def get_artifacts_and_types_by_artifact_ids(
        self, artifact_ids: Iterable[int], extra_options: ExtraOptions | None = None
    ) -> tuple[list[Any], list[Any]]:
        """Artifacts by id, and their types."""
        found = self._ask("GetArtifactsByID", artifact_ids=artifact_ids, populate_artifact_types=True)
        return list(found.artifacts), list(found.artifact_types)

    def get_artifacts_by_uri(self, uri: str, extra_options: ExtraOptions | None = None) -> list[Any]:
        """Artifacts with exactly this uri."""
        return list(self._ask("GetArtifactsByURI", uris=[uri]).artifacts)

    def get_executions(
        self, list_options: ListOptions | None = None, extra_options: ExtraOptions | None = None
    ) -> list[Any]:
        """All executions, or those that `list_options` ask for, in its order."""
        return self._list("GetExecutions", "executions", list_options)

    def get_executions_by_id(
        self, execution_ids: Iterable[int], extra_options: ExtraOptions | None = None
    ) -> list[Any]:
        """Executions by id."""
        return list(self._ask("GetExecutionsByID", execution_ids=execution_ids).executions)

    def get_executions_by_type(
        self, type_name: str, type_version: str | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> list[Any]:  # fmt: skip
        """Executions of a type; none when there is no such type."""
        found = self._ask("GetExecutionsByType", type_name=type_name, type_version=type_version or None)
        return list(found.executions)

    def get_execution_by_type_and_name(
        self, type_name: str, execution_name: str, type_version: str | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> Any | None:  # fmt: skip
        """The execution of a type with this name, or None."""
        found = self._ask(
            "GetExecutionByTypeAndName",
            type_name=type_name,
            execution_name=execution_name,
            type_version=type_version or None,
        )
        return found.execution if found.HasField("execution") else None

    def get_executions_by_external_ids(
        self, external_ids: Iterable[str], extra_options: ExtraOptions | None = None
    ) -> list[Any]:
        """Executions by external id. NotFoundError when there is none of them; InvalidArgumentError when
        one is empty."""
        return list(self._ask("GetExecutionsByExternalIds", external_ids=external_ids).executions)

    def get_contexts(
        self, list_options: ListOptions | None = None, extra_options: ExtraOptions | None = None
    ) -> list[Any]:
        """All contexts, or those that `list_options` ask for, in its order."""
        return self._list("GetContexts", "contexts", list_options)

    def get_contexts_by_id(
        self, context_ids: Iterable[int], extra_options: ExtraOptions | None = None
    ) -> list[Any]:
        """Contexts by id."""
        return list(self._ask("GetContextsByID", context_ids=context_ids).contexts)

    def get_contexts_by_type(
        self, type_name: str, type_version: str | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> list[Any]:  # fmt: skip
        """Contexts of a type; none when there is no such type."""
        found = self._ask("GetContextsByType", type_name=type_name, type_version=type_version or None)
        return list(found.contexts)

    def get_context_by_type_and_name(
        self, type_name: str, context_name: str, type_version: str | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> Any | None:  # fmt: skip
        """The context of a type with this name, or None."""
        found = self._ask(
            "GetContextByTypeAndName",
            type_name=type_name,
            context_name=context_name,
            type_version=type_version or None,
        )
        return found.context if found.HasField("context") else None

    def get_contexts_by_external_ids(
        self, external_ids: Iterable[str], extra_options: ExtraOptions | None = None
    ) -> list[Any]:
        """Contexts by external id. NotFoundError when there is none of them; InvalidArgumentError when
        one is empty."""
        return list(self._ask("GetContextsByExternalIds", external_ids=external_ids).contexts)

    def get_events_by_execution_ids(
        self, execution_ids: Iterable[int], extra_options: ExtraOptions | None = None
    ) -> list[Any]:
        """Events of these executions."""
        return list(self._ask("GetEventsByExecutionIDs", execution_ids=execution_ids).events)

    def get_events_by_artifact_ids(
        self, artifact_ids: Iterable[int], extra_options: ExtraOptions | None = None
    ) -> list[Any]:
        """Events of these artifacts."""
        return list(self._ask("GetEventsByArtifactIDs", artifact_ids=artifact_ids).events)

    def get_contexts_by_artifact(
        self, artifact_id: int, extra_options: ExtraOptions | None = None
    ) -> list[Any]:
        """Contexts that an artifact is in. NotFoundError when it is in none."""
        return list(self._ask("GetContextsByArtifact", artifact_id=artifact_id).contexts)

    def get_contexts_by_execution(
        self, execution_id: int, extra_options: ExtraOptions | None = None
    ) -> list[Any]:
        """Contexts that an execution is in. NotFoundError when it is in none."""
        return list(self._ask("GetContextsByExecution", execution_id=execution_id).contexts)

    def get_artifacts_by_context(
        self, context_id: int, list_options: ListOptions | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> list[Any]:  # fmt: skip
        """Artifacts of a context."""
        return self._list("GetArtifactsByContext", "artifacts", list_options, context_id=context_id)

    def get_executions_by_context(
        self, context_id: int, list_options: ListOptions | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> list[Any]:  # fmt: skip
        """Executions of a context, newest first unless `list_options` say otherwise."""
        options = list_options or ListOptions(order_by=OrderByField.CREATE_TIME, is_asc=False)
        return self._list("GetExecutionsByContext", "executions", options, context_id=context_id)

    def get_parent_contexts_by_context(
        self, context_id: int, extra_options: ExtraOptions | None = None
    ) -> list[Any]:
        """Contexts directly above a context."""
        return list(self._ask("GetParentContextsByContext", context_id=context_id).contexts)

    def get_children_contexts_by_context(
        self, context_id: int, extra_options: ExtraOptions | None = None
    ) -> list[Any]:
        """Contexts directly below a context."""
        return list(self._ask("GetChildrenContextsByContext", context_id=context_id).contexts)
