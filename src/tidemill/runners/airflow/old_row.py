"""What became of an old Airflow spelling: one row of the tables that lint.py reads."""

from __future__ import annotations

from dataclasses import dataclass

GONE, WARNS, IGNORED = "gone", "deprecated", "ignored"


@dataclass(frozen=True, slots=True)
class Old:
    """What became of a spelling, and what takes its place."""

    state: str
    """gone: fails; deprecated: works, with a warning or silently; ignored: accepted, does nothing."""
    instead: str
