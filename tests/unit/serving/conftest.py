"""A small model with preprocessing, Examples that it understands, and servers in this process."""

from __future__ import annotations

import http.client
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pytest

import tidemill.data.transform as tft
from tidemill.data.parquet import split_folder, write_split
from tidemill.data.transform import FittedGraph, trace
from tidemill.data.transform.fit import fit
from tidemill.models import LoadedModel, load_model
from tidemill.models.flavors import lightgbm as flavor
from tidemill.models.flavors.base import output_fields
from tidemill.models.manifest import GRAPH_FOLDER, ModelManifest, complete, write_manifest
from tidemill.models.signature import Field, Signature
from tidemill.serving.server import ModelServer
from tidemill.storage.manifest import seal
from tidemill.types.standard import Examples, Model

TYPES = {"fare": "float", "miles": "float", "hour": "int", "company": "string", "cash": "bool",
         "start": "timestamp"}  # fmt: skip
ROW = {"fare": 12.5, "miles": 3.25, "hour": 17, "company": "Blue", "cash": True,
       "start": "2026-03-01T17:05:00"}  # fmt: skip


def raw_rows(rows: int, seed: int = 1) -> pa.Table:
    """Rows with nulls, and a label that can be learned."""
    rng = np.random.default_rng(seed)
    fare, miles = rng.gamma(2.0, 6.0, rows), rng.gamma(2.0, 2.0, rows)
    cash = rng.random(rows) < 0.4
    company = rng.choice(["Blue", "Red", "Green", "Taxi für alle"], rows)
    columns = {
        "id": pa.array(np.arange(rows)),
        "fare": pa.array([None if r < 0.1 else f for r, f in zip(rng.random(rows), fare, strict=True)]),
        "miles": pa.array(miles),
        "hour": pa.array(rng.integers(0, 24, rows)),
        "company": pa.array([None if r < 0.2 else c for r, c in zip(rng.random(rows), company, strict=True)]),
        "cash": pa.array(cash),
        "start": pa.array(
            np.datetime64("2026-03-01T00:00:00", "us") + rng.integers(0, 10**11, rows).astype("m8[us]")
        ),
        "label": pa.array(((fare > 10) & ~cash).astype(np.int64)),
    }
    return pa.table(columns)


def preprocessing_fn(inputs: tft.Inputs) -> dict[str, tft.Column]:
    """A little of everything."""
    return {
        "fare_z": tft.scale_to_z_score(tft.fill_null(inputs["fare"], 0.0)),
        "miles_z": tft.scale_to_z_score(inputs["miles"]),
        "hour": tft.clip(inputs["hour"], 0, 23),
        "company_id": tft.compute_and_apply_vocabulary(
            tft.fill_null(inputs["company"], "none"), top_k=10, num_oov_buckets=1
        ),
        "cash": tft.cast(inputs["cash"], "int"),
        "weekday": tft.weekday(inputs["start"]),
    }


def write_model(folder: Path, *, trees: int = 10, seed: int = 1) -> Path:
    """A model folder: LightGBM on the transform graph above."""
    import lightgbm

    rows = raw_rows(2000, seed)
    graph = FittedGraph(fit(trace(preprocessing_fn, TYPES), lambda columns: iter([rows.select(columns)])))
    made = graph.transform(rows)
    data = np.column_stack([made.column(name).to_numpy() for name in made.column_names]).astype(np.float64)
    settings = {"objective": "binary", "verbose": -1, "num_threads": 1, "deterministic": True, "seed": seed}
    dataset = lightgbm.Dataset(data, rows.column("label").to_numpy())
    booster = lightgbm.train(settings, dataset, trees)
    folder.mkdir(parents=True)
    (folder / GRAPH_FOLDER).mkdir()
    graph.graph.save(folder / GRAPH_FOLDER)
    saved = flavor.save(folder, booster)
    outputs = output_fields("binary", [0, 1])
    described = ModelManifest(
        flavor=saved.flavor, framework=saved.framework, payload=saved.payload, task="binary", label="label",
        classes=(0, 1), features=tuple(Field(n, k) for n, k in graph.output_types.items()),
        signature=Signature(outputs=outputs),
    )  # fmt: skip
    write_manifest(folder, complete(described, folder, graph, "tests:run_fn"))
    seal(folder)
    return folder


@pytest.fixture(scope="session")
def make_rows() -> Callable[..., pa.Table]:
    """`make_rows(n, seed)`."""
    return raw_rows


@pytest.fixture
def row() -> dict[str, Any]:
    """One row as clients write it."""
    return dict(ROW)


@pytest.fixture(scope="session")
def made_models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two different models. Tests that change them take `model_folder`."""
    place = tmp_path_factory.mktemp("models")
    return [write_model(place / "first"), write_model(place / "second", trees=20, seed=2)]


@pytest.fixture
def model_folder(made_models: list[Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(made_models[0], tmp_path / "model"))


@pytest.fixture
def model(model_folder: Path) -> Model:
    return Model(path=model_folder, uri=str(model_folder), digest=seal(model_folder).digest, id=7)


@pytest.fixture(scope="session")
def loaded(made_models: list[Path]) -> LoadedModel:
    return load_model(made_models[0])


@pytest.fixture
def examples(tmp_path: Path) -> Examples:
    folder = tmp_path / "examples"
    for split, rows in (("train", 700), ("eval", 300)):
        table = raw_rows(rows, seed=len(split))
        write_split(split_folder(folder, split), table.schema, [table])
    found = Examples(path=folder, uri=str(folder), id=3)
    found.splits = ["train", "eval"]
    return found


@dataclass(frozen=True)
class Answer:
    """What a server said."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection that stays open."""

    def __init__(self, address: str) -> None:
        self.address = address
        parts = urlsplit(address)
        self.connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 0, timeout=20)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if body is None or isinstance(body, (bytes, str)) else json.dumps(body)
        self.connection.request(method, path, data, sent)
        answer = self.connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        return self.ask("POST", path, body, **headers)


@contextmanager
def running(place: Path, **options: Any) -> Iterator[ModelServer]:
    server = ModelServer(place, **{"name": "taxi", **options})
    server.start()
    try:
        server.load()
        yield server
    finally:
        server.stop()


@pytest.fixture
def client_of() -> Iterator[Callable[[str], Client]]:
    """Makes clients of an address, which are closed in the end."""
    with ExitStack() as ends:

        def make(address: str) -> Client:
            client = Client(address)
            ends.callback(client.connection.close)
            return client

        yield make


def _starting() -> Iterator[Callable[..., tuple[ModelServer, Client]]]:
    with ExitStack() as ends:

        def start(place: Path, **options: Any) -> tuple[ModelServer, Client]:
            server = ends.enter_context(running(place, **options))
            client = Client(server.address)
            ends.callback(client.connection.close)
            return server, client

        yield start


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[ModelServer, Client]]]:
    """Starts a server on a place, with options, and a client of it; both end with the test."""
    yield from _starting()


@pytest.fixture(scope="module")
def start_server() -> Iterator[Callable[..., tuple[ModelServer, Client]]]:
    """The same for all tests of a file."""
    yield from _starting()
