"""A store with a history, on SQLite: do pages, lineage, claims and publications still take what they took?

    python bench/history.py [--executions N] [--repeats N] [--folder F] [--keep FILE] [--json]

The store is filled by bulk inserts: runs of ten nodes in a chain, each of which puts out one artifact with
two properties. `--keep` fills FILE, or uses it when it exists. Times are milliseconds of wall time, the
median and the 95th percentile, each question about another run or page; claim and publish also as how many
times longer they take than on a store without a history.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tidemill.metadata.lineage import trace
from tidemill.metadata.model import (
    Artifact,
    ArtifactType,
    ClaimRequest,
    NodeState,
    PropertyType,
    Publication,
    Run,
    RunState,
)
from tidemill.metadata.sql import SqlStore, open_store
from tidemill.metadata.sql.database import Transaction
from tidemill.metadata.sql.mlmd import Service
from tidemill.mlmd import metadata_store_pb2 as pb
from tidemill.mlmd import metadata_store_service_pb2 as calls

NODES = 10
START = 1_700_000_000_000
MODEL = ArtifactType(name="Model", properties={"span": PropertyType.INT})
Figures = dict[str, tuple[float, float]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--executions", type=int, default=100_000, help="size (default 100000)")
    parser.add_argument("--repeats", type=int, default=40, help="questions of each kind (default 40)")
    parser.add_argument("--folder", default=None, help="where the databases are made (default: temporary)")
    parser.add_argument("--keep", default="", help="a file to keep the store in")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(options.keep or f"{folder}/history.db")
        if not path.exists():
            fill(path, options.executions // NODES)
        store, empty = open_store(str(path)), open_store(f"{folder}/empty.db")
        fill_runs(empty, 0)
        figures = questions(store, options.repeats) | work(store, empty, options.repeats)
        store.close()
        empty.close()
    if options.json:
        sys.stdout.write(json.dumps(figures, indent=2) + "\n")
        return
    sys.stdout.write(f"{'':<52}{'median':>10}{'p95':>10}\n")
    for name, (median, late) in figures.items():
        sys.stdout.write(f"{name:<52}{median:10.2f}{late:10.2f}\n")


def questions(store: SqlStore, repeats: int) -> Figures:
    """What a page or a graph takes."""
    counts = store.statistics()
    runs, executions = counts["tidemill_run"], counts["Execution"]
    dice = random.Random(1)
    service = Service(store.database)
    asked: dict[str, Callable[[], object]] = {
        "get_runs": store.get_runs,
        "get_runs of a pipeline, failed": lambda: store.get_runs(pipeline="taxi", state=RunState.FAILED),
        "get_executions of a run": lambda: store.get_executions(f"run-{dice.randrange(runs)}"),
        "get_executions of a node of a run": lambda: store.get_executions(
            f"run-{dice.randrange(runs)}", f"node-{dice.randrange(NODES)}"
        ),
        "get_artifacts": store.get_artifacts,
        "get_artifacts of a type": lambda: store.get_artifacts(type="Model"),
        "get_artifacts of a run": lambda: store.get_artifacts(run_id=f"run-{dice.randrange(runs)}"),
        "get_artifacts of a pipeline": lambda: store.get_artifacts(pipeline="taxi"),
        "get_contexts_by_execution": lambda: store.get_contexts_by_execution(1 + dice.randrange(executions)),
        "lineage of a run": lambda: trace(store, run_id=f"run-{dice.randrange(runs)}"),
    }
    pipeline = store.get_contexts_by_execution(1)[0].id
    for name, field in (("create time", 1), ("update time", 2), ("id", 3)):
        everywhere = {"first": lambda: 0, "deep": lambda: dice.randrange(1, executions)}
        for where, after in everywhere.items():
            ask = partial(_page, service, field, after)
            asked |= {
                f"MLMD GetExecutions by {name}, {where} page": partial(ask, "GetExecutions"),
                f"MLMD GetExecutionsByContext by {name}, {where} page": partial(
                    ask, "GetExecutionsByContext", context_id=pipeline
                ),
                f"MLMD GetArtifactsByType by {name}, {where} page": partial(
                    ask, "GetArtifactsByType", type_name="Model"
                ),
            }
    return {name: _timed(question, repeats) for name, question in asked.items()}


def _page(service: Service, field: int, place: Callable[[], int], call: str, **fields: Any) -> None:
    """One page of 100, newest first, from behind the node at a place (0: the first page)."""
    after = place()
    request = getattr(calls, f"{call}Request")(**fields)
    request.options.max_result_size = 100
    request.options.order_by_field.field = field
    request.options.order_by_field.is_asc = False
    if after:
        token = pb.ListOperationNextPageToken(id_offset=after)
        token.field_offset = after if field == 3 else START + after
        token.set_options.CopyFrom(request.options)
        request.options.next_page_token = base64.urlsafe_b64encode(token.SerializeToString()).decode()
    service.call(call, request, getattr(calls, f"{call}Response")())


def work(store: SqlStore, empty: SqlStore, repeats: int) -> Figures:
    """Claim and publish, on both stores in turns."""
    mark = f"{time.time_ns()}"
    for each in (store, empty):
        each.create_run(_run(mark), [MODEL])
    times: dict[str, list[float]] = {"history": [], "empty": []}
    for number in range(repeats * 5):
        for name, each in (("history", store), ("empty", empty)):
            used = [artifact.id for artifact in each.get_artifacts(limit=1)]
            began = time.perf_counter()
            claim = each.claim(
                ClaimRequest(run_id=mark, node_id=f"node-{number}", component="Trainer", owner="bench")
            )
            made = Artifact(type="Model", uri=f"/runs/{mark}/{number}", properties={"span": number})
            each.publish(
                claim,
                Publication(state=NodeState.COMPLETE, inputs={"model": used}, outputs={"model": [made]}),
            )
            times[name].append((time.perf_counter() - began) * 1000)
    medians = {name: statistics.median(found) for name, found in times.items()}
    lates = {name: statistics.quantiles(found, n=20)[-1] for name, found in times.items()}
    return {
        "claim and publish, with a history": (medians["history"], lates["history"]),
        "claim and publish, without": (medians["empty"], lates["empty"]),
        "    times longer with a history": (
            medians["history"] / medians["empty"],
            lates["history"] / lates["empty"],
        ),
    }


def _run(id: str) -> Run:
    return Run(id=id, pipeline="taxi", version="v", state=RunState.RUNNING, root="/runs")


def _timed(question: Callable[[], object], repeats: int) -> tuple[float, float]:
    question()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        question()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times), statistics.quantiles(times, n=20)[-1]


def fill(path: Path, runs: int) -> None:
    """A store with so many finished runs."""
    store = open_store(str(path))
    fill_runs(store, runs)
    store.close()


def fill_runs(store: SqlStore, runs: int) -> None:
    """Bulk inserts, each one statement: execution and artifact `i` are those of node i % NODES."""
    store.create_run(_run("first"), [MODEL])
    claim = store.claim(ClaimRequest(run_id="first", node_id="n", component="Trainer", owner="bench"))
    made = Artifact(type="Model", uri="/runs/schema", properties={"span": 0})
    store.publish(claim, Publication(state=NodeState.COMPLETE, outputs={"model": [made]}))
    store.end_run("first", RunState.COMPLETE, owner="")
    with store.database.writing() as tx:
        row = tx.row("SELECT type_id FROM Artifact")
        model = row[0] if row else 0
        types = {name: i for i, name in tx.rows("SELECT id, name FROM Type")}
        (pipeline,) = (i for (i,) in tx.rows("SELECT id FROM Context WHERE name = 'taxi'"))
        nodes = [
            tx.insert("Context", "type_id, name", (types["node"], f"taxi.node-{n}")) for n in range(NODES)
        ]
        tx.execute("CREATE TEMP TABLE number (i INTEGER PRIMARY KEY)")
        tx.execute(
            "INSERT INTO number WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT ?) "
            "SELECT i FROM n",
            (runs * NODES,),
        )
        _fill_nodes(tx, types, model, pipeline, nodes[0], runs if runs else 0)
        tx.execute("DROP TABLE number")


RUN = """tidemill_run (
    id, pipeline, version, state, root, parameters, date, owner, context_id, create_time, end_time,
    start_time)"""
NODE = """tidemill_node (
    run_id, node_id, iteration, state, attempt, fence, execution_id, first_execution_id, owner, cache_key,
    message, start_time, end_time)"""


def _fill_nodes(
    tx: Transaction, types: dict[str, int], model: int, pipeline: int, node: int, runs: int
) -> None:
    if not runs:
        return
    columns, times = "create_time_since_epoch, last_update_time_since_epoch", f"{START} + i, {START} + i"
    begun = f"{times}, {START} + i"
    first_run, each_run = node + NODES, f"FROM number WHERE i < {runs}"
    run, number, each = f"i / {NODES}", f"i % {NODES}", "FROM number"
    event = "Event (artifact_id, execution_id, type, milliseconds_since_epoch)"
    state, key = (
        "CASE WHEN i % 50 THEN 'COMPLETE' ELSE 'FAILED' END",
        f"'run-' || ({run}), 'node-' || ({number})",
    )
    contexts = (f"{pipeline}", f"{first_run} + {run}", f"{node} + {number}")
    rows = [
        (f"Context (id, type_id, name, {columns})",
         f"{first_run} + i, {types['pipeline_run']}, 'run-' || i, {times} {each_run}"),
        ("ParentContext", f"{first_run} + i, {pipeline} {each_run}"),
        (RUN,
         f"'run-' || i, 'taxi', 'v', {state}, '', '{{}}', '', 'bench', {first_run} + i, {begun} {each_run}"),
        (f"Execution (id, type_id, last_known_state, name, {columns})",
         f"2 + i, {types['Trainer']}, 3, 'run-' || ({run}) || '/node-' || ({number}), {times} {each}"),
        (f"Artifact (id, type_id, uri, state, name, {columns})",
         f"2 + i, {model}, '/runs/' || i, 2, 'run-' || ({run}) || '/' || ({number}), {times} {each}"),
        ("ArtifactProperty (artifact_id, name, is_custom_property, int_value)",
         f"2 + i, 'span', 0, i {each}"),
        ("ArtifactProperty (artifact_id, name, is_custom_property, string_value)",
         f"2 + i, 'digest', 1, hex(i * 7919) {each}"),
        (NODE, f"{key}, 0, 'COMPLETE', 1, 1, 2 + i, 2 + i, 'bench', 'key-' || i, '', {times} {each}"),
        (event, f"2 + i, 2 + i, 4, {START} + i {each}"),
        (event, f"CASE WHEN {number} THEN 1 + i ELSE 1 END, 2 + i, 3, {START} + i {each}"),
        ("EventPath", "id, 0, NULL, 'model' FROM Event WHERE execution_id > 1"),
        ("EventPath", "id, 1, 0, NULL FROM Event WHERE execution_id > 1"),
    ]  # fmt: skip
    rows += [("Association (context_id, execution_id)", f"{context}, 2 + i {each}") for context in contexts]
    rows += [("Attribution (context_id, artifact_id)", f"{context}, 2 + i {each}") for context in contexts]
    for into, select in rows:
        tx.execute(f"INSERT INTO {into} SELECT {select}")


if __name__ == "__main__":
    main()
