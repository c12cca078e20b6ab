"""What may start a run besides the clock: data that arrives. Variants, as values and sources are.

They say where data comes from and nothing of who looks for it; that is for the engine that starts runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ArtifactArrival:
    """An output of a node of another pipeline was put out, newly made or from the cache."""

    pipeline: str
    node: str
    output: str


@dataclass(frozen=True, slots=True)
class AssetArrival:
    """An asset was updated that somebody else keeps, such as another DAG of Airflow."""

    uri: str
    name: str = ""
    """The same as `uri` unless given."""


@dataclass(frozen=True, slots=True)
class FilesArrival:
    """Files of a span that comes after all known ones match a file pattern."""

    pattern: str
    every: float = 60.0
    """Seconds between two looks."""
    parameter: str = ""
    """Runtime parameter that is given the span, if any."""


@dataclass(frozen=True, slots=True)
class AllArrivals:
    """Each of the members, since the last run."""

    members: tuple[Arrival, ...]


@dataclass(frozen=True, slots=True)
class AnyArrival:
    """One of the members."""

    members: tuple[Arrival, ...]


Arrival = ArtifactArrival | AssetArrival | FilesArrival | AllArrivals | AnyArrival


def leaves(arrival: Arrival | None) -> Iterator[ArtifactArrival | AssetArrival | FilesArrival]:
    """What is waited for, without how it is joined, in the order of definition."""
    match arrival:
        case None:
            return
        case AllArrivals(members) | AnyArrival(members):
            for member in members:
                yield from leaves(member)
        case _:
            yield arrival
