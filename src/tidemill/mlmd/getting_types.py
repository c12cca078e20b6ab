"""The methods of MetadataStore that read types. Each is one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tidemill.mlmd.caller import Caller
from tidemill.mlmd.options import ExtraOptions


class GettingTypes(Caller):
    """What MetadataStore can be asked about types."""

    def get_artifact_type(
        self, type_name: str, type_version: str | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> Any:  # fmt: skip
        """The artifact type of this name and version. NotFoundError when there is none."""
        found = self._ask("GetArtifactType", type_name=type_name, type_version=type_version or None)
        return found.artifact_type

    def get_artifact_types(self, extra_options: ExtraOptions | None = None) -> list[Any]:
        """All artifact types, but MLMD's system types."""
        return list(self._ask("GetArtifactTypes").artifact_types)

    def get_artifact_types_by_id(
        self, type_ids: Iterable[int], extra_options: ExtraOptions | None = None
    ) -> list[Any]:
        """Artifact types by id, in the order given."""
        return list(self._ask("GetArtifactTypesByID", type_ids=type_ids).artifact_types)

    def get_artifact_types_by_external_ids(
        self, external_ids: Iterable[str], extra_options: ExtraOptions | None = None
    ) -> list[Any]:
        """Artifact types by external id. NotFoundError when there is none of them."""
        return list(self._ask("GetArtifactTypesByExternalIds", external_ids=external_ids).artifact_types)

    def get_execution_type(
        self, type_name: str, type_version: str | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> Any:  # fmt: skip
        """The execution type of this name and version. NotFoundError when there is none."""
        found = self._ask("GetExecutionType", type_name=type_name, type_version=type_version or None)
        return found.execution_type

    def get_execution_types(self, extra_options: ExtraOptions | None = None) -> list[Any]:
        """All execution types, but MLMD's system types."""
        return list(self._ask("GetExecutionTypes").execution_types)

    def get_execution_types_by_id(
        self, type_ids: Iterable[int], extra_options: ExtraOptions | None = None
    ) -> list[Any]:
        """Execution types by id, in the order given."""
        return list(self._ask("GetExecutionTypesByID", type_ids=type_ids).execution_types)

    def get_execution_types_by_external_ids(
        self, external_ids: Iterable[str], extra_options: ExtraOptions | None = None
    ) -> list[Any]:
        """Execution types by external id. NotFoundError when there is none of them."""
        return list(self._ask("GetExecutionTypesByExternalIds", external_ids=external_ids).execution_types)

    def get_context_type(
        self, type_name: str, type_version: str | None = None,
        extra_options: ExtraOptions | None = None,
    ) -> Any:  # fmt: skip
        """The context type of this name and version. NotFoundError when there is none."""
        found = self._ask("GetContextType", type_name=type_name, type_version=type_version or None)
        return found.context_type

    def get_context_types(self, extra_options: ExtraOptions | None = None) -> list[Any]:
        """All context types, but MLMD's system types."""
        return list(self._ask("GetContextTypes").context_types)

    def get_context_types_by_id(
        self, type_ids: Iterable[int], extra_options: ExtraOptions | None = None
    ) -> list[Any]:
        """Context types by id, in the order given."""
        return list(self._ask("GetContextTypesByID", type_ids=type_ids).context_types)

    def get_context_types_by_external_ids(
        self, external_ids: Iterable[str], extra_options: ExtraOptions | None = None
    ) -> list[Any]:
        """Context types by external id. NotFoundError when there is none of them."""
        return list(self._ask("GetContextTypesByExternalIds", external_ids=external_ids).context_types)
