"""Many writers at one SQLite store: does anybody lose a record, an answer, or a turn?

    python bench/writers.py [--seconds N] [--processes N] [--clients N] [--folder F] [--json]

First processes that open the same file, then clients of one `tidemill metadata serve` (extra `grpc`). Each
publishes executions with two artifacts and a context, one after another without a pause. Reported are
publications per second, the median and the 99th percentile of a publication's time, what was refused, and
what was acknowledged and is not stored.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

from tidemill.metadata.sql import open_store
from tidemill.mlmd import MetadataStore, errors
from tidemill.mlmd import metadata_store_pb2 as pb

SPAWN = multiprocessing.get_context("spawn")
Figures = dict[str, float]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long they write (default 5)")
    parser.add_argument("--processes", type=int, default=4, help="writers at the file (default 4)")
    parser.add_argument("--clients", type=int, default=8, help="writers at the server (default 8)")
    parser.add_argument("--folder", default=None, help="where the databases are made (default: temporary)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    found: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        if options.processes:
            path = f"{folder}/file.db"
            found[f"{options.processes} processes"] = measure(
                path, _file_config(path), options.processes, options.seconds
            )
        if options.clients:
            found[f"{options.clients} gRPC clients"] = measure_server(
                f"{folder}/server.db", options.clients, options.seconds
            )
    if options.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    names = list(next(iter(found.values())))
    sys.stdout.write(f"{'':<18}" + "".join(f"{name:>15}" for name in names) + "\n")
    for who, figures in found.items():
        sys.stdout.write(f"{who:<18}" + "".join(f"{figures[name]:15.1f}" for name in names) + "\n")


def measure_server(path: str, clients: int, seconds: float) -> Figures:
    """Writers at a metadata server of this process."""
    from tidemill.mlmd.grpc_server import Server

    store = open_store(path)
    server = Server(store)
    server.start()
    host, _, port = server.address.rpartition(":")
    config = pb.MetadataStoreClientConfig(host=host, port=int(port))
    try:
        return measure(path, config, clients, seconds)
    finally:
        server.stop(1.0)
        store.close()


def measure(path: str, config: Any, writers: int, seconds: float) -> Figures:
    """Let writers write, then look at what is stored."""
    MetadataStore(_file_config(path)).close()
    answers: Queue[tuple[list[float], list[str], list[str]]] = SPAWN.Queue()
    begin = SPAWN.Barrier(writers)
    kind, packed = type(config).__name__, config.SerializeToString()
    processes = [
        SPAWN.Process(target=write, args=(kind, packed, n, seconds, begin, answers)) for n in range(writers)
    ]
    for process in processes:
        process.start()
    got = [answers.get() for _ in processes]
    for process in processes:
        process.join()
    stored = MetadataStore(_file_config(path))
    kept = {execution.name for execution in stored.get_executions()}
    stored.close()
    times = sorted(t for written, _, _ in got for t in written)
    names = [name for _, acknowledged, _ in got for name in acknowledged]
    refused = [why for _, _, refusals in got for why in refusals]
    for why in sorted(set(refused)):
        sys.stderr.write(f"refused {refused.count(why)} times: {why}\n")
    median, late = statistics.median(times), times[int(len(times) * 0.99)]
    return {
        "publications/s": len(times) / seconds,
        "median ms": median * 1000,
        "p99 ms": late * 1000,
        "longest ms": times[-1] * 1000,
        "p99/median": late / median,
        "refused": float(len(refused)),
        "lost": float(len(set(names) - kept)),
    }


def write(kind: str, packed: bytes, number: int, seconds: float, begin: Any, answers: Any) -> None:
    """One writer: times, names that were acknowledged, and what was refused."""
    store = MetadataStore(getattr(pb, kind).FromString(packed))
    model = store.put_artifact_type(pb.ArtifactType(name="Model", properties={"span": pb.INT}))
    trainer = store.put_execution_type(pb.ExecutionType(name="Trainer"))
    run = pb.Context(type_id=store.put_context_type(pb.ContextType(name="Run")), name=f"run {number}")
    times, names, refused = list[float](), list[str](), list[str]()
    begin.wait()
    end = time.perf_counter() + seconds
    while (started := time.perf_counter()) < end:
        name = f"{number}/{len(times) + len(refused)}"
        made = [pb.Artifact(type_id=model, uri=f"file:///{name}/{i}", name=f"{name}/{i}") for i in (0, 1)]
        for artifact in made:
            artifact.properties["span"].int_value = len(times)
        pairs = [(artifact, pb.Event(type=pb.Event.OUTPUT)) for artifact in made]
        try:
            store.put_execution(pb.Execution(type_id=trainer, name=name), pairs, [run], True)
        except errors.StatusError as error:
            refused.append(f"{type(error).__name__}: {error}"[:200])
            continue
        times.append(time.perf_counter() - started)
        names.append(name)
    store.close()
    answers.put((times, names, refused))


def _file_config(path: str) -> Any:
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(Path(path))
    return config


if __name__ == "__main__":
    main()
