"""Filter queries on 100,000 artifacts, next to ml-metadata 1.17.1 on the same SQLite file.

    TIDEMILL_MLMD_PYTHON=mlmd/bin/python python bench/filters.py [--artifacts N] [--repeats N] [--json]

Both sides answer whole artifacts, with their properties: tidemill by find_ids (`ids`) and
get_artifacts_by_id, page after page, ml-metadata by get_artifacts with list options. Without the variable
only tidemill is measured. Times are medians in milliseconds; the ratio says how many times longer
ml-metadata takes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidemill.metadata.model import PropertyType, TypeKind
from tidemill.metadata.sql import SqlStore, open_store
from tidemill.metadata.sql.database import Transaction
from tidemill.metadata.sql.filtering import find_ids

PEER = Path(__file__).parents[1] / "tests/unit/filter/filter_peer.py"
PAGE = 1000
PER_RUN = 100
QUERIES = {
    "by property": "type = 'Model' AND properties.version.int_value = 7",
    "by run": "contexts_run.type = 'pipeline_run' AND contexts_run.name = 'run-000500'",
    "by two contexts, state and range": "contexts_a.name = 'taxi' AND contexts_b.name = 'run-000123' "
    "AND state = LIVE AND create_time_since_epoch > 1700000000000",
    "by part of the address": "uri LIKE '%/item-0%77'",
    "by event": "events_0.type = OUTPUT AND events_0.execution_id IN (11, 222, 333, 444)",
}
Figures = dict[str, dict[str, float]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--artifacts", type=int, default=100_000, help="rows (default 100000)")
    parser.add_argument("--repeats", type=int, default=5, help="times each query is asked (default 5)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "metadata.db"
        fill(path, options.artifacts)
        figures = measure(path, options.repeats)
    if options.json:
        sys.stdout.write(json.dumps(figures, indent=2) + "\n")
        return
    names = list(next(iter(figures.values())))
    sys.stdout.write(f"{'':<34}" + "".join(f"{name:>17}" for name in names) + "\n")
    for query, values in figures.items():
        sys.stdout.write(f"{query:<34}" + "".join(f"{values[name]:17.1f}" for name in names) + "\n")


def measure(path: Path, repeats: int) -> Figures:
    """Per query: how many artifacts it finds and what that costs."""
    figures: Figures = {}
    store = open_store(str(path))
    ours = {name: [_ours(store, query) for _ in range(repeats)] for name, query in QUERIES.items()}
    store.close()
    theirs = _theirs(path, repeats)
    for name, answers in ours.items():
        found = {
            "found": float(len(answers[0].ids)),
            "ids CPU": statistics.median(a.finding for a in answers) * 1000,
        }
        found |= _medians("tidemill", [(a.cpu, a.wall) for a in answers])
        if theirs:
            assert all(a["ids"] == answers[0].ids for a in theirs[name]), name
            found |= _medians("ml-metadata", [(a["cpu"], a["wall"]) for a in theirs[name]])
            found |= {
                f"ratio {x}": found[f"ml-metadata {x}"] / found[f"tidemill {x}"] for x in ("CPU", "wall")
            }
        figures[name] = found
    return figures


@dataclass(frozen=True, slots=True)
class Answer:
    """Ids that were found, CPU seconds of finding them, and CPU and wall seconds of the whole."""

    ids: list[int]
    finding: float
    cpu: float
    wall: float


def _ours(store: SqlStore, query: str) -> Answer:
    wall, cpu = time.perf_counter(), time.process_time()
    found: list[int] = []
    finding = 0.0
    token = None
    while True:
        started = time.process_time()
        with store.database.reading() as tx:
            ids, token = find_ids(tx, TypeKind.ARTIFACT, query, limit=PAGE, after=token)
        finding += time.process_time() - started
        found += [a.id for a in store.get_artifacts_by_id(ids)]
        if token is None:
            return Answer(found, finding, time.process_time() - cpu, time.perf_counter() - wall)


def _theirs(path: Path, repeats: int) -> dict[str, list[dict[str, Any]]]:
    python = os.environ.get("TIDEMILL_MLMD_PYTHON", "")
    if not python:
        return {}
    asked = json.dumps([["artifacts", query] for query in QUERIES.values() for _ in range(repeats)])
    done = subprocess.run(
        [python, str(PEER), str(path)], input=asked, check=True, stdout=subprocess.PIPE, text=True
    )
    answers = json.loads(done.stdout)
    return {name: answers[i * repeats : (i + 1) * repeats] for i, name in enumerate(QUERIES)}


def _medians(side: str, times: Sequence[tuple[float, float]]) -> dict[str, float]:
    cpu, wall = zip(*times, strict=True)
    return {f"{side} CPU": statistics.median(cpu) * 1000, f"{side} wall": statistics.median(wall) * 1000}


def fill(path: Path, count: int) -> None:
    """A store with `count` artifacts of three types in runs of PER_RUN, each made by an execution."""
    store = open_store(str(path))
    with store.database.writing() as tx:
        types = [tx.insert("Type", "name, type_kind", (n, 1)) for n in ("Examples", "Model", "Schema")]
        trainer = tx.insert("Type", "name, type_kind", ("Trainer", 0))
        pipeline = tx.insert("Type", "name, type_kind", ("pipeline", 2))
        run = tx.insert("Type", "name, type_kind", ("pipeline_run", 2))
        for type_id in types:
            tx.insert_rows(
                "TypeProperty", "type_id, name, data_type", [(type_id, "version", PropertyType.INT)]
            )
        tx.insert("Context", "type_id, name", (pipeline, "taxi"))
        runs = range(count // PER_RUN)
        tx.insert_rows("Context", "type_id, name", [(run, f"run-{i:06d}") for i in runs])
        _fill_nodes(tx, types, trainer, count)
    store.close()


def _fill_nodes(tx: Transaction, types: list[int], trainer: int, count: int) -> None:
    start, ids = 1_700_000_000_000, range(1, count + 1)
    times = "create_time_since_epoch, last_update_time_since_epoch"
    artifacts = [
        (types[i % 3], f"/runs/{i // PER_RUN}/item-{i:07d}", 2 + i % 3 // 2, f"a{i}", start + i, start + i)
        for i in ids
    ]
    tx.insert_rows("Artifact", f"type_id, uri, state, name, {times}", artifacts)
    executions = [(trainer, 3, f"e{i}", start + i, start + i) for i in ids[:: PER_RUN // 10]]
    tx.insert_rows("Execution", f"type_id, last_known_state, name, {times}", executions)
    columns = "artifact_id, name, is_custom_property, int_value, string_value"
    properties = [
        row
        for i in ids
        for row in (
            (i, "version", 0, i % 1000, None),
            (i, "digest", 1, None, f"{i:032x}"),
            (i, "span", 1, i, None),
        )
    ]
    tx.insert_rows("ArtifactProperty", columns, properties)
    tx.insert_rows("Attribution", "context_id, artifact_id", [(1, i) for i in ids])
    tx.insert_rows("Attribution", "context_id, artifact_id", [(2 + (i - 1) // PER_RUN, i) for i in ids])
    made = [(i, 1 + (i - 1) // 10, 4, start + i) for i in ids]
    used = [(i, 1 + i // 10, 3, start + i) for i in ids[:-1]]
    tx.insert_rows("Event", "artifact_id, execution_id, type, milliseconds_since_epoch", made + used)


if __name__ == "__main__":
    main()
