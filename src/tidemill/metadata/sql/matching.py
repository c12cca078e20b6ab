"""Finding the contexts, artifacts and executions of a file again in a store, and storing new ones.

See importing.py for what makes two of them the same. A portion of records costs a fixed number of
queries, each through an index of MLMD's: by external id, by type and name, by time of creation.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from tidemill.errors import StoreError
from tidemill.metadata.model import TypeKind
from tidemill.metadata.sql.database import Transaction
from tidemill.metadata.sql.exporting import read_values
from tidemill.metadata.transfer.form import NO_VALUE, VALUE_COLUMNS, Record, Value

_SHOWN = 5
"""Conflicts that an error names."""
_BASE = ("type_id", "name", "external_id", "create_time_since_epoch", "last_update_time_since_epoch")
_OWN = {
    TypeKind.CONTEXT: (),
    TypeKind.ARTIFACT: ("state", "uri"),
    TypeKind.EXECUTION: ("last_known_state",),
}
_NOT_COMPARED = {
    TypeKind.CONTEXT: {"create_time_since_epoch", "last_update_time_since_epoch"},
    TypeKind.ARTIFACT: {"last_update_time_since_epoch"},
    TypeKind.EXECUTION: {"last_update_time_since_epoch"},
}
"""MLMD changes the last one whenever a node is put again; a pipeline begins in each store at another time."""


class Conflicts:
    """Records of a file that a store has too, but with other content."""

    def __init__(self) -> None:
        self._found: list[str] = []
        self._count = 0

    def add(self, what: str, where: str, stored: object, given: object) -> None:
        """Note one."""
        self._count += 1
        if self._count <= _SHOWN:
            self._found.append(f"{what}: {where} is {_short(stored)} here and {_short(given)} in the file")

    def refuse(self, where: str) -> None:
        """StoreError when there was any."""
        if not self._count:
            return
        more = f"\n  and {self._count - _SHOWN} more" if self._count > _SHOWN else ""
        raise StoreError(
            "the file contradicts the store, and nothing was imported:\n  " + "\n  ".join(self._found) + more,
            where=where,
            hint="a record is never overwritten: import the file into another store",
        )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


class Matcher:
    """Finds and stores nodes of one kind; no stored node is found twice."""

    def __init__(self, tx: Transaction, kind: TypeKind, conflicts: Conflicts) -> None:
        self.tx = tx
        self.kind = kind
        self.table = kind.name.capitalize()
        self.columns = (*_BASE, *_OWN[kind])
        self.compared = [c for c in self.columns if c not in _NOT_COMPARED[kind]]
        self.conflicts = conflicts
        self.taken: set[int] = set()

    def match(self, batch: Sequence[Record], type_ids: Sequence[int]) -> list[int]:
        """Id of each record in the store, 0 for what is new there."""
        candidates = self._candidates(batch, type_ids)
        ids = sorted({id for found in candidates for id in found})
        stored = self._read(ids)
        result = []
        for record, type_id, found in zip(batch, type_ids, candidates, strict=True):
            wanted = self._row(record, type_id)
            properties = _all_properties(record)
            if record["name"] or record["external_id"]:
                result.append(self._named(record, wanted, properties, found, stored))
                continue
            equal = (i for i in found if i not in self.taken and not _difference(
                self.compared, stored[i], (wanted, properties)))  # fmt: skip
            result.append(self._take(next(equal, 0)))
        return result

    def _take(self, id: int) -> int:
        if id:
            self.taken.add(id)
        return id

    def _named(
        self, record: Record, wanted: dict[str, Any], properties: dict[tuple[str, bool], Value],
        found: list[int], stored: dict[int, Any],
    ) -> int:  # fmt: skip
        label = f"{self.kind.name.lower()} {record['name'] or record['external_id']!r}"
        if not found:
            return 0
        id = found[0]
        if id in self.taken:
            self.conflicts.add(label, "the record", f"{self.kind.name.lower()} {id}", "two different ones")
        for other in found[1:]:
            self.conflicts.add(label, "external_id or name", f"that of {other} too", "of one record")
        for what, before, after in _difference(self.compared, stored[id], (wanted, properties)):
            self.conflicts.add(label, what, before, after)
        return self._take(id)

    def insert(self, batch: Sequence[Record], type_ids: Sequence[int]) -> list[int]:
        """Store new nodes with their properties; their ids."""
        if not batch:
            return []
        rows = [tuple(self._row(r, t)[c] for c in self.columns) for r, t in zip(batch, type_ids, strict=True)]
        ids = self.tx.insert_counted(self.table, ", ".join(self.columns), rows)
        self.taken.update(ids)
        values = [
            (id, name, custom, *self._keepable(value))
            for id, record in zip(ids, batch, strict=True)
            for (name, custom), value in _all_properties(record).items()
        ]
        self.tx.insert_rows(
            f"{self.table}Property",
            f"{self.table.lower()}_id, name, is_custom_property, {VALUE_COLUMNS}",
            values,
        )
        return ids

    def _keepable(self, value: Value) -> Value:
        real = value[1]
        if real is None or self.tx.dialect.keeps_infinity or not math.isinf(real):
            return value
        return (None, None, f"tidemill-double::{real}", *value[3:])

    def _candidates(self, batch: Sequence[Record], type_ids: Sequence[int]) -> list[list[int]]:
        """Ids that may be each record, the most certain first."""
        by_external = self._by_external_id(r["external_id"] for r in batch if r["external_id"])
        names: dict[int, set[str]] = defaultdict(set)
        times: set[int] = set()
        for record, type_id in zip(batch, type_ids, strict=True):
            if record["name"]:
                names[type_id].add(record["name"])
            elif not record["external_id"]:
                times.add(record["create_time"])
        by_name = self._by_name(names)
        by_time = self._by_time(times)
        found = []
        for record, type_id in zip(batch, type_ids, strict=True):
            if record["name"] or record["external_id"]:
                one = (by_external.get(record["external_id"], 0), by_name.get((type_id, record["name"]), 0))
                found.append(list(dict.fromkeys(id for id in one if id)))
            else:
                found.append(by_time[record["create_time"]])
        return found

    def _by_external_id(self, ids: Iterable[str]) -> dict[str, int]:
        rows = self.tx.rows_in(
            f"SELECT external_id, id FROM {self.table} WHERE external_id IN ({{ids}})", set(ids)
        )
        return dict(rows)

    def _by_name(self, wanted: dict[int, set[str]]) -> dict[tuple[int, str], int]:
        found = {}
        for type_id, names in wanted.items():
            for name, id in self.tx.rows_in(
                f"SELECT name, id FROM {self.table} WHERE type_id = ? AND name IN ({{ids}})", names, [type_id]
            ):
                found[type_id, name] = id
                if name not in names:
                    self.conflicts.add(
                        f"{self.kind.name.lower()} {name!r}", "its name", repr(name),
                        "one that this database's tables cannot tell from it",
                    )  # fmt: skip
        return found

    def _by_time(self, times: set[int]) -> dict[int, list[int]]:
        found: dict[int, list[int]] = defaultdict(list)
        for time, id in self.tx.rows_in(
            f"SELECT create_time_since_epoch, id FROM {self.table} WHERE (name IS NULL OR name = '') "
            "AND create_time_since_epoch IN ({ids})",
            times,
        ):
            found[time].append(id)
        for ids in found.values():
            ids.sort()
        return found

    def _read(self, ids: Sequence[int]) -> dict[int, tuple[dict[str, Any], dict[tuple[str, bool], Value]]]:
        rows = self.tx.rows_in(
            f"SELECT id, {', '.join(self.columns)} FROM {self.table} WHERE id IN ({{ids}})", ids
        )
        properties = read_values(self.tx, self.table, ids) if ids else {}
        return {id: (dict(zip(self.columns, rest, strict=True)), properties[id]) for id, *rest in rows}

    def _row(self, record: Record, type_id: int) -> dict[str, Any]:
        """The columns of a record."""
        state = record.get("state")
        values = {
            "type_id": type_id, "name": record["name"], "external_id": record["external_id"],
            "create_time_since_epoch": record["create_time"],
            "last_update_time_since_epoch": record["update_time"],
            "state": state.value if state is not None else None, "uri": record.get("uri"),
        }  # fmt: skip
        values["last_known_state"] = values["state"]
        return values


def _all_properties(record: Record) -> dict[tuple[str, bool], Value]:
    declared = {(name, False): value for name, value in record["properties"].items()}
    return declared | {(name, True): value for name, value in record["custom_properties"].items()}


def _difference(
    columns: Sequence[str],
    stored: tuple[dict[str, Any], dict[tuple[str, bool], Value]],
    wanted: tuple[dict[str, Any], dict[tuple[str, bool], Value]],
) -> list[tuple[str, Any, Any]]:
    """What two nodes say differently: its name, the stored value, the wanted one."""
    found = [
        (column, stored[0][column], wanted[0][column])
        for column in columns
        if (stored[0][column] or None) != (wanted[0][column] or None)
    ]
    for key in sorted(stored[1].keys() | wanted[1].keys()):
        before, after = stored[1].get(key, NO_VALUE), wanted[1].get(key, NO_VALUE)
        if before != after:
            found.append((f"property {key[0]}", _said(before), _said(after)))
    return found


def _said(value: Value) -> Any:
    return next((part for part in value if part is not None), None)
