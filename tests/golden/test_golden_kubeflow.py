"""What `tidemill compile --to kubeflow` writes for the scenarios, the examples and a full platform file.

A changed golden file is what KFP would be given anew: read the difference. Digests of code are left out.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from tidemill.cli.main import cli
from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.errors import DefinitionError
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
    ir = Target(image=IMAGE).place(ir)  # the image is part of the version
    assert {codec.version(unpack(found)) for found in carried} <= {codec.version(ir)}
    for found in carried:
        text = text.replace(found, "IR")
    text = text.replace(codec.version(ir), "VERSION")
    # A version that looks like a number is quoted, and another day it does not.
    return text.replace('"VERSION"', "VERSION").replace('"IR"', "IR")


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
    if ir.schedule is not None and ir.schedule.on is not None:
        with pytest.raises(DefinitionError) as refused:
            written(ir, target)
        assert "[data-trigger]" in str(refused.value.problems[0])
        ir = replace(ir, schedule=None)
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
        version = re.search(r"version (\w{12})", done.stdout)
        assert version is not None
        head = (folder / "out" / "nested-loops.yaml").read_text(encoding="utf-8").partition("\n")[0]
        assert f"version {version[1]}" in head, "what is printed is what runs will be of"
        found.append({path.name: path.read_bytes() for path in (folder / "out").iterdir()})
    assert found[0] == found[1]
    assert set(found[0]) == {"nested-loops.yaml", "nested-loops.resources.yaml"}


@pytest.fixture
def in_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The command without the process that it loads pipelines in; the folder where it runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tidemill.cli.compile.load_ir", lambda file: (compiled(Path(file)), "."))
    return tmp_path


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--image", IMAGE), "--image is for --to kubeflow"),
        (("--to", "airflow", "-o", "x", "--volume", "a:/b"), "--volume is for --to kubeflow"),
        (("--to", "kubeflow", "-o", "x"), "needs the image"),
        (("--to", "kubeflow", "--image", IMAGE), "--output DIR"),
        (("--to", "kubeflow", "-o", "x", "--image", IMAGE, "--volume", "a:b"), "must be CLAIM:/FOLDER"),
        (("--to", "kubeflow", "-o", "x", "--image", IMAGE, "--platform", "gone.toml"), "cannot be read"),
        (
            ("--to", "kubeflow", "-o", "x", "--image", IMAGE),
            "[missing-secret] nothing says TIDEMILL_METADATA",
        ),
        (("--to", "kubeflow", "-o", "x", "--image", "p:1", "--root", "x"), "[root-place]"),
    ],
)
def test_what_the_command_refuses(words: tuple[str, ...], why: str, in_this_process: Path) -> None:
    done = CliRunner().invoke(cli, ["compile", str(FILES["linear"]), *words])
    assert not (in_this_process / "x").exists()
    code = done.exception.exit_code if isinstance(done.exception, DefinitionError) else done.exit_code
    assert code == 2, repr(done.exception)
    assert why in f"{done.output}{done.exception}"


def test_a_check_writes_nothing_and_every_option_arrives(in_this_process: Path) -> None:
    words = ["compile", str(FILES["linear"]), "--to", "kubeflow", "-o", "x", "--image", "r.example/p:1"]
    words += ["--metadata", "http://a:1", "--root", "/data", "--code-root", "/code", "--workdir", "/there"]
    words += [
        "--allow-tag",
        "--volume",
        "c:/data",
        "--volume",
        "d:/more",
        "--name",
        "other",
        "--namespace",
        "us",
    ]
    words += ["--platform", str(GOLDENS / "volumes.toml")]
    done = CliRunner().invoke(cli, [*words, "--check"])
    assert (done.exit_code, (in_this_process / "x").exists()) == (0, False)
    assert "note" not in done.output
    assert CliRunner().invoke(cli, words).exit_code == 0
    spec, kubernetes = yaml.safe_load_all((in_this_process / "x/other.yaml").read_text(encoding="utf-8"))
    assert "namespace: us" in (in_this_process / "x/other.resources.yaml").read_text(encoding="utf-8")
    container = spec["deploymentSpec"]["executors"]["exec-give"]["container"]
    assert {v["name"]: v["value"] for v in container["env"]} == {
        "TIDEMILL_CODE_ROOT": "/code", "TIDEMILL_INSIDE_IMAGE": "r.example/p:1", "TIDEMILL_ROOT": "/data",
        "TIDEMILL_METADATA": "http://a:1", "TIDEMILL_WORKDIR": "/there",
    }  # fmt: skip
    executors = kubernetes["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert [m["mountPath"] for m in executors["exec-give"]["pvcMount"]] == ["/data", "/more", "/third"]


def test_compiling_needs_neither_kfp_nor_protobuf_nor_a_yaml_library() -> None:
    code = f"""
import sys
for name in ("yaml", "ruamel", "kfp", "google", "kubernetes", "airflow"):
    sys.modules[name] = None
from tidemill.ir.model import NodeIR, PipelineIR
from tidemill.runners.kubeflow import KubeflowDagRunner
ir = PipelineIR(name="one", nodes=(NodeIR(id="a", component="c", executor=""),))
KubeflowDagRunner(image={IMAGE!r}, metadata="http://a:1", root="/data").run(ir, output=sys.argv[1])
heavy = {{"numpy", "polars", "pyarrow", "sqlalchemy"}} & sys.modules.keys()
sys.exit(f"imported: {{heavy}}" if heavy else 0)
"""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", code, folder], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert (Path(folder) / "one.yaml").is_file()


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
