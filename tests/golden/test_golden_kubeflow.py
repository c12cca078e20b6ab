"""What `tidemill compile --to kubeflow` writes for the scenarios, the examples and a full platform file.

A changed golden file is what KFP would be given anew: read the difference. Digests of code are left out.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.ir import codec
from tidemill.ir.model import PipelineIR
from tidemill.runners.kubeflow import KubeflowDagRunner, names
from tidemill.runners.kubeflow.files import kubeflow_files, write_down
from tidemill.runners.kubeflow.packing import unpack
from tidemill.runners.kubeflow.platform_file import read_platform
from tidemill.runners.kubeflow.target import Target
from tidemill.testing.scenario_list import SCENARIOS

HERE = Path(__file__).parent
GOLDENS = HERE / "kubeflow"
EXAMPLES = HERE.parents[1] / "examples"
IMAGE = f"registry.example/team/pipelines@sha256:{'0' * 64}"
TARGET = Target(image=IMAGE, metadata="http://tidemill:8000", root="/data/tidemill")
FILES = {
    **{s.name: s.file for s in SCENARIOS},
    "taxi": EXAMPLES / "taxi" / "pipeline.py",
    "taxi_full": EXAMPLES / "taxi" / "full.py:taxi_lightgbm",
    "recommender": EXAMPLES / "recommender" / "pipeline.py",
}


def command(*words: str, cwd: Path = HERE, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tidemill.cli.main", *words],
        cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def compiled(file: Path) -> PipelineIR:
    if EXAMPLES in file.parents:  # they import libraries that one process can import only once
        return codec.loads(command("compile", str(file)).stdout)
    return compile_pipeline(load_pipeline(str(file))[0])


def written(ir: PipelineIR, target: Target = TARGET) -> tuple[str, str]:
    """The pipeline's file and that of the resources."""
    pipeline, resources = kubeflow_files(ir, target).values()
    return pipeline, resources


def without_code(text: str, ir: PipelineIR) -> str:
    """Without what changes with every line of the components' code: the version, and the IR itself."""
    carried = re.findall(r"constant: \"?(eN[A-Za-z0-9+/=]{80,})\"?", text)
    assert {codec.version(unpack(found)) for found in carried} <= {codec.version(ir)}
    for found in carried:
        text = text.replace(found, "IR")
    return text.replace(codec.version(ir), "VERSION").replace('"IR"', "IR")


def check_golden(name: str, text: str, *, update: bool) -> None:
    golden = GOLDENS / f"{name}.yaml"
    if update:
        golden.write_text(text, encoding="utf-8")
    assert golden.is_file(), f"{golden.name} is missing; `make goldens` writes it"
    assert golden.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("name", FILES)
def test_the_pipeline_compiles_to_the_golden_one(name: str, update_goldens: bool) -> None:
    ir = compiled(FILES[name])
    pipeline, resources = written(ir)
    assert (pipeline, resources) == written(ir), "the same bytes for the same pipeline"
    assert "IR" in without_code(pipeline, ir)
    check_golden(name, without_code(pipeline, ir), update=update_goldens)
    documents = [*yaml.safe_load_all(pipeline)]
    hold_together(documents[0])
    kinds = [*yaml.safe_load_all(resources)]
    assert [kind["kind"] for kind in kinds] == ["Pipeline", "PipelineVersion"]
    assert kinds[1]["spec"]["pipelineName"] == kinds[0]["metadata"]["name"]
    assert kinds[1]["spec"]["pipelineSpec"] == documents[0]


def test_everything_that_kubernetes_can_be_asked_for(update_goldens: bool) -> None:
    platform, run = read_platform(GOLDENS / "platform.toml")
    ir = compiled(HERE / "pipelines" / "node_options.py")
    target = Target(image=IMAGE, allow_tag=True, root="/data", platform=platform, run=run, namespace="team")
    pipeline, resources = written(ir, target)
    check_golden("platform", without_code(pipeline, ir), update=update_goldens)
    spec, kubernetes = yaml.safe_load_all(pipeline)
    hold_together(spec)
    executors = kubernetes["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert set(executors) == set(spec["deploymentSpec"]["executors"]), "every pod knows the metadata store"
    assert [*yaml.safe_load_all(resources)][1]["spec"]["platformSpec"] == kubernetes
    assert [*yaml.safe_load_all(resources)][1]["metadata"]["namespace"] == "team"


def test_every_golden_has_its_pipeline(update_goldens: bool) -> None:
    known = {*FILES, "platform"}
    extra = sorted(path for path in GOLDENS.glob("*.yaml") if path.stem not in known)
    if update_goldens:
        for path in extra:
            path.unlink()
    assert update_goldens or extra == []


@pytest.mark.parametrize("path", sorted((HERE / "pipelines").glob("*.py")), ids=lambda p: p.stem)
def test_every_pipeline_can_be_written(path: Path) -> None:
    ir = compiled(path)
    platform, _ = read_platform(GOLDENS / "platform.toml")
    target = Target(image=IMAGE, allow_tag=True, root="/data", platform={"*": platform["*"]})
    text, _ = written(ir, target)
    assert str(HERE) not in text, "nothing of this machine"
    hold_together(next(yaml.safe_load_all(text)))


def test_the_same_bytes_in_another_folder_with_other_hashes(tmp_path: Path) -> None:
    """The command, run where sets have another order, from elsewhere, by another name of the file."""
    found = []
    for seed in ("1", "4242"):
        folder = tmp_path / seed
        folder.mkdir()
        file = os.path.relpath(FILES["nested_loops"], folder)
        words = ("compile", file, "--to", "kubeflow", "-o", "out", "--image", IMAGE, "--root", "/data")
        done = command(*words, "--metadata", "http://store:1", cwd=folder, PYTHONHASHSEED=seed)
        assert done.returncode == 0, done.stderr
        assert "no volume at the root /data" in done.stderr
        found.append({path.name: path.read_bytes() for path in (folder / "out").iterdir()})
    assert found[0] == found[1]
    assert set(found[0]) == {"nested-loops.yaml", "nested-loops.resources.yaml"}


def test_the_runner_writes_what_the_command_writes(tmp_path: Path) -> None:
    ir = compiled(FILES["linear"])
    runner = KubeflowDagRunner(image=IMAGE, metadata="http://tidemill:8000", root="/data/tidemill")
    paths = runner.run(ir, output=tmp_path / "new" / "folder")
    assert {path.name: path.read_text(encoding="utf-8") for path in paths} == write_down(ir, TARGET).files


def hold_together(spec: dict[str, Any]) -> None:
    """Every name in the pipeline is one of something that is there, and KFP's caching is on nowhere."""
    components, executors = spec["components"], spec["deploymentSpec"]["executors"]
    used = set()
    for component in ({"dag": spec["root"]["dag"], **spec["root"]}, *components.values()):
        if "dag" not in component:
            label = component["executorLabel"]
            assert executors[label]["container"]["args"][-1] in components
            continue
        inputs = component.get("inputDefinitions", {})
        for key, task in component["dag"]["tasks"].items():
            hold_task(key, task, component["dag"]["tasks"], components, inputs)
            used.add(task["componentRef"]["name"])
        for output in component["dag"].get("outputs", {}).get("artifacts", {}).values():
            for selector in output["artifactSelectors"]:
                producer = component["dag"]["tasks"][selector["producerSubtask"]]["componentRef"]["name"]
                assert selector["outputArtifactKey"] in components[producer]["outputDefinitions"]["artifacts"]
    assert used == set(components)
    containers = [executors[c["executorLabel"]] for c in components.values() if "executorLabel" in c]
    assert len({repr(c) for c in containers}) == len(containers), "KFP keeps one component for a container"
    assert spec["root"]["dag"]["tasks"].keys() == {names.BODY, names.EXIT}


def hold_task(
    key: str, task: dict[str, Any], tasks: dict[str, Any], components: dict[str, Any], around: dict[str, Any]
) -> None:
    assert task["cachingOptions"] == {}
    assert task["taskInfo"]["name"] == key
    assert set(task.get("dependentTasks", [])) <= tasks.keys() - {key}
    mine = components[task["componentRef"]["name"]].get("inputDefinitions", {})
    for kind in ("parameters", "artifacts"):
        for name, source in task.get("inputs", {}).get(kind, {}).items():
            assert name in mine[kind]
            for producer, output in produced(source):
                made = components[tasks[producer]["componentRef"]["name"]]["outputDefinitions"][kind][output]
                assert made == {k: v for k, v in mine[kind][name].items() if k != "isOptional"}
                assert producer in task["dependentTasks"]
            if inherited := source.get("componentInputParameter", source.get("componentInputArtifact")):
                assert inherited in around[kind]


def produced(source: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for kind in ("Parameter", "Artifact"):
        if found := source.get(f"taskOutput{kind}"):
            yield found["producerTask"], found[f"output{kind}Key"]
