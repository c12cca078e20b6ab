"""Moving a part of the record between stores: which part, the form of its file, and what came of it.

A store writes and reads the file (metadata.sql.exporting, metadata.sql.importing); this room knows what
may stand in it. It knows no database and no files but the one it is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tidemill.metadata.lineage import Direction

Kind = Literal["type", "context", "artifact", "execution", "event", "version", "run", "node"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which part of a record: one of `run`, `artifact` and `pipeline`, or all of it when none is given."""

    run: str = ""
    artifact: int = 0
    direction: Direction = "both"
    """Of an artifact's lineage."""
    pipeline: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import did, by kind of record."""

    added: Mapping[Kind, int] = field(default_factory=dict)
    known: Mapping[Kind, int] = field(default_factory=dict)
    """Records that the store had already, just as they are in the file."""
