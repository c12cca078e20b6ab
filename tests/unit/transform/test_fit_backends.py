"""Fitting on the data engine: the same bytes on every backend, few readings, states that are kept."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import tidemill.data.transform as tft
from tidemill.data.dataset import Dataset
from tidemill.data.engine import open_backend
from tidemill.data.engine.states_file import StatesFiles
from tidemill.data.parquet import SplitWriter
from tidemill.data.transform.analyzers import ANALYZERS
from tidemill.data.transform.fit import Phase, fit, input_types, phases

BACKENDS: dict[str, list[str]] = {"inline": [], "pool": ["--workers=2"], "beam": []}
if importlib.util.find_spec("ray"):  # half a gigabyte: looked at where somebody has it
    BACKENDS["ray"] = []


def rows(seed: int, many: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    words = np.array(["a", "b", "c", "ü", "long word"], dtype=object)
    x = rng.lognormal(size=many)
    x[::17] = np.nan
    return pa.table(
        {
            "x": pa.array(x, mask=rng.random(many) < 0.1),
            "n": pa.array(rng.integers(-5, 2**40, many), mask=rng.random(many) < 0.1),
            "k": pa.array(words[rng.integers(0, 5, many)], pa.string(), mask=rng.random(many) < 0.1),
            "l": pa.array([rng.integers(0, 6, rng.integers(0, 4)).tolist() for _ in range(many)]),
        }
    )


def write(folder: Path, seeds: list[int]) -> Dataset:
    """Files of several row groups and blocks."""
    folders = []
    for seed in seeds:
        table = rows(seed, 900 + seed)
        with SplitWriter(folder / f"s{seed}", table.schema, group_rows=100) as writer:
            writer.write(table)
        folders.append(folder / f"s{seed}")
    return Dataset(tuple(folders))


def everything(c: tft.Inputs) -> dict[str, Any]:
    """Each analyzer, and some on the results of others."""
    z = tft.scale_to_z_score(c["x"])
    ids, weights = tft.tfidf(c["l"], 6)
    return {
        "z": z,
        "u": tft.scale_to_0_1(z),
        "b": tft.bucketize(tft.log1p(c["n"] + 6), 7),
        "v": tft.compute_and_apply_vocabulary(c["k"], num_oov_buckets=2),
        "zk": tft.scale_to_z_score_per_key(c["x"], c["k"]),
        "uk": tft.scale_to_0_1_per_key(c["x"], c["k"]),
        "bk": tft.bucketize_per_key(c["n"], c["k"], 4),
        "p": tft.pca(z, tft.cast(c["n"], "float") / tft.max(c["n"]), output_dim=2),
        "ids": ids,
        "weights": weights,
        "share": c["n"] / tft.cast(tft.sum(c["n"]), "float") * tft.count(c["n"]) / tft.size(c["n"]),
        "h": tft.histogram(c["x"], 8),
    }


def traced(data: Dataset) -> Any:
    schema = next(data.iter_batches()).schema
    return tft.trace(everything, input_types([schema]))


def test_every_analyzer_is_used_here(tmp_path: Path) -> None:
    graph = traced(write(tmp_path, [1]))
    assert {analysis.analyzer for analysis in graph.analyses} == set(ANALYZERS)
    assert [len(phase) for phase in phases(graph)] == [11, 3]


def test_backends_learn_the_same_to_the_bit(tmp_path: Path) -> None:
    data = write(tmp_path, [1, 2])
    graph = traced(data)
    digests = {}
    for name, options in BACKENDS.items():
        with open_backend(name, options) as backend:
            fitted = fit(graph, data, backend=backend)
        fitted.save(tmp_path)
        digests[name] = ((tmp_path / "graph.json").read_bytes(), fitted.digest)
    assert len(digests) >= 3
    assert all(found == digests["inline"] for found in digests.values())
    out = tft.FittedGraph.load(tmp_path).transform(pa.concat_tables(data.iter_batches()))
    assert out.num_rows == data.num_rows
    assert np.nanstd(out.column("z").to_numpy()) == pytest.approx(1)


def test_states_survive_their_bytes(tmp_path: Path) -> None:
    """On inline too, each block's state goes through bytes; here each analyzer's, at once and doubled."""
    data = write(tmp_path, [3])
    graph = traced(data)
    phase = Phase(graph, tuple(phases(graph)[0]))
    state = phase.empty()
    for table in data.iter_batches(phase.columns):
        state = phase.add(state, table)
    sent = phase.to_bytes(state)
    again = phase.from_bytes(sent)
    assert phase.to_bytes(again) == sent
    assert phase.finish(again) == phase.finish(state)
    assert phase.to_bytes(phase.from_bytes(phase.to_bytes(phase.empty()))) == phase.to_bytes(phase.empty())


def test_files_that_were_analyzed_before_are_not_read_again(tmp_path: Path) -> None:
    data = write(tmp_path, [1, 2])
    graph = traced(data)
    first = StatesFiles()
    fitted = fit(graph, data, kept=first)
    first.write(tmp_path)
    again = StatesFiles([tmp_path])
    assert fit(graph, data, kept=again).digest == fitted.digest
    assert again.found == 4  # two files in two phases

    wider = write(tmp_path, [1, 2, 3])
    moved = StatesFiles([tmp_path])
    assert fit(graph, wider, kept=moved).digest == fit(graph, wider).digest
    assert moved.found == 2  # the second phase builds on numbers that are others now


def test_states_are_kept_for_what_is_analyzed_alone(tmp_path: Path) -> None:
    data = write(tmp_path, [1])
    types = input_types([next(data.iter_batches()).schema])

    def version(preprocessing_fn: Any, types: dict[str, str] = types) -> str:
        graph = tft.trace(preprocessing_fn, types)
        return Phase(graph, tuple(phases(graph)[0])).version

    one = version(lambda c: {"a": tft.scale_to_z_score(c["x"])})
    assert one == version(lambda c: {"k": c["k"], "b": tft.scale_to_z_score(c["x"]) * 2})
    others = [
        version(lambda c: {"a": tft.scale_to_z_score(c["x"] + 1)}),
        version(lambda c: {"a": tft.scale_to_z_score(c["n"])}),
        version(lambda c: {"a": tft.scale_to_0_1(c["x"])}),
        version(lambda c: {"a": tft.bucketize(c["x"], 3)}),
        version(lambda c: {"a": tft.bucketize(c["x"], 4)}),
        version(lambda c: {"a": tft.scale_to_z_score(c["x"])}, {**types, "x": "int"}),
    ]
    assert len({one, *others}) == 7
