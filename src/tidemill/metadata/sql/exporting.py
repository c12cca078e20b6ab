"""Writing a part of the record as lines of a file; metadata.transfer.form says what they look like.

Nodes are read in portions of ids, so that memory grows with the number of what is exported (one number
each), never with its content. Every function works inside the caller's transaction, which sees one state.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tidemill.errors import StoreError
from tidemill.metadata.model import (
    ArtifactState,
    EventType,
    ExecutionState,
    PropertyType,
    TypeKind,
)
from tidemill.metadata.sql.database import Row, Transaction
from tidemill.metadata.sql.selecting import Part, ids_in
from tidemill.metadata.transfer.form import FORMAT, VALUE_COLUMNS, VERSION, Value, line, spell_type, to_json

PORTION = 800
_TEXTS_OF_INFINITY = {"tidemill-double::inf": "inf", "tidemill-double::-inf": "-inf"}


def lines(tx: Transaction, part: Part) -> Iterator[bytes]:
    """The file, line by line."""
    sha, number = hashlib.sha256(), 0
    for data in _lines(tx, part):
        sha.update(data)
        number += 1
        yield data
    yield line("end", {"lines": number + 1, "sha256": sha.hexdigest()})


def _lines(tx: Transaction, part: Part) -> Iterator[bytes]:
    yield line(FORMAT, VERSION)
    types = _Types(tx)
    yield from types.lines(tx, part)
    contexts = _numbers(tx, "Context", part.contexts)
    artifacts, executions = (
        _numbers(tx, "Artifact", part.artifacts),
        _numbers(tx, "Execution", part.executions),
    )
    yield from _nodes(tx, types, TypeKind.CONTEXT, contexts, contexts)
    yield from _nodes(tx, types, TypeKind.ARTIFACT, artifacts, contexts)
    yield from _nodes(tx, types, TypeKind.EXECUTION, executions, contexts)
    yield from _events(tx, artifacts, executions)
    yield from _versions(tx, part)
    yield from _runs(tx, part, contexts)
    yield from _run_nodes(tx, part, executions)


def _numbers(tx: Transaction, table: str, ids: set[int]) -> dict[int, int]:
    """Id in the store -> number in the file, without ids that only a dangling reference names."""
    stored = ids_in(tx, f"SELECT id FROM {table} WHERE id IN ({{ids}})", ids)
    return {id: number for number, id in enumerate(sorted(stored), 1)}


# --- lines of each kind -----------------------------------------------------------------------------


class _Types:
    """Every type of the store, and which of them are to be written."""

    def __init__(self, tx: Transaction) -> None:
        self.rows = {
            row[0]: row
            for row in tx.rows(
                "SELECT id, type_kind, name, version, description, input_type, output_type, external_id "
                "FROM Type"
            )
        }
        self.parents: dict[int, list[int]] = defaultdict(list)
        for type_id, parent in tx.rows("SELECT type_id, parent_type_id FROM ParentType"):
            self.parents[type_id].append(parent)

    def name(self, type_id: int) -> Any:
        """How a type is named in the file."""
        if type_id not in self.rows:
            raise StoreError(f"the record refers to type {type_id}, which does not exist",
                             hint="see: tidemill doctor")  # fmt: skip
        return spell_type(self.rows[type_id][2], self.rows[type_id][3])

    def lines(self, tx: Transaction, part: Part) -> Iterator[bytes]:
        used = set(self.rows) if part.whole else self._used(tx, part)
        properties: dict[int, dict[str, str]] = defaultdict(dict)
        for type_id, name, kind in tx.rows_in(
            "SELECT type_id, name, data_type FROM TypeProperty WHERE type_id IN ({ids})", used
        ):
            properties[type_id][name] = PropertyType(kind).name
        for type_id in self._ordered(used):
            _, kind, name, version, description, input_type, output_type, external_id = self.rows[type_id]
            yield line("type", {
                "kind": TypeKind(kind).name, "name": name, "version": version, "description": description,
                "input_type": input_type, "output_type": output_type, "external_id": external_id,
                "properties": properties[type_id],
                "parents": [self.name(p) for p in self._sorted(self.parents[type_id])],
            })  # fmt: skip

    def _used(self, tx: Transaction, part: Part) -> set[int]:
        used: set[int] = set()
        for table, ids in (
            ("Artifact", part.artifacts), ("Execution", part.executions), ("Context", part.contexts)
        ):  # fmt: skip
            used |= ids_in(tx, f"SELECT DISTINCT type_id FROM {table} WHERE id IN ({{ids}})", ids)
        above = used
        while above := {p for t in above for p in self.parents[t]} - used:
            used |= above
        return used & set(self.rows)

    def _sorted(self, ids: Iterable[int]) -> list[int]:
        return sorted(ids, key=lambda i: (self.rows[i][1], self.rows[i][2], self.rows[i][3] or ""))

    def _ordered(self, used: set[int]) -> list[int]:
        """Parents first, otherwise by kind, name and version."""
        done: dict[int, None] = {}

        def place(type_id: int, below: tuple[int, ...]) -> None:
            if type_id in done or type_id not in used or type_id in below:
                return
            for parent in self._sorted(self.parents[type_id]):
                place(parent, (*below, type_id))
            done[type_id] = None

        for type_id in self._sorted(used):
            place(type_id, ())
        return list(done)


_TABLES = {
    TypeKind.CONTEXT: ("Context", "", "ParentContext", "context_id", "parent_context_id"),
    TypeKind.ARTIFACT: ("Artifact", ", state, uri", "Attribution", "artifact_id", "context_id"),
    TypeKind.EXECUTION: ("Execution", ", last_known_state", "Association", "execution_id", "context_id"),
}
"""Kind -> its table, columns of its own, the table of its contexts, and the two columns there."""


def _nodes(
    tx: Transaction, types: _Types, kind: TypeKind, numbers: dict[int, int], contexts: dict[int, int]
) -> Iterator[bytes]:
    """Contexts, artifacts or executions, with their properties and the contexts they are in."""
    table, own, links, ours, theirs = _TABLES[kind]
    members = "parents" if kind is TypeKind.CONTEXT else "contexts"
    linked = _links(tx, links, ours, theirs, numbers, contexts)
    for ids in _portions(list(numbers)):
        rows = tx.rows_in(
            "SELECT id, type_id, name, external_id, create_time_since_epoch, last_update_time_since_epoch"
            f"{own} FROM {table} WHERE id IN ({{ids}}) ORDER BY id",
            ids,
        )
        properties = read_values(tx, table, ids)
        for id, type_id, name, external_id, created, updated, *rest in rows:
            body = {
                "id": numbers[id], "type": types.name(type_id), "name": name, "external_id": external_id,
                "create_time": created, "update_time": updated,
                "properties": {n: to_json(v) for (n, custom), v in properties[id].items() if not custom},
                "custom_properties": {n: to_json(v) for (n, custom), v in properties[id].items() if custom},
                members: linked.get(id),
            }  # fmt: skip
            if rest and rest[0] is not None:
                states: Any = ArtifactState if kind is TypeKind.ARTIFACT else ExecutionState
                body["state"] = states(rest[0]).name
            if len(rest) > 1:
                body["uri"] = rest[1]
            yield line(kind.name.lower(), body)


def read_values(tx: Transaction, table: str, ids: Sequence[int]) -> dict[int, dict[tuple[str, bool], Value]]:
    """Properties of nodes as they are stored, by (name, whether it is custom); an entry for every id."""
    owner = f"{table.lower()}_id"
    found: dict[int, dict[tuple[str, bool], Value]] = {i: {} for i in ids}
    for id, name, custom, whole, real, text, raw, proto, truth in tx.rows_in(
        f"SELECT {owner}, name, is_custom_property, {VALUE_COLUMNS} FROM {table}Property "
        f"WHERE {owner} IN ({{ids}})",
        ids,
    ):
        if text in _TEXTS_OF_INFINITY:
            real, text = float(_TEXTS_OF_INFINITY[text]), None
        found[id][name, bool(custom)] = (
            whole, None if real is None else float(real), text, _bytes(raw), _bytes(proto),
            None if truth is None else bool(truth),
        )  # fmt: skip
    return found


def _bytes(data: Any) -> bytes | None:
    return None if data is None else data.encode() if isinstance(data, str) else bytes(data)


def _links(
    tx: Transaction, table: str, ours: str, theirs: str, numbers: dict[int, int], contexts: dict[int, int]
) -> dict[int, list[int]]:
    """Numbers of the contexts that each node is in, or of a context's parents."""
    found: dict[int, list[int]] = defaultdict(list)
    for one, other in tx.rows_in(
        f"SELECT {ours}, {theirs} FROM {table} WHERE {theirs} IN ({{ids}})", contexts
    ):
        if one in numbers:
            found[one].append(contexts[other])
    return {id: sorted(members) for id, members in found.items()}


def _events(tx: Transaction, artifacts: dict[int, int], executions: dict[int, int]) -> Iterator[bytes]:
    """Events whose two ends are there, in the order in which they were recorded."""
    known = ids_in(tx, "SELECT id FROM Event WHERE execution_id IN ({ids})", executions)
    for ids in _portions(sorted(known)):
        rows = tx.rows_in(
            "SELECT id, execution_id, type, artifact_id, milliseconds_since_epoch FROM Event "
            "WHERE id IN ({ids})",
            ids,
        )
        inside = sorted(row for row in rows if row[3] in artifacts)
        paths = read_paths(tx, [row[0] for row in inside])
        for id, execution, kind, artifact, time in inside:
            yield line("event", {
                "artifact": artifacts[artifact], "execution": executions[execution],
                "type": EventType(kind).name, "time": time, "path": list(paths[id]),
            })  # fmt: skip


def read_paths(tx: Transaction, event_ids: Sequence[int]) -> dict[int, tuple[str | int, ...]]:
    """Paths of events; an entry for every id."""
    found: dict[int, list[str | int]] = {i: [] for i in event_ids}
    for id, is_index, index, key in tx.rows_in(
        "SELECT event_id, is_index_step, step_index, step_key FROM EventPath "
        f"WHERE event_id IN ({{ids}}) {tx.dialect.path_order}",
        event_ids,
    ):
        found[id].append(index or 0 if is_index else key or "")
    return {id: tuple(path) for id, path in found.items()}


def _versions(tx: Transaction, part: Part) -> Iterator[bytes]:
    columns = "SELECT version, pipeline, ir, create_time FROM tidemill_pipeline_version"
    if part.whole:
        wanted = [v for (v,) in tx.rows("SELECT version FROM tidemill_pipeline_version")]
    else:
        wanted = [v for (v,) in tx.rows_in("SELECT version FROM tidemill_run WHERE id IN ({ids})", part.runs)]
    for version in sorted(set(wanted)):  # an IR may be long: one at a time
        for row in tx.rows(f"{columns} WHERE version = ?", (version,)):
            yield line("version", dict(zip(("version", "pipeline", "ir", "create_time"), row, strict=True)))


RUN_FIELDS = (
    "id", "pipeline", "version", "state", "root", "parameters", "date", "owner", "create_time", "end_time"
)  # fmt: skip
"""Columns of a run that stand in a file under their own names."""
NODE_FIELDS = (
    "iteration", "state", "attempt", "fence", "owner", "cache_key", "message", "start_time", "end_time"
)  # fmt: skip
"""The same of a node."""


def _runs(tx: Transaction, part: Part, contexts: dict[int, int]) -> Iterator[bytes]:
    for ids in _portions(part.runs):
        rows = tx.rows_in(
            f"SELECT context_id, {', '.join(RUN_FIELDS)} FROM tidemill_run WHERE id IN ({{ids}})", ids
        )
        for context, *values in sorted(rows):
            if context in contexts:
                yield line(
                    "run", {"context": contexts[context], **dict(zip(RUN_FIELDS, values, strict=True))}
                )


def _run_nodes(tx: Transaction, part: Part, executions: dict[int, int]) -> Iterator[bytes]:
    for ids in _portions(part.runs, 50):
        rows: list[Row] = tx.rows_in(
            f"SELECT run_id, first_execution_id, execution_id, node_id, {', '.join(NODE_FIELDS)} "
            "FROM tidemill_node WHERE run_id IN ({ids})",
            ids,
        )
        place = {run: index for index, run in enumerate(ids)}
        for run, first, execution, node, *values in sorted(rows, key=lambda r: (place[r[0]], r[1], r[3])):
            if first in executions and execution in executions:
                yield line("node", {
                    "run": run, "node": node, "execution": executions[execution],
                    "first_execution": executions[first], **dict(zip(NODE_FIELDS, values, strict=True)),
                })  # fmt: skip


def _portions(items: Sequence[Any], size: int = PORTION) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
