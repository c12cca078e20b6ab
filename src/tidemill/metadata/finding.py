"""What `doctor` finds in a record, as a value that every kind of store can hand out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that should not be."""

    invariant: str
    """Stable name of what is broken."""
    what: str
    """Which row, and how."""
