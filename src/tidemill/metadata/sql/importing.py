"""Taking a file of the record into a store: what is there already is found again, what is new is added.

Records are the same by what names them: types by kind, name and version; contexts, artifacts and
executions by external id, else by type and name; those without either by all that they say, the n-th of
equals being the n-th of equals; events by their ends and type; runs, nodes and versions by their keys. A
record that is the same but says something else is a conflict. All of it happens in the caller's
transaction, which ends with an error when there is a conflict, so that nothing was written.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tidemill.metadata.model import TypeKind
from tidemill.metadata.sql import names
from tidemill.metadata.sql.database import Transaction
from tidemill.metadata.sql.exporting import NODE_FIELDS, RUN_FIELDS, read_paths
from tidemill.metadata.sql.matching import Conflicts, Matcher
from tidemill.metadata.transfer import Imported, Kind
from tidemill.metadata.transfer.form import Record, TypeName
from tidemill.metadata.transfer.reader import records

_BATCH = 500
_NUMBERED: dict[Kind, TypeKind] = {
    "context": TypeKind.CONTEXT, "artifact": TypeKind.ARTIFACT, "execution": TypeKind.EXECUTION
}  # fmt: skip
_LINKS = {
    "context": ("ParentContext", "context_id, parent_context_id", "parents"),
    "artifact": ("Attribution", "artifact_id, context_id", "contexts"),
    "execution": ("Association", "execution_id, context_id", "contexts"),
}


def take(tx: Transaction, path: Path) -> Imported:
    """Take the file in. StoreError for a mistake in it, or for conflicts with what is stored."""
    names.lock_registry(tx)
    taker = _Taker(tx)
    batch: list[Record] = []
    of: Kind = "type"
    for kind, record, _ in records(path):
        if batch and (kind != of or len(batch) >= _BATCH):
            taker.take(of, batch)
            batch = []
        of = kind
        batch.append(record)
    if batch:
        taker.take(of, batch)
    taker.link_parents()
    taker.conflicts.refuse(str(path))
    return Imported(added=dict(taker.added), known=dict(taker.known))


class _Taker:
    """One import: where each number of the file is stored, and what was found on the way."""

    def __init__(self, tx: Transaction) -> None:
        self.tx = tx
        self.conflicts = Conflicts()
        self.types: dict[tuple[TypeKind, TypeName], int] = {}
        self.ids: dict[str, list[int]] = {"context": [0], "artifact": [0], "execution": [0]}
        """Kind -> ids in the store by number in the file; numbers begin with 1."""
        self.stored: dict[str, set[int]] = {"context": set(), "artifact": set(), "execution": set()}
        """Ids of what was there before."""
        self.matchers = {kind: Matcher(tx, of, self.conflicts) for kind, of in _NUMBERED.items()}
        self.parents: list[tuple[int, tuple[int, ...]]] = []
        self.added: Counter[Kind] = Counter()
        self.known: Counter[Kind] = Counter()

    def take(self, kind: Kind, batch: Sequence[Record]) -> None:
        """Take a number of records of one kind in."""
        match kind:
            case "type":
                for record in batch:
                    self._count(kind, known=self._type(record))
            case "context" | "artifact" | "execution":
                self._nodes(kind, batch)
            case "event":
                self._events(batch)
            case "version":
                keys = ("version", "pipeline", "ir")
                self._rows(kind, "tidemill_pipeline_version", keys, 1, batch, ("create_time",))
            case "run":
                self._runs(batch)
            case "node":
                self._run_nodes(batch)

    def _count(self, kind: Kind, *, known: bool, number: int = 1) -> None:
        (self.known if known else self.added)[kind] += number

    # --- types ------------------------------------------------------------------------------------

    def _type(self, record: Record) -> bool:
        """Find a type, or store it; whether it was there, with all its properties."""
        kind, name, version = record["kind"], record["name"], record["version"]
        unversioned, rest = ("version IS NULL", ()) if version is None else ("version = ?", (version,))
        rows = self.tx.rows(
            "SELECT id, name, description, input_type, output_type, external_id FROM Type "
            f"WHERE type_kind = ? AND name = ? AND {unversioned} ORDER BY id",
            (kind.value, name, *rest),
        )
        found = next((row for row in rows if row[1] == name), None)
        extras = ("description", "input_type", "output_type", "external_id")
        label = f"{kind.name.lower()} type {name!r}"
        if found is None:
            columns = ("name", "version", "type_kind", *extras)
            values = (name, version, kind.value, *(record[extra] for extra in extras))
            type_id, before = self.tx.insert("Type", ", ".join(columns), values), dict[str, int]()
        else:
            type_id = found[0]
            for extra, value in zip(extras, found[2:], strict=True):
                if record[extra] is not None and value != record[extra]:
                    self.conflicts.add(label, extra, value, record[extra])
            before = dict(
                self.tx.rows("SELECT name, data_type FROM TypeProperty WHERE type_id = ?", (type_id,))
            )
        self.types[kind, (name, version)] = type_id
        for prop, wanted in record["properties"].items():
            if before.get(prop, wanted.value) != wanted.value:
                self.conflicts.add(label, f"property {prop}", before[prop], wanted.value)
        new = [(type_id, p, k.value) for p, k in record["properties"].items() if p not in before]
        self.tx.insert_rows("TypeProperty", "type_id, name, data_type", new)
        grown = self._type_parents(record, type_id, label)
        return found is not None and not new and not grown

    def _type_parents(self, record: Record, type_id: int, label: str) -> bool:
        """Give a type the parents that it lacks; whether it lacked any."""
        stored = {
            p for (p,) in self.tx.rows("SELECT parent_type_id FROM ParentType WHERE type_id = ?", (type_id,))
        }
        wanted = {self.types[record["kind"], parent] for parent in record["parents"]}
        if wanted and stored and wanted != stored:
            self.conflicts.add(label, "base type", "another one", [name for name, _ in record["parents"]])
            return False
        self.tx.insert_rows(
            "ParentType", "type_id, parent_type_id", [(type_id, p) for p in sorted(wanted - stored)]
        )
        return bool(wanted - stored)

    # --- contexts, artifacts, executions ----------------------------------------------------------

    def _nodes(self, kind: Kind, batch: Sequence[Record]) -> None:
        of = _NUMBERED[kind]
        type_ids = [self.types[of, record["type"]] for record in batch]
        found = self.matchers[kind].match(batch, type_ids)
        new = [i for i, id in enumerate(found) if not id]
        made = self.matchers[kind].insert([batch[i] for i in new], [type_ids[i] for i in new])
        for i, id in zip(new, made, strict=True):
            found[i] = id
        self.stored[kind] |= set(found) - set(made)
        self.ids[kind] += found
        self._count(kind, known=False, number=len(new))
        self._count(kind, known=True, number=len(batch) - len(new))
        members = _LINKS[kind][2]
        wanted = [(id, record[members]) for id, record in zip(found, batch, strict=True) if record[members]]
        if kind == "context":
            self.parents += wanted  # a parent may stand after its child
        else:
            self._link(kind, wanted)

    def link_parents(self) -> None:
        """Make contexts children of their parents, now that all of them are stored."""
        self._link("context", self.parents)

    def _link(self, kind: str, wanted: Iterable[tuple[int, Iterable[int]]]) -> None:
        """Put nodes into contexts, which are given by their numbers."""
        table, columns, _ = _LINKS[kind]
        pairs = dict.fromkeys(
            (id, self.ids["context"][number]) for id, numbers in wanted for number in numbers
        )
        one, other = columns.split(", ")
        old = {id for id, _ in pairs} & self.stored[kind]
        there: set[tuple[int, int]] = set()
        if old:
            # By context: MLMD's tables have their index by context first.
            among = sorted({c for id, c in pairs if id in old})
            there = {
                (a, c)
                for a, c in self.tx.rows_in(
                    f"SELECT {one}, {other} FROM {table} WHERE {other} IN ({{ids}})", among
                )
                if a in old
            }
        self.tx.insert_rows(table, columns, [pair for pair in pairs if pair not in there])

    # --- events -----------------------------------------------------------------------------------

    def _events(self, batch: Sequence[Record]) -> None:
        keyed: dict[tuple[int, int, int], Record] = {}
        for record in batch:
            key = (self.ids["artifact"][record["artifact"]], self.ids["execution"][record["execution"]],
                   record["type"].value)  # fmt: skip
            if keyed.setdefault(key, record) is not record:
                self.conflicts.add(
                    _event_label(key), "path", "stands twice in the file", list(record["path"])
                )
        old = {key[1] for key in keyed} & self.stored["execution"]
        rows = self.tx.rows_in(
            "SELECT artifact_id, execution_id, type, id FROM Event WHERE execution_id IN ({ids})", old
        )
        stored = {(a, e, kind): id for a, e, kind, id in rows if (a, e, kind) in keyed}
        paths = read_paths(self.tx, list(stored.values()))
        for key, id in stored.items():
            if paths[id] != keyed[key]["path"]:
                self.conflicts.add(_event_label(key), "path", list(paths[id]), list(keyed[key]["path"]))
        new = [key for key in keyed if key not in stored]
        columns = ("artifact_id", "execution_id", "type", "milliseconds_since_epoch")
        ids = (
            self.tx.insert_counted("Event", ", ".join(columns), [(*key, keyed[key]["time"]) for key in new])
            if new
            else []
        )
        steps = [
            (id, True, step, None) if isinstance(step, int) else (id, False, None, step)
            for id, key in zip(ids, new, strict=True)
            for step in keyed[key]["path"]
        ]
        self.tx.insert_rows("EventPath", "event_id, is_index_step, step_index, step_key", steps)
        self._count("event", known=False, number=len(new))
        self._count("event", known=True, number=len(keyed) - len(new))

    # --- tidemill's own ---------------------------------------------------------------------------

    def _runs(self, batch: Sequence[Record]) -> None:
        rows = [{**record, "context_id": self.ids["context"][record["context"]]} for record in batch]
        self._rows("run", "tidemill_run", (*RUN_FIELDS, "context_id"), 1, rows)

    def _run_nodes(self, batch: Sequence[Record]) -> None:
        ids = self.ids["execution"]
        rows = [
            {
                **record, "run_id": record["run"], "node_id": record["node"],
                "execution_id": ids[record["execution"]],
                "first_execution_id": ids[record["first_execution"]],
            }
            for record in batch
        ]  # fmt: skip
        iteration, *rest = NODE_FIELDS
        columns = ("run_id", "node_id", iteration, "execution_id", "first_execution_id", *rest)
        self._rows("node", "tidemill_node", columns, 3, rows)

    def _rows(
        self, kind: Kind, table: str, columns: Sequence[str], keys: int, batch: Sequence[Record],
        untold: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        """Rows of one of our tables; the first `keys` columns are its key, `untold` are not compared."""
        wanted: dict[tuple[object, ...], tuple[object, ...]] = {}
        for record in batch:
            row = tuple(_plain(record[column]) for column in (*columns, *untold))
            if wanted.setdefault(row[:keys], row) is not row:
                self.conflicts.add(f"{kind} {row[keys - 1]}", "row", "stands twice in the file", "again")
        stored = defaultdict[tuple[object, ...], tuple[object, ...]](tuple)
        for row in self.tx.rows_in(
            f"SELECT {', '.join(columns)} FROM {table} WHERE {columns[0]} IN ({{ids}})",
            {key[0] for key in wanted},
        ):
            stored[tuple(row[:keys])] = tuple(row)
        for key, row in wanted.items():
            for column, before, after in zip(columns, stored[key], row, strict=False):
                if before != after:
                    self.conflicts.add(f"{kind} {'/'.join(map(str, key))}", column, before, after)
        new = [row for key, row in wanted.items() if not stored[key]]
        self.tx.insert_rows(table, ", ".join((*columns, *untold)), new)
        self._count(kind, known=False, number=len(new))
        self._count(kind, known=True, number=len(wanted) - len(new))


def _plain(value: object) -> object:
    return getattr(value, "value", value)


def _event_label(key: Mapping[int, int] | tuple[int, int, int]) -> str:
    return f"event of artifact {key[0]} and execution {key[1]}"
