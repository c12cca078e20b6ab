"""Reading a file of the record, from whoever it came: every line is checked; one error says what is wrong.

Whatever this room hands out has the fields of form.FIELDS, refers only to what stood before it, and
comes from a file that is whole. It never holds more than one line, and numbers of what the lines were.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, BinaryIO

from tidemill.errors import StoreError, did_you_mean
from tidemill.metadata.model import TypeKind
from tidemill.metadata.transfer import Kind
from tidemill.metadata.transfer.form import FORMAT, KINDS, VERSION, Record, TypeName, record

MOST_BYTES = 64 << 20
"""Bytes of one line; the IR of a pipeline is the longest."""
_RUN_CONTEXT = "pipeline_run"


def records(path: Path) -> Iterator[tuple[Kind, Record, str]]:
    """Every record of a file in its order: its kind, its fields, and where it stands.

    StoreError for the first thing that is wrong, however late in the file; what was handed out before it
    must then be undone.
    """
    try:
        with path.open("rb") as file:
            yield from _records(file, str(path))
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error


def check(path: Path) -> None:
    """Read a whole file for its mistakes."""
    for _ in records(path):
        pass


def _records(file: BinaryIO, name: str) -> Iterator[tuple[Kind, Record, str]]:
    sha, number, part = hashlib.sha256(), 0, 0
    seen = _Seen()
    ended = False
    while data := file.readline(MOST_BYTES + 1):
        number += 1
        where = f"{name}, line {number}"
        if ended:
            raise StoreError("something follows the last line of the file", where=where)
        kind, body = _parse(data, where)
        if number == 1:
            _check_head(kind, body, where)
        elif kind == "end":
            seen.close(where)
            _check_end(body, number, sha.hexdigest(), where)
            ended = True
        else:
            found, part = _kind(kind, part, where)
            checked = record(found, body, where)
            seen.take(found, checked, where)
            yield found, checked, where
        sha.update(data)
    if not ended:
        raise StoreError("the file is cut short: its last line is missing", where=name,
                         hint="copy it again, or export again")  # fmt: skip


def _parse(data: bytes, where: str) -> tuple[str, Any]:
    """The one key of a line, and its value."""
    if len(data) > MOST_BYTES:
        raise StoreError(f"the line has more than {MOST_BYTES >> 20} MiB", where=where)
    try:
        found = json.loads(data, parse_constant=_refuse_constant, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:  # nested too deep, or numbers with too many digits
        raise StoreError(f"the line is not JSON: {str(error)[:200]}", where=where,
                         hint="name a file that `tidemill metadata export` wrote") from None  # fmt: skip
    if not isinstance(found, dict) or len(found) != 1:
        raise StoreError("the line is not a JSON object with one key", where=where,
                         hint="name a file that `tidemill metadata export` wrote")  # fmt: skip
    ((kind, body),) = found.items()
    return kind, body


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is not a JSON number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _check_head(kind: str, body: Any, where: str) -> None:
    if kind != FORMAT:
        raise StoreError("the file is not one of tidemill's", where=where,
                         hint="name a file that `tidemill metadata export` wrote")  # fmt: skip
    if type(body) is not int or body != VERSION:
        raise StoreError(
            f"the file has version {str(body)[:20]}; this tidemill reads {VERSION}", where=where,
            hint="update tidemill, or export again with this version",
        )  # fmt: skip


def _check_end(body: Any, number: int, sha: str, where: str) -> None:
    if body != {"lines": number, "sha256": sha}:
        raise StoreError("the file was changed or damaged: its last line does not fit the others",
                         where=where, hint="copy it again, or export again")  # fmt: skip


def _kind(word: str, part: int, where: str) -> tuple[Kind, int]:
    """The kind of a line and its place among the kinds; it must not come after a later kind."""
    for place, kind in enumerate(KINDS):
        if kind == word:
            if place < part:
                raise StoreError(f"a {kind} stands after a {KINDS[part]}", where=where,
                                 hint=f"the order is {', '.join(KINDS)}")  # fmt: skip
            return kind, place
    raise StoreError(f"unknown kind of line {word[:40]!r}", where=where, hint=did_you_mean(word[:40], KINDS))


class _Seen:
    """What the lines so far were, so that a later one can refer to them."""

    def __init__(self) -> None:
        self.types: dict[tuple[TypeKind, TypeName], set[str]] = {}
        self.counts = {"context": 0, "artifact": 0, "execution": 0}
        self.run_contexts: dict[int, str] = {}
        self.parents: dict[int, tuple[int, ...]] = {}
        self.runs: set[str] = set()

    def take(self, kind: Kind, found: Record, where: str) -> None:
        """Check the references of a record and remember it."""
        match kind:
            case "type":
                self._type(found, where)
            case "context" | "artifact" | "execution":
                self._numbered(kind, found, where)
            case "event":
                self._known("artifact", found["artifact"], kind, where)
                self._known("execution", found["execution"], kind, where)
            case "run":
                if self.run_contexts.get(found["context"]) != found["id"]:
                    raise StoreError(f"run {found['id']} refers to a context that is not its own",
                                     where=where)  # fmt: skip
                self.runs.add(found["id"])
            case "node":
                if found["run"] not in self.runs:
                    what = f"the node refers to run {found['run'][:80]!r}, which no earlier line is"
                    raise StoreError(what, where=where)
                for name in ("execution", "first_execution"):
                    self._known("execution", found[name], kind, where)

    def close(self, where: str) -> None:
        """Check what can be checked only at the end."""
        for numbers in self.parents.values():
            for number in numbers:
                self._known("context", number, "context", where)
        try:
            TopologicalSorter(self.parents).prepare()
        except CycleError as error:
            raise StoreError(
                f"contexts are parents of each other: {error.args[1][:5]}", where=where
            ) from None

    def _type(self, found: Record, where: str) -> None:
        key = (found["kind"], (found["name"], found["version"]))
        if key in self.types:
            raise StoreError(f"type {found['name']!r} stands twice in the file", where=where)
        for parent in found["parents"]:
            if (found["kind"], parent) not in self.types:
                what = f"type {found['name']!r} refers to its parent {parent[0]!r}, which no earlier line is"
                raise StoreError(what, where=where)
        self.types[key] = set(found["properties"])

    def _numbered(self, kind: Kind, found: Record, where: str) -> None:
        self.counts[kind] += 1
        if found["id"] != self.counts[kind]:
            raise StoreError(f"this is {kind} {self.counts[kind]} of the file, but it says {found['id']}",
                             where=where)  # fmt: skip
        declared = self.types.get((TypeKind[kind.upper()], found["type"]))
        if declared is None:
            raise StoreError(f"the {kind} refers to type {found['type'][0]!r}, which no earlier line is",
                             where=where)  # fmt: skip
        if undeclared := sorted(set(found["properties"]) - declared):
            raise StoreError(f"type {found['type'][0]!r} declares no property {undeclared[0]!r}", where=where)
        if kind == "context":
            if found["type"] == (_RUN_CONTEXT, None):
                self.run_contexts[found["id"]] = found["name"]
            if found["parents"]:
                self.parents[found["id"]] = found["parents"]
            return
        for number in found["contexts"]:
            self._known("context", number, kind, where)

    def _known(self, kind: str, number: int, by: str, where: str) -> None:
        if not 1 <= number <= self.counts[kind]:
            raise StoreError(f"the {by} refers to {kind} {number}, which no earlier line is", where=where)
