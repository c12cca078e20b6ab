"""Records to be moved: one with everything that tidemill writes, and ones drawn at random.

Loaded by tests of the room and by those of the servers; it writes through the store and through plain SQL.
"""

from __future__ import annotations

import base64
import math
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tidemill.metadata.model import Artifact, NodeState, PropertyValue, RunState, TypeKind
from tidemill.metadata.sql import SqlStore
from tidemill.metadata.sql.database import Transaction
from tidemill.metadata.transfer import Selection
from tidemill.testing.store_stories import claim_node, end_node, examples, start_run, train_and_judge

KINDS: dict[str, PropertyValue] = {
    "whole": 2**40,
    "real": 0.5,
    "text": "ä'\"%_\\",
    "truth": False,
    "endless": math.inf,
}


def write_history(store: SqlStore) -> None:
    """Runs in every state, results from the cache, an input from another run, retries."""
    store.put_pipeline_version("v1", "taxi", '{"name": "taxi"}')
    start_run(store, "r1", date="2024-01-05")
    data = Artifact(
        type="Examples", uri="file:///e", properties={"span": 3, "split_names": '["train"]'},
        custom_properties=KINDS,
    )  # fmt: skip
    made = end_node(store, "r1", "gen", outputs={"examples": [data, data]}, cache_key="k")
    two = {"examples": made.outputs["examples"], "again": [made.outputs["examples"][0]]}
    end_node(store, "r1", "trainer", inputs=two, properties=KINDS)
    end_node(store, "r1", "skipped", state=NodeState.SKIPPED, message="not wanted")
    end_node(store, "r1", "failed", state=NodeState.FAILED, message="boom", outputs={"x": [examples(1)]})
    end_node(store, "r1", "failed")
    store.end_run("r1", RunState.COMPLETE, owner="driver")
    start_run(store, "r2", date="2024-01-06")
    reused = {"examples": made.outputs["examples"]}
    end_node(store, "r2", "gen", state=NodeState.CACHED, outputs=reused, cache_key="k")
    end_node(store, "r2", "other", inputs={"examples": made.outputs["examples"]})
    store.end_run("r2", RunState.FAILED, owner="driver")
    train_and_judge(store, "r3", blessed=1, pipeline="other")
    claim_node(store, "r3", "running")


def exported(store: SqlStore, path: Path, selection: Selection | None = None) -> bytes:
    """A part of the record (all by default), also written to `path`."""
    data = b"".join(store.export_record(selection or Selection()))
    path.write_bytes(data)
    return data


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
VALUES = st.one_of(
    st.integers(-(2**63), 2**63 - 1).map(lambda v: (v, None, None, None, None)),
    st.floats(allow_nan=False).map(lambda v: (None, v, None, None, None)),
    TEXTS.map(lambda v: (None, None, v, None, None)),
    st.binary(max_size=5).map(lambda v: (None, None, None, base64.b64encode(v), None)),
    st.booleans().map(lambda v: (None, None, None, None, v)),
    st.just((None, None, None, None, None)),
)
PROPERTIES = st.dictionaries(st.tuples(st.sampled_from(["p", "q", "ö"]), st.booleans()), VALUES, max_size=4)
NODES = st.lists(
    st.tuples(st.integers(0, 2), st.booleans(), st.booleans(), st.integers(0, 3), PROPERTIES), max_size=6
)
"""Of each node: type, whether it has a name, and an external id, a small number, properties."""


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    """What ml-metadata's clients could have written: any nodes, linked in any way."""
    nodes = {kind: draw(NODES) for kind in TypeKind}
    sizes = {kind: len(found) for kind, found in nodes.items()}

    def pairs(one: TypeKind, other: TypeKind) -> st.SearchStrategy[list[tuple[int, int]]]:
        if not sizes[one] or not sizes[other]:
            return st.just([])
        ends = st.tuples(st.integers(0, sizes[one] - 1), st.integers(0, sizes[other] - 1))
        return st.lists(ends, max_size=8, unique=True)

    path = st.lists(st.one_of(TEXTS, st.integers(0, 2**31 - 1)), max_size=4)
    events = draw(pairs(TypeKind.ARTIFACT, TypeKind.EXECUTION))
    return {
        "nodes": nodes,
        "attributions": draw(pairs(TypeKind.CONTEXT, TypeKind.ARTIFACT)),
        "associations": draw(pairs(TypeKind.CONTEXT, TypeKind.EXECUTION)),
        "parents": [(a, b) for a, b in draw(pairs(TypeKind.CONTEXT, TypeKind.CONTEXT)) if a < b],
        "events": [(a, e, draw(st.integers(1, 7)), draw(path)) for a, e in events],
    }


def write_record(store: SqlStore, record: dict[str, Any]) -> None:
    """Store a drawn record, as rows."""
    with store.database.writing() as tx:
        ids: dict[TypeKind, list[int]] = {}
        for kind, nodes in record["nodes"].items():
            types = []
            for number, version in enumerate((None, None, "v2")):
                columns = "name, version, type_kind, description"
                types.append(
                    tx.insert("Type", columns, (f"T{number // 2}-{number}", version, kind.value, None))
                )
                tx.insert_rows("TypeProperty", "type_id, name, data_type",
                               [(types[-1], name, 3) for name in ("p", "q", "ö")])  # fmt: skip
            ids[kind] = []
            table = kind.name.capitalize()
            own = {"Artifact": ["state", "uri"], "Execution": ["last_known_state"], "Context": []}[table]
            for index, (of, named, known, number, properties) in enumerate(nodes):
                name = f"n{index}" if named or kind is TypeKind.CONTEXT else None
                values = [number or None, f"u{number}" if number else None][: len(own)]
                fields = ["type_id", "name", "external_id", "create_time_since_epoch",
                           "last_update_time_since_epoch", *own]  # fmt: skip
                row = (types[of], name, f"x{index}" if known else None, number, number + 1, *values)
                ids[kind].append(tx.insert(table, ", ".join(fields), row))
                tx.insert_rows(
                    f"{table}Property",
                    f"{table.lower()}_id, name, is_custom_property, int_value, double_value, string_value, "
                    "proto_value, bool_value",
                    [(ids[kind][-1], *key, *_keepable(tx, value)) for key, value in properties.items()],
                )
        contexts, artifacts = ids[TypeKind.CONTEXT], ids[TypeKind.ARTIFACT]
        executions = ids[TypeKind.EXECUTION]
        for table, ends, pairs, members in (
            ("Attribution", "context_id, artifact_id", record["attributions"], artifacts),
            ("Association", "context_id, execution_id", record["associations"], executions),
            ("ParentContext", "context_id, parent_context_id", record["parents"], contexts),
        ):
            tx.insert_rows(table, ends, [(contexts[a], members[b]) for a, b in pairs])
        for a, e, kind, path in record["events"]:
            row = (artifacts[a], executions[e], kind, 7)
            event = tx.insert("Event", "artifact_id, execution_id, type, milliseconds_since_epoch", row)
            steps = [
                (event, isinstance(s, int), *((s, None) if isinstance(s, int) else (None, s))) for s in path
            ]
            tx.insert_rows("EventPath", "event_id, is_index_step, step_index, step_key", steps)


def _keepable(tx: Transaction, value: tuple[Any, ...]) -> tuple[Any, ...]:
    """A value as this database keeps it: MariaDB has no number for infinity."""
    real = value[1]
    if real is None or math.isfinite(real) or tx.dialect.keeps_infinity:
        return value
    return (None, None, f"tidemill-double::{real}", None, None)
