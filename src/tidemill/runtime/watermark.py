"""What was read of external files so far: kept in the record, and compared with what is there today.

Every execution records the files that its parameters named, with size, digest and stamp. So a launcher need
not read again what did not change, and `tidemill sources` can tell what is new, what came late for a span
that was read already, and what was changed since. This room reads the record and the storage; it changes
neither.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from tidemill.metadata.model import Execution, ExecutionState
from tidemill.metadata.store import MetadataStore
from tidemill.storage.pattern import list_files
from tidemill.types.source import FileSet, SourceFile

_RUNS_LOOKED_AT = 4


class FileState(StrEnum):
    """What has become of a file since it was, or was not, read."""

    READ = "READ"
    """Read as it is today."""
    NEW = "NEW"
    """Of a span that comes after all that was read, or never read where there are no spans."""
    MISSED = "MISSED"
    """Of an earlier span, of which nothing was ever read."""
    LATE = "LATE"
    """Not read, though other files of its span were: it came later, or is a newer version."""
    CHANGED = "CHANGED"
    """Read, but other bytes than today's."""
    GONE = "GONE"
    """Read, and not there any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One external file of one pattern of one node."""

    node_id: str
    pattern: str
    uri: str
    span: int | None
    state: FileState
    run_id: str = ""
    """The newest run that read it, or that read others of its span."""


def file_sets(recorded: object) -> list[FileSet]:
    """The file sets in a recorded parameter, in order; none in one that holds no files."""
    if not isinstance(recorded, str) or '"$files"' not in recorded:
        return []
    try:
        return list(_file_sets(json.loads(recorded)))
    except (ValueError, KeyError, TypeError):
        return []


def _file_sets(value: Any) -> Iterator[FileSet]:
    match value:
        case {"$files": Mapping() as files}:
            yield FileSet.from_json(files)
        case {"$plain": _}:
            return
        case Mapping():
            for item in value.values():
                yield from _file_sets(item)
        case list():
            for item in value:
                yield from _file_sets(item)


def known_files(store: MetadataStore, pipeline: str, node_id: str) -> dict[str, SourceFile]:
    """The files that a node read in the newest runs, by uri; of each, as it was found last."""
    found: dict[str, SourceFile] = {}
    executions: list[Execution] = []
    for run in reversed(store.get_runs(pipeline=pipeline, limit=_RUNS_LOOKED_AT)):
        executions += store.get_executions(run.id, node_id)
    last = store.last_cache_key(pipeline, node_id)
    if last is not None:
        executions = [*store.get_executions_by_id([last[1]]), *executions]
    for execution in executions:
        for files in _of(execution):
            found.update((file.uri, file) for file in files.files)
    return found


@dataclass(slots=True)
class _Read:
    """What was read under one pattern of one node."""

    files: dict[str, tuple[SourceFile, str]] = field(default_factory=dict)
    spans: dict[int | None, str] = field(default_factory=dict)


def watermark(store: MetadataStore, pipeline: str, base: Path, *, limit: int = 1000) -> list[Finding]:
    """Every file that the nodes of a pipeline read in its newest `limit` runs, and every one that their
    patterns match today, by node, pattern, span and uri. Executions that did not succeed count as not read.

    Errors: as `resolve_files` has them.
    """
    read: dict[tuple[str, str], _Read] = {}
    for run in reversed(store.get_runs(pipeline=pipeline, limit=limit)):
        ids = {record.execution_id: record.node_id for record in store.get_nodes(run.id)}
        for execution in store.get_executions_by_id(sorted(ids)):
            if execution.state not in (ExecutionState.COMPLETE, ExecutionState.CACHED):
                continue
            for files in _of(execution):
                entry = read.setdefault((ids[execution.id], files.pattern), _Read())
                entry.files.update((file.uri, (file, run.id)) for file in files.files)
                entry.spans.update((_span(file, files), run.id) for file in files.files)
    return [
        finding
        for (node_id, pattern), entry in sorted(read.items())
        for finding in _compare(node_id, pattern, entry, base)
    ]


def _compare(node_id: str, pattern: str, read: _Read, base: Path) -> Iterator[Finding]:
    known = {uri: file for uri, (file, _) in read.files.items()}
    today = {file.uri: file for file in list_files(pattern, base=base, known=lambda: known).files}
    newest = max((span for span in read.spans if span is not None), default=None)
    # Of a span that has a newer version, the older one is not looked for: it is neither there nor gone.
    renewed = {file.span for file in today.values()} if "{VERSION" in pattern else set()
    gone = [file for uri, file in known.items() if uri not in today and file.span not in renewed]
    for file in sorted([*today.values(), *gone], key=lambda f: (f.span or 0, f.uri)):
        run_id = read.files[file.uri][1] if file.uri in read.files else read.spans.get(file.span, "")
        if file.uri not in today:
            state = FileState.GONE
        elif file.uri in known:
            state = FileState.READ if known[file.uri].digest == file.digest else FileState.CHANGED
        elif file.span is None or newest is None or file.span > newest:
            state = FileState.NEW
        else:
            state = FileState.LATE if file.span in read.spans else FileState.MISSED
        yield Finding(
            node_id=node_id, pattern=pattern, uri=file.uri, span=file.span, state=state, run_id=run_id
        )


def _span(file: SourceFile, files: FileSet) -> int | None:
    """The span of a file; before files recorded it themselves, that of its set, if that had one file."""
    return file.span if file.span is not None or len(files.files) > 1 else files.span


def _of(execution: Execution) -> Iterator[FileSet]:
    for value in execution.custom_properties.values():
        yield from file_sets(value)
