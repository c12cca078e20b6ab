"""The three kinds of nodes in MLMD's data model, and where each is stored.

Artifacts, executions and contexts differ in a column or two; everything else in this room is written
once, for a Kind. A message is called Any here: its class is made at run time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tidemill.metadata.model import TypeKind

Message = Any
"""A protobuf message of package ml_metadata."""

TIMES = ("create_time_since_epoch", "last_update_time_since_epoch")


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """One kind of node, of which there are three. Columns are named like the fields of the message."""

    name: str
    table: str
    type_kind: TypeKind
    fields: tuple[str, ...]
    """What an update may set, apart from properties; None of it is NULL when the field is not set."""
    link: str = ""
    """The table that puts nodes of this kind into contexts."""
    own_fields: tuple[str, ...] = ()
    """Fields that not all kinds have."""

    @property
    def plural(self) -> str:
        """`artifacts`: the field of requests and responses."""
        return f"{self.name}s"

    @property
    def owner(self) -> str:
        """The column that names a node in the tables beside its own."""
        return f"{self.name}_id"

    @property
    def columns(self) -> tuple[str, ...]:
        """What an insert sets."""
        named = () if "name" in self.fields else ("name",)
        return ("type_id", *self.fields, *named, *TIMES)


ARTIFACT = Kind(
    "artifact", "Artifact", TypeKind.ARTIFACT, ("uri", "state", "external_id"), "Attribution",
    ("uri", "state"),
)  # fmt: skip
EXECUTION = Kind(
    "execution", "Execution", TypeKind.EXECUTION, ("last_known_state", "external_id"), "Association",
    ("last_known_state",),
)  # fmt: skip
CONTEXT = Kind("context", "Context", TypeKind.CONTEXT, ("name", "external_id"))
KINDS = (ARTIFACT, EXECUTION, CONTEXT)
