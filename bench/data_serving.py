"""Serving and bulk predictions: P14 (one row through the server) and P5 (memory of BulkInferrer).

The model is LightGBM with 50 trees behind the taxi example's preprocessing: 16 raw columns, 14 features.
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from goals import Goal

TAXI = Path(__file__).parents[1] / "examples" / "taxi"
TREES = 50
GROUP = 100_000
REQUESTS, BLOCKS = 3000, 10
ROW = {
    "trip_miles": 4.1, "fare": 14.5, "trip_seconds": 900, "payment_type": "Credit Card", "company": "Top Cab",
    "trip_start_hour": 22, "trip_start_day": 6, "trip_start_month": 5, "pickup_latitude": 41.9,
    "pickup_longitude": -87.6, "dropoff_latitude": 41.97, "dropoff_longitude": -87.9,
    "pickup_community_area": 8, "dropoff_community_area": 76, "pickup_census_tract": None,
    "dropoff_census_tract": None,
}  # fmt: skip


def one_row(rows: int | None) -> Goal:
    """P14: transform and predict one row in the server, over a connection that stays open.

    `rows` is the number of requests. The client is another process; its time counts.
    """
    requests = rows or REQUESTS
    with tempfile.TemporaryDirectory() as folder:
        model = _model(Path(folder))
        inside = _inside(model, requests)
        with _server(model) as (address, process):
            bodies = {
                "rows": ("/v1/models/model:predict", json.dumps({"instances": [ROW]})),
                "tensors": ("/v2/models/model/infer", json.dumps({"inputs": _tensors(address)})),
            }
            before = _cpu(process)
            timed = {name: _ask(address, path, body, requests) for name, (path, body) in bodies.items()}
            cpu = 1e3 * (_cpu(process) - before) / (2 * requests)
    found = "; ".join(
        f"{name} {_quantiles(times)}" for name, times in {**timed, "without HTTP": inside}.items()
    )
    slowest = max(1e3 * _best(times) for times in timed.values())
    what = f"one row, transform + LightGBM {TREES} trees, HTTP keep-alive, p50 of the best of {BLOCKS} blocks"
    note = f"{found}; {cpu:.2f} CPU-ms of the server each; stretch 0.7 ms"
    return Goal(number="P14", what=what, measured=slowest, bound=2.0, unit="ms", note=note)


def _best(seconds: list[float]) -> float:
    """The smallest median of the blocks: other work on the machine only adds."""
    size = max(1, len(seconds) // BLOCKS)
    return min(statistics.median(seconds[at : at + size]) for at in range(0, len(seconds), size))


def _quantiles(seconds: list[float]) -> str:
    ordered = [1e3 * item for item in sorted(seconds)]
    return f"p50 {statistics.median(ordered):.2f} ms, p99 {ordered[-1 - len(ordered) // 100]:.2f} ms"


def bulk_memory(rows: int | None) -> Goal:
    """P5 for BulkInferrer: peak memory over that of the imports, five times the rows against once."""
    few = rows or 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        model = _model(Path(folder))
        peaks, seconds = {}, {}
        for count in (0, few, 5 * few):
            done = subprocess.run(
                [sys.executable, __file__, str(model), str(count), str(Path(folder) / f"result-{count}")],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            peaks[count], seconds[count] = json.loads(done.stdout.splitlines()[-1])
    floor = peaks[0]
    said = [f"{n / 1e6:g}M rows {peaks[n] / 2**20:.0f} MiB in {seconds[n]:.1f} CPU-s" for n in peaks]
    ratio = (peaks[5 * few] - floor) / (peaks[few] - floor)
    what = "BulkInferrer, peak memory over the import floor, 5M against 1M rows"
    return Goal(
        number="P5", what=what, measured=ratio, bound=1.2, note=f"{', '.join(said)}; the first is the floor"
    )


# --- the model ------------------------------------------------------------------------------------


def _example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"taxi_{name}", TAXI / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


def _trips(rows: int) -> Any:
    import pyarrow as pa

    columns = _example("generate").trips(rows, 1)
    return pa.table({name: [None if v == "" else v for v in values] for name, values in columns.items()})


def _model(folder: Path) -> Path:
    """A trained model's folder."""
    from tidemill.components.trainer.ready import run_lightgbm
    from tidemill.components.transform import executor as transform
    from tidemill.data.parquet import split_folder, write_split
    from tidemill.types.standard import Examples, Model, ModelRun, TransformGraph

    examples, transformed = Examples(path=folder / "examples"), Examples(path=folder / "transformed")
    graph, model, log = (
        TransformGraph(path=folder / "graph"), Model(path=folder / "model"), ModelRun(path=folder / "log"),
    )  # fmt: skip
    table = _trips(20_000)
    write_split(split_folder(examples.path, "train"), table.schema, [table])
    examples.splits = ["train"]
    for artifact in (transformed, graph, model, log):
        artifact.path.mkdir()
    transform.run(
        examples=[examples], preprocessing_fn=_example("model").preprocessing_fn, transform_graph=graph,
        transformed=transformed,
    )  # fmt: skip
    run_lightgbm(
        examples=[transformed], transform_graph=graph, label="tipped", model=model, model_run=log,
        num_boost_round=TREES, num_threads=1, early_stopping_rounds=0,
    )  # fmt: skip
    return model.path


# --- asking ---------------------------------------------------------------------------------------


def _inside(model: Path, requests: int) -> list[float]:
    """Seconds for each row without HTTP, checks of its values included."""
    from tidemill.serving.columns import Batch
    from tidemill.serving.hosting import open_version

    served = open_version(model, "1", "")
    batch = Batch(1, {name: [value] for name, value in ROW.items()})
    times = []
    for _ in range(requests):
        began = time.perf_counter()
        served.predict(batch)
        times.append(time.perf_counter() - began)
    return times


@contextmanager
def _server(model: Path) -> Iterator[tuple[str, int]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tidemill.serving", str(model), "--with-stdin"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        address = str(json.loads(process.stdout.readline())["address"])
        while _get(address, "/v2/health/ready")[0] != 200:
            time.sleep(0.05)
        yield address, process.pid
        process.stdin.close()


def _cpu(process: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _connect(address: str) -> http.client.HTTPConnection:
    parts = urlsplit(address)
    return http.client.HTTPConnection(parts.hostname or "", parts.port or 0)


def _get(address: str, path: str) -> tuple[int, bytes]:
    connection = _connect(address)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def _tensors(address: str) -> list[dict[str, Any]]:
    return [
        {"name": tensor["name"], "datatype": tensor["datatype"], "shape": [1], "data": [ROW[tensor["name"]]]}
        for tensor in json.loads(_get(address, "/v2/models/model")[1])["inputs"]
    ]


def _ask(address: str, path: str, body: str, requests: int) -> list[float]:
    connection, times = _connect(address), []
    for _ in range(requests):
        began = time.perf_counter()
        connection.request("POST", path, body)
        answer = connection.getresponse()
        answer.read()
        times.append(time.perf_counter() - began)
        assert answer.status == 200
    connection.close()
    return times


# --- predicting in bulk, in a process of its own --------------------------------------------------


def _bulk(model: Path, rows: int, result: Path) -> None:
    """Predict `rows` rows, and print the peak of memory in bytes and the CPU time in seconds."""
    from tidemill.components.bulk_inferrer import executor
    from tidemill.data.parquet import SplitWriter, split_folder
    from tidemill.types.standard import Examples, InferenceResult, Model

    examples, table = Examples(path=result.with_name(f"examples-{rows}")), _trips(GROUP)
    with SplitWriter(split_folder(examples.path, "all"), table.schema) as writer:
        while writer.num_rows < rows:
            writer.write(table.slice(0, min(GROUP, rows - writer.num_rows)))
    examples.splits = ["all"]
    began = time.process_time()
    executor.run(
        examples=examples, model=Model(path=model), inference_result=InferenceResult(path=result),
        carry=["trip_start_timestamp", "company"],
    )  # fmt: skip
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sys.stdout.write("\n" + json.dumps([peak, time.process_time() - began]) + "\n")


GOALS = {"P5": bulk_memory, "P14": one_row}

if __name__ == "__main__":
    _bulk(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
