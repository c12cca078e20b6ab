"""Requests learnt from the record: bounded, explained, and never learnt from little."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.ir.model import NodeIR, OptionsIR, OutputIR, PipelineIR, ResourcesIR, RetryIR
from tidemill.metadata.model import (
    FAILURE,
    MEMORY_LIMIT,
    Claim,
    ClaimRequest,
    NodeState,
    Publication,
    Run,
    RunState,
)
from tidemill.metadata.sql import SqlStore, open_store
from tidemill.runners.kubeflow import quantity
from tidemill.runners.kubeflow.files import kubeflow_files
from tidemill.runners.kubeflow.learn import (
    SPOT_POOLS,
    Bounds,
    Pool,
    learned,
    options_of,
    percentile,
    platform_text,
)
from tidemill.runners.kubeflow.platform import KubernetesOptions
from tidemill.runners.kubeflow.platform_file import read_platform
from tidemill.runners.kubeflow.target import Target
from tidemill.runtime import measure

MIB, GIB = 2**20, 2**30
TRIED = OptionsIR(retries=2)


def pipeline(options: OptionsIR = TRIED, **more: Any) -> PipelineIR:
    node = NodeIR(
        id="train", component="fit", executor="mine:fit", outputs=(OutputIR(name="model", type="Model"),),
        options=options, **more,
    )  # fmt: skip
    return PipelineIR(name="daily", nodes=(node,))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    opened = open_store(f"sqlite:///{tmp_path / 'metadata.db'}")
    yield opened
    opened.close()


def record(
    store: SqlStore, number: int, *, cpu: float = 2.0, seconds: float = 10.0, memory: int = 100 * MIB,
    component: str = "fit", state: NodeState = NodeState.COMPLETE, **more: Any,
) -> None:  # fmt: skip
    run = Run(
        id=f"daily-{number}", pipeline="daily", version="v", state=RunState.RUNNING, root="r", owner="me"
    )
    store.create_run(run, [])
    claim = store.claim(ClaimRequest(run_id=run.id, node_id="train", component=component, owner="me"))
    assert isinstance(claim, Claim)
    properties = {measure.CPU: cpu, measure.RUN: seconds, measure.RSS_PEAK: memory, **more}
    store.publish(claim, Publication(state=state, properties=properties))


def test_a_percentile_and_room_above(store: SqlStore) -> None:
    for number in range(20):
        record(store, number, cpu=10.0 + number, seconds=10.0, memory=(200 + 10 * number) * MIB)
    advice = learned(pipeline(), store)["train"]
    # p95 of 1.0 to 2.9 cores is 2.8; of 200 to 390 MiB it is 380: a quarter more, rounded up
    assert (advice.attempts, advice.cpu, advice.memory) == (20, 3.5, 480 * MIB)
    assert advice.why == ("p95 of 20: 2.80 cores", "p95 of 20: 380 MiB")


def test_nothing_is_learnt_from_a_few(store: SqlStore) -> None:
    for number in range(4):
        record(store, number)
    advice = learned(pipeline(), store)["train"]
    assert (advice.cpu, advice.memory) == (0.0, 0)
    assert advice.why == ("4 of 5 attempts that it takes",)
    assert not advice.spot
    assert options_of({"train": advice}) == {}


def test_what_is_reused_failed_or_of_another_component_does_not_count(store: SqlStore) -> None:
    for number in range(5):
        record(store, number, state=NodeState.FAILED)
    for number in range(5, 10):
        record(store, number, component="other")
    for number in range(10, 15):
        record(store, number, state=NodeState.CACHED)
    assert learned(pipeline(), store)["train"].attempts == 0


@pytest.mark.parametrize(
    ("declared", "used", "asked", "said"),
    [
        (ResourcesIR(cpu=1, memory=256 * MIB), (40.0, GIB), (1.0, 256 * MIB), "as much as it may use"),
        (ResourcesIR(cpu=4, memory=GIB), (0.01, MIB), (0.1, 128 * MIB), "raised to the floor"),
        (ResourcesIR(cpu=0.05, memory=64 * MIB), (0.01, MIB), (0.05, 64 * MIB), "as much as it may use"),
        (ResourcesIR(memory=256 * MIB, memory_max=GIB), (20.0, 700 * MIB), (2.5, 880 * MIB), "700 MiB"),
        (ResourcesIR(), (9999.0, 900 * GIB), (16.0, 64 * GIB), "as much as it may use"),
    ],
)
def test_never_below_the_floor_and_never_above_the_limit(
    store: SqlStore, declared: ResourcesIR, used: tuple[float, int], asked: tuple[float, int], said: str
) -> None:
    for number in range(5):
        record(store, number, cpu=used[0], seconds=10.0, memory=used[1])
    advice = learned(pipeline(OptionsIR(resources=declared)), store)["train"]
    assert (advice.cpu, advice.memory) == asked
    assert said in advice.why[1]


def test_what_was_too_little_once_is_not_asked_for_again(store: SqlStore) -> None:
    for number in range(5):
        record(store, number, memory=200 * MIB)
    short = {FAILURE: "OUT_OF_MEMORY", MEMORY_LIMIT: 512 * MIB}
    record(store, 9, state=NodeState.FAILED, **short)
    advice = learned(pipeline(), store)["train"]
    assert advice.memory == 768 * MIB
    assert advice.why[-1] == "512 MiB were too little once"


@pytest.mark.parametrize(
    ("options", "more", "seconds", "why"),
    [
        (TRIED, {}, 60.0, ""),
        (TRIED, {"effects": True}, 60.0, "it changes things outside"),
        (TRIED, {"on_exit": True}, 60.0, "it runs when a run ends"),
        (OptionsIR(), {}, 60.0, "no retry for a machine that vanishes"),
        (OptionsIR(retry=RetryIR(user=3)), {}, 60.0, "no retry for a machine that vanishes"),
        (TRIED, {}, 7200.0, "it takes 120 min"),
    ],
)
def test_who_may_be_interrupted(
    store: SqlStore, options: OptionsIR, more: dict[str, Any], seconds: float, why: str
) -> None:
    for number in range(5):
        record(store, number, seconds=seconds)
    advice = learned(pipeline(options, **more), store)["train"]
    assert advice.spot == (not why)
    assert why in advice.why_spot


def test_the_file_says_what_was_learnt_and_compiles(store: SqlStore, tmp_path: Path) -> None:
    for number in range(5):
        record(store, number, cpu=14.0, seconds=10.0, memory=300 * MIB)
    ir = pipeline(replace(TRIED, resources=ResourcesIR(cpu=2, memory=GIB)))
    advice = learned(ir, store)
    for pool in (None, *SPOT_POOLS.values(), Pool(selector={"odd key": 'va"lue'})):
        text = platform_text("daily", advice, pool)
        (tmp_path / "learnt.toml").write_text(text)
        assert read_platform(tmp_path / "learnt.toml")[0] == options_of(advice, pool)
        assert text == platform_text("daily", learned(ir, store), pool), "the same bytes"
    text = platform_text("daily", advice, SPOT_POOLS["aks"])
    assert "# p95 of 5: 1.40 cores; p95 of 5: 300 MiB" in text
    assert tomllib.loads(text)["nodes"]["train"]["cpu_request"] == "1750m"
    (tmp_path / "learnt.toml").write_text(text)
    nodes, _ = read_platform(tmp_path / "learnt.toml")
    base = {"*": KubernetesOptions(secret_env={"TIDEMILL_METADATA": "a/b"})}
    target = Target(image="r.example/m@sha256:" + "0" * 64, root="/data", platform={**base, **nodes})
    (compiled, *_) = kubeflow_files(ir, target).values()
    for line in (
        "resourceCpuRequest: 1750m", "resourceCpuLimit: '2'", "resourceMemoryRequest: 640Mi",
        "resourceMemoryLimit: 1280Mi", "kubernetes.azure.com/scalesetpriority: spot",
    ):  # fmt: skip
        assert line.replace("'", "") in compiled.replace("'", "").replace('"', "")


def test_a_request_written_by_hand_is_never_more_than_the_limit() -> None:
    ir = pipeline(OptionsIR(resources=ResourcesIR(cpu=1, memory=GIB)))
    options = KubernetesOptions(
        secret_env={"TIDEMILL_METADATA": "a/b"}, cpu_request="8", memory_request="32Gi"
    )
    target = Target(image="r.example/m@sha256:" + "0" * 64, root="/data", platform={"*": options})
    (compiled, *_) = kubeflow_files(ir, target).values()
    text = compiled.replace("'", "").replace('"', "")
    assert "resourceCpuRequest: 1\n" in text
    assert "resourceMemoryRequest: 1280Mi\n" in text


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(50, 100))
def test_percentiles_are_values_that_so_many_do_not_exceed(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) >= percent / 100 * len(values) - 1e-9


def test_quantities() -> None:
    assert [quantity.cores(t) for t in ("250m", "1.5", "2", "x", "")] == [0.25, 1.5, 2.0, None, None]
    assert [quantity.size(t) for t in ("512Mi", "1G", "10", "1.5Gi", "Mi")] == [
        512 * MIB, 10**9, 10, 1536 * MIB, None
    ]  # fmt: skip
    assert [quantity.of_cores(c) for c in (2.0, 0.29, 0.0001)] == ["2", "290m", "1m"]
    assert Bounds().least_cpu == 0.1
