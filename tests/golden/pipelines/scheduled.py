"""A pipeline that runs by itself."""

from __future__ import annotations

from datetime import date

from tidemill import Schedule, component, pipeline, run


@component
def work(*, day: str) -> None:
    """The work of a day."""


@pipeline(
    schedule=Schedule("30 4 * * mon-fri", start=date(2024, 1, 1), timezone="Europe/Berlin", catch_up=True)
)
def scheduled() -> None:
    """On working days."""
    work(day=run.date)
