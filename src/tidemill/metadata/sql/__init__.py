"""The record in a SQL database: ML Metadata's schema plus tidemill's own tables."""

from __future__ import annotations

from tidemill.metadata.sql.store import SqlStore, open_store

__all__ = ["SqlStore", "open_store"]
