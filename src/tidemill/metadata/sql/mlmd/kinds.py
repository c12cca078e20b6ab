"""The three kinds of nodes in MLMD's data model, and where each is stored.

Artifacts, executions and contexts differ in a column or two; everything else in this room is written
once, for a Kind. A message is called Any here: its class is made at run time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
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
    state: str = ""
    """The field with the node's state, if it has one."""

    # What follows from these, worked out once: a publication looks at it dozens of times.
    plural: str = field(init=False)
    """`artifacts`: the field of requests and responses."""
    owner: str = field(init=False)
    """The column that names a node in the tables beside its own."""
    link_columns: str = field(init=False)
    """The columns of `link`."""
    given: tuple[str, ...] = field(init=False)
    """What a new node has, apart from its type, its times and properties."""
    insertion: str = field(init=False)
    """The columns that an insert sets, as SQL lists them: type, `given`, times."""
    shown: str = field(init=False)
    """What a message shows, as SQL lists it: id, type, name, external id, times, state, and uri if any."""
    stored: str = field(init=False)
    """The columns that an update has to know: id, type, name, time of the last update, `fields`."""

    def __post_init__(self) -> None:
        given = self.fields if "name" in self.fields else (*self.fields, "name")
        columns = ("type_id", *given, *TIMES)
        object.__setattr__(self, "link_columns", f"context_id, {self.name}_id")
        object.__setattr__(self, "given", given)
        object.__setattr__(self, "plural", f"{self.name}s")
        object.__setattr__(self, "owner", f"{self.name}_id")
        object.__setattr__(self, "insertion", ", ".join(columns))
        shown = ("id", "type_id", "name", "external_id", *TIMES, self.state or "NULL")
        object.__setattr__(self, "shown", ", ".join((*shown, *(("uri",) if "uri" in self.fields else ()))))
        object.__setattr__(self, "stored", ", ".join(("id", "type_id", "name", TIMES[1], *self.fields)))


ARTIFACT = Kind(
    "artifact", "Artifact", TypeKind.ARTIFACT, ("uri", "state", "external_id"), "Attribution",
    "state",
)  # fmt: skip
EXECUTION = Kind(
    "execution", "Execution", TypeKind.EXECUTION, ("last_known_state", "external_id"), "Association",
    "last_known_state",
)  # fmt: skip
CONTEXT = Kind("context", "Context", TypeKind.CONTEXT, ("name", "external_id"))
KINDS = (ARTIFACT, EXECUTION, CONTEXT)
