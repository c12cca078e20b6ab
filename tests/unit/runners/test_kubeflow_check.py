"""What KFP would refuse later is refused at compile time, with the rule named and how to mend it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tidemill.errors import DefinitionError, RunnerError
from tidemill.ir.arrivals import AssetArrival
from tidemill.ir.model import (
    Concat,
    Environment,
    EnvironmentIR,
    Literal,
    NodeIR,
    OptionsIR,
    ParameterIR,
    PipelineIR,
    ResourcesIR,
    RetryIR,
    ScheduleIR,
)
from tidemill.runners.kubeflow.files import kubeflow_files, write_down
from tidemill.runners.kubeflow.packing import pack, unpack
from tidemill.runners.kubeflow.platform import (
    EmptyDir,
    Ephemeral,
    KubernetesOptions,
    Mounted,
    RunOptions,
    Toleration,
    Volume,
    Workspace,
    for_node,
)
from tidemill.runners.kubeflow.platform_file import parse_platform, read_platform
from tidemill.runners.kubeflow.spec import compile_spec
from tidemill.runners.kubeflow.target import Target

DIGEST = f"sha256:{'0' * 64}"
TARGET = Target(image=f"r.example/p@{DIGEST}", metadata="http://store:1", root="/data")
IR = PipelineIR(name="daily", nodes=(NodeIR(id="a", component="c", executor=""),))


def node(**fields: Any) -> PipelineIR:
    return replace(IR, nodes=(NodeIR(**{"id": "a", "component": "c", "executor": "", **fields}),))


def platform(**fields: Any) -> Target:
    return replace(TARGET, platform={"a": KubernetesOptions(**fields)})


def parameter(**fields: Any) -> PipelineIR:
    return replace(IR, parameters=(ParameterIR(**{"name": "p", "type": "str", **fields}),))


def many(count: int) -> PipelineIR:
    nodes = (NodeIR(id=f"n{i}", component="c", executor="") for i in range(count))
    return replace(IR, nodes=tuple(nodes))


WRONG: list[tuple[str, PipelineIR, Target]] = [
    ("no-image", IR, replace(TARGET, image="")),
    ("data-trigger", replace(IR, schedule=ScheduleIR(on=AssetArrival("s3://lake/a"))), TARGET),
    ("image-name", IR, replace(TARGET, image=f"r.example/Upper@{DIGEST}")),
    ("image-name", IR, replace(TARGET, image="r.example/p@sha256:12")),
    ("image-name", IR, replace(TARGET, image="r.example/a b:1", allow_tag=True)),
    ("image-name", IR, replace(TARGET, image="r.example/p:", allow_tag=True)),
    ("image-digest", IR, replace(TARGET, image="r.example/p:1")),
    ("image-digest", node(options=OptionsIR(environment=EnvironmentIR(image="trainer:1"))), TARGET),
    ("missing-secret", IR, replace(TARGET, metadata="")),
    ("missing-secret", IR, replace(TARGET, root="")),
    ("missing-secret", node(parameters={"x": Concat((Environment("TOKEN"), Literal("y")))}), TARGET),
    ("missing-secret", node(when=Environment("TOKEN")), TARGET),
    (
        "missing-secret",
        node(options=OptionsIR(environment=EnvironmentIR(image=TARGET.image, env=("T",)))),
        TARGET,
    ),
    (
        "missing-volume",
        node(options=OptionsIR(environment=EnvironmentIR(image=TARGET.image, mounts=("/m",)))),
        TARGET,
    ),
    ("secret-value", IR, replace(TARGET, metadata="postgresql://user:secret@host/db")),
    ("secret-value", IR, platform(env={"TIDEMILL_METADATA": "postgresql://user:secret@host/db"})),
    ("root-place", IR, replace(TARGET, root="data")),
    ("pipeline-name", IR, replace(TARGET, name="My Pipeline")),
    ("object-name", IR, replace(TARGET, namespace="Team")),
    ("reserved-name", parameter(name="tidemill_x", default=""), TARGET),
    ("reserved-name", node(id="run--end"), TARGET),
    ("parameters-too-large", parameter(default="x" * 10_000), TARGET),
    ("parameter-type", parameter(type="int", default=2**53), TARGET),
    ("required-parameter", replace(parameter(required=True), schedule=ScheduleIR(cron="@daily")), TARGET),
    ("component-too-large", many(600), TARGET),
    ("workflow-too-large", many(1200), TARGET),
    ("unknown-platform-executor", IR, replace(TARGET, platform={"trian": KubernetesOptions()})),
    ("accelerator", IR, platform(accelerator="gpu")),
    ("accelerator", IR, platform(accelerator="nvidia.com/")),
    ("object-name", IR, platform(secret_env={"A": "Upper/key"})),
    ("object-name", IR, platform(secrets=(Mounted(name="a_b", path="/x"),))),
    ("object-name", IR, platform(volumes=(Volume(claim="", path="/x"),))),
    ("object-name", IR, platform(image_pull_secrets=("a/b",))),
    ("no-object-name", IR, platform(secret_env={"A": "secret"})),
    ("no-object-name", IR, platform(field_env={"A": ""})),
    ("env-name", IR, platform(env={"1A": "x"})),
    ("duplicate-env", IR, platform(env={"A": "x"}, config_env={"A": "map/key"})),
    ("duplicate-env", IR, platform(env={"TIDEMILL_INSIDE_IMAGE": "x"})),
    ("mount-path", IR, platform(volumes=(Volume(claim="a", path="data"),))),
    ("mount-path", IR, platform(volumes=(Volume(claim="a", path="/s3/x"),))),
    ("mount-path", IR, platform(config_maps=tuple(Mounted(name=n, path="/x") for n in ("a", "b")))),
    ("mount-path", IR, platform(empty_dirs=(EmptyDir(name="e", path="/e", medium="disk"),))),
    ("bad-quantity", IR, platform(shared_memory="2 GB")),
    ("bad-quantity", IR, platform(ephemeral=(Ephemeral(name="e", path="/e", size="big"),))),
    ("access-mode", IR, platform(ephemeral=(Ephemeral(name="e", path="/e", size="1", access_modes=("R",)),))),
    ("access-mode", IR, replace(TARGET, run=RunOptions(workspace=Workspace(size="1", access_modes=("x",))))),
    ("label", IR, platform(labels={"a": "b c"})),
    ("label", IR, platform(node_selector={"a/b/c": "x"})),
    ("label", IR, platform(annotations={"": "x"})),
    ("label", node(options=OptionsIR(labels={"two words": "x"})), TARGET),
    ("pull-policy", IR, platform(image_pull_policy="Sometimes")),
    ("toleration", IR, platform(tolerations=(Toleration(key="a", operator="Like"),))),
    ("toleration", IR, platform(tolerations=(Toleration(key="a", operator="Exists", value="b"),))),
    ("toleration", IR, platform(tolerations=(Toleration(value="b"),))),
    ("toleration", IR, platform(tolerations=(Toleration(key="a", effect="Never"),))),
    ("run-as-root", IR, platform(run_as_user=0, run_as_non_root=True)),
    ("bad-count", IR, platform(deadline=-1)),
    ("bad-count", IR, replace(TARGET, run=RunOptions(ttl=2**31))),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "ir", "target"), WRONG, ids=[f"{i}-{w[0]}" for i, w in enumerate(WRONG)])
def test_the_rule_is_named(rule: str, ir: PipelineIR, target: Target) -> None:
    with pytest.raises(DefinitionError) as error:
        kubeflow_files(ir, target)
    rules = [problem.what.partition("]")[0].removeprefix("[") for problem in error.value.problems]
    assert rule in rules
    assert all(problem.hint and problem.where for problem in error.value.problems)
    assert "secret@host" not in str(error.value)


def test_nothing_is_wrong_with_what_the_mistakes_are_made_of() -> None:
    assert kubeflow_files(IR, TARGET)


def test_all_mistakes_are_said_at_once() -> None:
    with pytest.raises(DefinitionError) as error:
        kubeflow_files(
            parameter(name="tidemill_x", default="x" * 10_000), replace(TARGET, image="", metadata="")
        )
    assert len(error.value.problems) == 4


def test_variables_that_are_provided_or_have_a_default_are_no_mistake() -> None:
    asked = node(parameters={"x": Environment("TOKEN"), "y": Environment("STAGE", "dev")})
    assert kubeflow_files(asked, platform(secret_env={"TOKEN": "tidemill/token"}))


def test_a_root_without_volume_and_a_pipeline_too_large_to_travel_are_noted() -> None:
    assert "no volume at the root" in write_down(IR, TARGET).notes[0]
    every = {"*": KubernetesOptions(volumes=(Volume(claim="c", path="/data"),))}
    assert not write_down(IR, replace(TARGET, platform=every)).notes
    assert write_down(IR, replace(TARGET, platform={"a": every["*"]})).notes, "the task that ends the run too"
    noise = "".join(chr(0x4E00 + i * 7919 % 20000) for i in range(40_000))
    found = write_down(node(parameters={"x": Literal(noise)}), replace(TARGET, platform=every))
    assert "tidemill submit" in found.notes[0]
    assert "tidemill_pipeline" not in found.files["daily.yaml"]


def test_a_packed_pipeline_is_the_same_again() -> None:
    assert unpack(pack(IR)) == IR
    for damaged in ("", "x", pack(IR)[:-8], "eNo="):
        with pytest.raises(RunnerError, match="damaged"):
            unpack(damaged)


def executor(
    ir: PipelineIR, target: Target = TARGET
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Container, Kubernetes options and task of the node."""
    found = compile_spec(ir, target)
    container = found.pipeline["deploymentSpec"]["executors"]["exec-c"]["container"]
    kubernetes = found.kubernetes.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {})
    task = found.pipeline["components"]["dag-body"]["dag"]["tasks"]["a"]
    return container, kubernetes.get("executors", {}).get("exec-c", {}), task


def test_resources_leave_the_launcher_room_and_a_retry_its_growth() -> None:
    asked = ResourcesIR(cpu=1.5, memory=2**30, memory_max=2**31, gpu=2)
    container, _, _ = executor(node(options=OptionsIR(resources=asked)), platform(accelerator="amd.com/gpu"))
    assert container["resources"] == {
        "resourceCpuRequest": "1500m", "resourceCpuLimit": "1500m",
        "resourceMemoryRequest": "1280Mi", "resourceMemoryLimit": "2304Mi",
        "accelerator": {"resourceType": "amd.com/gpu", "resourceCount": "2"},
    }  # fmt: skip


def test_retries_are_as_many_as_all_classes_allow_and_never_over_before_they_begin() -> None:
    _, _, none = executor(IR)
    assert "retryPolicy" not in none
    _, _, short = executor(node(options=OptionsIR(retries=3)))
    _, _, long = executor(node(options=OptionsIR(retry=RetryIR(user=1, memory=2, infrastructure=4))))
    assert (short["retryPolicy"]["maxRetryCount"], long["retryPolicy"]["maxRetryCount"]) == (3, 7)
    # Without it Argo takes 0 for the longest time, and makes no second try.
    assert short["retryPolicy"]["backoffMaxDuration"] == "2592000s"


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"options": OptionsIR()}, 0),
        ({"options": OptionsIR(timeout=60)}, 600 + 60 + 900),
        ({"options": OptionsIR(timeout=60, pool="gpus")}, 0),
        ({"options": OptionsIR(timeout=60, pool="gpus", queue_timeout=30)}, 600 + 30 + 60 + 900),
        ({"options": OptionsIR(timeout=60), "kind": "approval"}, 0),
        ({"options": OptionsIR(timeout=60, total_timeout=100)}, 100 + 900),
    ],
)
def test_a_pod_has_a_deadline_where_all_waiting_is_bounded(fields: dict[str, Any], seconds: int) -> None:
    _, kubernetes, _ = executor(node(**fields))
    assert kubernetes.get("activeDeadlineSeconds", 0) == seconds


def test_labels_that_kubernetes_does_not_take_are_kept_as_annotations() -> None:
    options = OptionsIR(owner="ada@example.com", labels={"cost": "shared", "why": "because, well"})
    _, kubernetes, _ = executor(node(options=options))
    assert kubernetes["podMetadata"] == {
        "labels": {"cost": "shared"},
        "annotations": {"tidemill/owner": "ada@example.com", "why": "because, well"},
    }


def test_platform_options_of_several_patterns_are_merged() -> None:
    found = for_node(
        {
            "*": KubernetesOptions(
                labels={"a": "1", "b": "1"}, shared_memory="1Gi", image_pull_secrets=("x",)
            ),
            "tr*": KubernetesOptions(labels={"b": "2"}, shared_memory="2Gi", image_pull_secrets=("x", "y")),
            "other": KubernetesOptions(shared_memory="3Gi"),
        },
        "train",
    )
    assert found == KubernetesOptions(
        labels={"a": "1", "b": "2"}, shared_memory="2Gi", image_pull_secrets=("x", "y")
    )


def test_the_workspace_is_mounted_where_the_pipeline_has_one() -> None:
    found = compile_spec(IR, replace(TARGET, run=RunOptions(workspace=Workspace(size="1Gi"))))
    config = found.kubernetes["platforms"]["kubernetes"]["pipelineConfig"]
    assert config == {"workspace": {"size": "1Gi", "kubernetes": {"pvcSpecPatch": {}}}}
    task = found.pipeline["components"]["dag-body"]["dag"]["tasks"]["a"]
    assert task["inputs"]["parameters"]["tidemill_workspace"] == {
        "runtimeValue": {"constant": "{{$.workspace_path}}"}
    }


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"node": {}}, "unknown key 'node'"),
        ({"nodes": []}, "nodes must be a table"),
        ({"nodes": {"a": {"labls": {}}}}, "did you mean"),
        ({"nodes": {"a": {"labels": {"x": 1}}}}, "labels.x must be a text"),
        ({"nodes": {"a": {"volumes": [{"claim": "c"}]}}}, "lacks 'path'"),
        ({"nodes": {"a": {"volumes": {}}}}, "must be a list"),
        ({"nodes": {"a": {"run_as_user": True}}}, "must be a whole number"),
        ({"run": {"workspace": {}}}, "lacks 'size'"),
        ({"run": {"ttl": "1 day"}}, "must be a whole number"),
    ],
)
def test_a_platform_file_says_where_it_is_wrong(data: dict[str, Any], why: str) -> None:
    with pytest.raises(DefinitionError) as error:
        parse_platform(data, "platform.toml")
    assert why in str(error.value)
    assert "platform.toml" in str(error.value)


@pytest.mark.parametrize("content", [b"a = ", b"\xff", None])
def test_a_platform_file_that_is_none(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "platform.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DefinitionError):
        read_platform(file)
