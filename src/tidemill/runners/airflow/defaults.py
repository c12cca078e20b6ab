"""What a DAG file may leave out. It loads nothing: see ahead.py."""

from __future__ import annotations

MOST_MAPPED = 1024
"""Airflow's `core.max_map_length`, unless an installation says otherwise: iterations that a task may have."""
RESULTS, ALL, NONE = "results", "all", "none"
"""Words for a choice of outputs; see `outputs.chosen`."""
