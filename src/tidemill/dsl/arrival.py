"""Data that starts a run when it arrives: what is given to `Schedule(on=...)`. Data; runners act on it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

_SPANNED = re.compile(r"\{(YYYY|SPAN(:\d+)?)\}")
LEAST_EVERY = 1.0
"""Seconds between two looks at files, at least."""


class Arrival:
    """One of the classes below. `a & b`: both arrived since the last run. `a | b`: one of them did."""

    __slots__ = ()

    def __and__(self, other: Arrival) -> Arrival:
        return AllOf((*_parts(self, AllOf), *_parts(other, AllOf)))

    def __or__(self, other: Arrival) -> Arrival:
        return AnyOf((*_parts(self, AnyOf), *_parts(other, AnyOf)))


@dataclass(frozen=True, slots=True)
class OnArtifact(Arrival):
    """`OnArtifact("ingest", "ExampleGen", "examples")`: that pipeline's node put that output out, newly made
    or from the cache. The run has the date of the run that did.
    """

    pipeline: str
    node: str
    output: str


@dataclass(frozen=True, slots=True)
class OnAsset(Arrival):
    """`OnAsset("s3://lake/rates")`: an asset was updated that another DAG of Airflow, or anybody, keeps.

    `name` is the asset's, where it is not its URI. The run has the date that the update's `extra` names
    under `date`, YYYY-MM-DD; else it has none.
    """

    uri: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class OnFiles(Arrival):
    """`OnFiles("trips/{YYYY}-{MM}-{DD}/*.parquet")`: files of a new span matched, twice in a row alike.

    `every` is the time between two looks, in seconds. One span starts one run, oldest first. The run has the
    span's day as its date; where the pattern has `{SPAN}`, `parameter` names the runtime parameter that is
    given its number. Without `catch_up` only the newest of the spans that are there at first counts.
    """

    pattern: str
    every: float = 60.0
    parameter: str = ""


@dataclass(frozen=True, slots=True)
class AllOf(Arrival):
    """See `Arrival`."""

    members: tuple[Arrival, ...]


@dataclass(frozen=True, slots=True)
class AnyOf(Arrival):
    """See `Arrival`."""

    members: tuple[Arrival, ...]


def problems_of(arrival: object, parameters: Collection[str]) -> Iterator[str]:
    """What is wrong, as sentences. `parameters` are the runtime parameters that the pipeline has."""
    match arrival:
        case AllOf(members) | AnyOf(members):
            for member in members:
                yield from problems_of(member, parameters)
        case OnArtifact():
            for name in ("pipeline", "node", "output"):
                value: object = getattr(arrival, name)
                if not isinstance(value, str) or not value.strip():
                    yield f"OnArtifact: its {name} is {value!r}; write a name"
        case OnAsset():
            uri: object = arrival.uri
            if not isinstance(uri, str) or not uri.strip():
                yield f"OnAsset: its uri is {uri!r}; write the asset's URI or name"
            elif _names_somebody(uri):
                yield "OnAsset: its uri holds a user or password, which everybody would read; leave it out"
        case OnFiles():
            yield from _problems_of_files(arrival, parameters)
        case _:
            yield f"on={arrival!r} is no arrival; use OnArtifact, OnAsset or OnFiles, joined by & and |"


def _problems_of_files(files: OnFiles, parameters: Collection[str]) -> Iterator[str]:
    pattern: object = files.pattern
    every: object = files.every
    if not isinstance(pattern, str) or "\x00" in pattern:
        yield f"OnFiles: its pattern is {pattern!r}; write a text without placeholders of tidemill"
        return
    if _names_somebody(pattern):
        yield "OnFiles: its pattern holds a user or password, which everybody would read; leave it out"
    if not _SPANNED.search(pattern):
        yield f"OnFiles: {pattern!r} has no spans that could be new; write {{YYYY}}-{{MM}}-{{DD}} or {{SPAN}}"
    if isinstance(every, bool) or not isinstance(every, int | float) or every < LEAST_EVERY:
        yield f"OnFiles: every is {every!r}; write seconds, {LEAST_EVERY:g} or more"
    if files.parameter and files.parameter not in parameters:
        known = ", ".join(sorted(parameters)) or "none"
        yield f"OnFiles: the pipeline has no runtime parameter {files.parameter!r}; it has {known}"
    if files.parameter and "{SPAN" not in pattern:
        yield f"OnFiles: {pattern!r} has days, which the run gets as its date; leave parameter= out"


def _names_somebody(uri: str) -> bool:
    """Whether a URI says who asks: `scheme://user:password@host`."""
    return "@" in uri.partition("://")[2].partition("/")[0]


def _parts(arrival: Arrival, kind: type[AllOf] | type[AnyOf]) -> tuple[Arrival, ...]:
    """The members of a join of the same kind, so that `a & b & c` is one."""
    return arrival.members if isinstance(arrival, kind) else (arrival,)
