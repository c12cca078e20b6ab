"""MLMD's Python interface: tidemill.mlmd next to ml-metadata 1.17.1, on SQLite, in one run.

    python bench/metadata.py [--peer mlmd/bin/python] [--repeats N] [--artifacts N] [--folder F] [--json]

`--peer` is an interpreter with ml-metadata 1.17.1; without it only tidemill is measured. The same
program runs with both imports, in processes of their own that take turns, each on a new file in the same
folder. Both sync every commit to the disk. Times are medians in milliseconds; a ratio says how many times
more ml-metadata takes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CALLS, CHAIN = 100, 100
WIDE, DEEP = 2500, 20
"""Chains from one artifact, and executions in each: 100,000 nodes within the 100 hops that MLMD goes."""
Figures = dict[str, tuple[float, float]]
"""Operation -> milliseconds of wall time and of CPU."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--peer", default="", help="interpreter with ml-metadata 1.17.1")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each side (default 5)")
    parser.add_argument("--artifacts", type=int, default=10_000, help="size of the batch (default 10000)")
    parser.add_argument("--folder", default=None, help="where the databases are made (default: temporary)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--side", default="", help=argparse.SUPPRESS)
    parser.add_argument("--file", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        sys.stdout.write(json.dumps(measure(options.side, options.file, options.artifacts)))
        return
    sides = {"tidemill": sys.executable} | ({"ml_metadata": options.peer} if options.peer else {})
    runs: dict[str, list[Figures]] = {side: [] for side in sides}
    for _ in range(options.repeats):
        for side, python in sides.items():
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                runs[side].append(_in_process(python, side, f"{folder}/store.db", options.artifacts))
    report({side: _medians(found) for side, found in runs.items()}, as_json=options.json)


def report(found: dict[str, Figures], *, as_json: bool) -> None:
    """Print figures of each side, and ratios where there are two."""
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    heads = [f"{side} {kind}" for side in found for kind in ("wall", "CPU")]
    heads += ["ratio wall", "ratio CPU"] if len(found) == 2 else []
    sys.stdout.write(f"{'':<44}" + "".join(f"{head:>18}" for head in heads) + "\n")
    for name in found["tidemill"]:
        values = [value for side in found for value in found[side][name]]
        if len(found) == 2:
            values += [values[2] / values[0], values[3] / values[1]]
        sys.stdout.write(f"{name:<44}" + "".join(f"{value:18.2f}" for value in values) + "\n")


def measure(side: str, file: str, size: int) -> Figures:
    """One run of one side; what a single call or a whole batch takes."""
    mlmd, pb = _load(side)
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = file
    store = mlmd.MetadataStore(config)
    properties = {"a": pb.INT, "b": pb.STRING, "c": pb.DOUBLE}
    model = store.put_artifact_type(pb.ArtifactType(name="Model", properties=properties))
    trainer = store.put_execution_type(pb.ExecutionType(name="Trainer"))
    run = pb.Context(type_id=store.put_context_type(pb.ContextType(name="Run")), name="run")
    batch = [_artifact(pb, model, i) for i in range(size)]
    inputs = store.put_artifacts(batch[:2])
    found: Figures = {}
    found[f"put_artifacts, {size}"], ids = _timed(lambda: store.put_artifacts(batch[2:]))

    def publish() -> None:
        for i in range(CALLS):
            used = [(pb.Artifact(id=n, uri="in"), pb.Event(type=pb.Event.INPUT)) for n in inputs]
            made = [(_artifact(pb, model, size + 2 * i + n), pb.Event(type=pb.Event.OUTPUT)) for n in (0, 1)]
            execution = pb.Execution(type_id=trainer, name=f"e{i}")
            store.put_execution(execution, used + made, [run], reuse_context_if_already_exist=True)

    (wall, cpu), _ = _timed(publish)
    found["put_execution: 2 inputs, 2 outputs, 1 context"] = wall / CALLS, cpu / CALLS
    found[f"get_artifacts_by_id, {size}"], got = _timed(lambda: store.get_artifacts_by_id(ids))
    assert len(got) == size - 2
    options = mlmd.ListOptions(limit=100)
    found["get_artifacts, limit 100"], _ = _timed(lambda: store.get_artifacts(options), warm=True)
    last = _chain(pb, store, model, trainer)
    query = pb.LineageSubgraphQueryOptions(max_num_hops=100, direction=1)
    query.starting_artifacts.filter_query = f"id = {last}"
    found["get_lineage_subgraph, 100 hops"], graph = _timed(
        lambda: store.get_lineage_subgraph(query), warm=True
    )
    assert len(graph.artifacts) + len(graph.executions) == 101
    query.direction = 2
    query.starting_artifacts.filter_query = f"id = {_broom(pb, store, model, trainer)}"
    nodes = 1 + 2 * WIDE * DEEP
    found[f"get_lineage_subgraph, {nodes} nodes"], graph = _timed(lambda: store.get_lineage_subgraph(query))
    assert len(graph.artifacts) + len(graph.executions) == nodes
    return found


def _broom(pb: Any, store: Any, model: int, trainer: int) -> int:
    """An artifact from which WIDE chains of DEEP executions go out, stored layer after layer; its id."""
    artifacts = [pb.Artifact(type_id=model, uri=f"broom/{i}") for i in range(1 + WIDE * DEEP)]
    executions = [pb.Execution(type_id=trainer) for _ in range(WIDE * DEEP)]
    ends = range(1, 1 + WIDE * DEEP)
    edges = [(i - 1, max(0, i - WIDE), pb.Event(type=pb.Event.INPUT)) for i in ends]
    edges += [(i - 1, i, pb.Event(type=pb.Event.OUTPUT)) for i in ends]
    return int(store.put_lineage_subgraph(executions, artifacts, [], edges)[1][0])


def _chain(pb: Any, store: Any, model: int, trainer: int) -> int:
    """Executions that each use what the one before made; the id of the last artifact."""
    artifacts = [pb.Artifact(type_id=model, uri=f"chain/{i}") for i in range(CHAIN + 1)]
    executions = [pb.Execution(type_id=trainer) for _ in range(CHAIN)]
    edges = [(i, i, pb.Event(type=pb.Event.INPUT)) for i in range(CHAIN)]
    edges += [(i, i + 1, pb.Event(type=pb.Event.OUTPUT)) for i in range(CHAIN)]
    return int(store.put_lineage_subgraph(executions, artifacts, [], edges)[1][-1])


def _artifact(pb: Any, model: int, number: int) -> Any:
    artifact = pb.Artifact(
        type_id=model, uri=f"file:///data/{number}", name=f"m{number}", state=pb.Artifact.LIVE
    )
    artifact.properties["a"].int_value = number
    artifact.properties["b"].string_value = f"value {number}"
    artifact.properties["c"].double_value = number / 7
    artifact.custom_properties["d"].string_value = "custom"
    return artifact


def _timed(action: Callable[[], Any], *, warm: bool = False) -> tuple[tuple[float, float], Any]:
    if warm:
        action()
    wall, cpu = time.perf_counter(), time.process_time()
    answer = action()
    return ((time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000), answer


def _load(side: str) -> tuple[Any, Any]:
    import importlib

    if side == "tidemill":
        mlmd = importlib.import_module("tidemill.mlmd")
        return mlmd, mlmd.metadata_store_pb2
    return (
        importlib.import_module("ml_metadata.metadata_store.metadata_store"),
        importlib.import_module("ml_metadata.proto.metadata_store_pb2"),
    )


def _in_process(python: str, side: str, file: str, size: int) -> Figures:
    words = [python, str(Path(__file__)), "--side", side, "--file", file, "--artifacts", str(size)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    found: Figures = json.loads(done.stdout)
    return found


def _medians(runs: list[Figures]) -> Figures:
    return {
        name: (statistics.median(r[name][0] for r in runs), statistics.median(r[name][1] for r in runs))
        for name in runs[0]
    }


if __name__ == "__main__":
    main()
