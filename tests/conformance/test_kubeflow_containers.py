"""The runner suite on Kubeflow Pipelines with real containers: images that `tidemill image` made, podman, and
a user that nobody knows. On demand: `TIDEMILL_CONTAINERS=1`; container_site.py sets everything up.

The files are compiled with the digest that the image has, and run by the emulator of KFP's driver and
launcher; what a task does happens in a container of that image, without network and without capabilities.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.metadata.sql import open_store
from tidemill.runners.kubeflow.files import kubeflow_files
from tidemill.runners.kubeflow.platform import KubernetesOptions
from tidemill.runners.kubeflow.target import Target
from tidemill.testing.kubeflow.containers import Containers, open_to_all
from tidemill.testing.kubeflow.document import parse_spec
from tidemill.testing.kubeflow.engine import Workflow
from tidemill.testing.kubeflow.tries import Cluster
from tidemill.testing.runner_suite import RunnerSuite, RunOrder
from tidemill.testing.scenario_list import SCENARIOS, Scenario

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from container_site import Site, container_site, missing  # noqa: E402 - beside this file

pytestmark = [pytest.mark.skipif(bool(missing()), reason=missing()), pytest.mark.timeout(3600)]

CHOSEN = os.environ.get(
    "TIDEMILL_CONTAINERS_SCENARIOS", "linear condition loop_output retry exit_handler cache"
)
CODE_ROOT = "/opt/tidemill/code"


def reachable(folder: Path) -> None:
    """Containers of any user reach what is mounted through all folders above it. Those that anybody can read,
    the system's own among them, stay as they are."""
    for above in (folder, *folder.parents[:3]):
        mode = above.stat().st_mode & 0o7777
        if mode & 0o055 != 0o055:
            above.chmod(mode | 0o055)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    reachable(folder)
    with container_site(folder) as made:
        yield made


@pytest.fixture(scope="module")
def image(site: Site, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What all scenarios run in: they are part of tidemill, so any of them gives the same image."""
    push = ("--append", site.base, "--push", f"{site.host}/scenarios:1")
    return site.image(SCENARIOS[0].file, *push, folder=tmp_path_factory.mktemp("image"))


class TestContainers(RunnerSuite):
    """Driver and launcher by their sources, everything else as in a cluster."""

    @pytest.fixture(autouse=True)
    def _image(self, site: Site, image: str) -> None:
        self.site, self.made_of = site, image

    @pytest.mark.parametrize(
        "scenario",
        [s for s in SCENARIOS if s.name in CHOSEN.split() or CHOSEN == "all"],
        ids=lambda s: s.name,
    )
    def test_scenario(self, scenario: Scenario, folder: Path, request: pytest.FixtureRequest) -> None:
        """Each start ends as it must, and the record then is the golden lineage."""
        super().test_scenario(scenario, folder, request)

    def run(self, order: RunOrder) -> str:
        found, _ = load_pipeline(str(order.file))
        target = Target(
            image=self.made_of, root=str(order.root), code_root=CODE_ROOT, workdir=str(order.workdir),
            platform={"*": KubernetesOptions(secret_env={"TIDEMILL_METADATA": "record/url"})},
        )  # fmt: skip
        files = kubeflow_files(compile_pipeline(found), target)
        text = next(text for name, text in files.items() if not name.endswith(".resources.yaml"))
        assert self.made_of in text
        with closing(open_store(order.metadata)):
            open_to_all(order.workdir)
        reachable(order.workdir.parent)
        runner = Containers(shared=(order.workdir,), environ=self.site.environ)
        cluster = Cluster(
            folder=order.workdir / "cluster", runner=runner, secrets={"record": {"url": order.metadata}},
            at_once=2, pause=lambda seconds: None,
        )  # fmt: skip
        workflow = Workflow(parse_spec(text), cluster)
        parameters: dict[str, Any] = {**order.parameters, "tidemill_date": order.date}
        select = {"only": order.only, "from": order.first, "to": order.last}
        if any(select.values()):
            parameters["tidemill_select"] = {name: list(nodes) for name, nodes in select.items()}
        phase = workflow.run(parameters)
        said = "\n".join(log.read_text()[-600:] for log in (order.workdir / "cluster").rglob("log.txt"))
        with closing(open_store(order.metadata)) as store:
            runs = store.get_runs(limit=1)
        assert runs, said
        assert (phase == "Succeeded") == (runs[0].state.value == "COMPLETE"), said
        return runs[0].state.value


PIPELINE = """
import getpass, os, pathlib
import yaml
from tidemill import Container, component, pipeline
from mine.parts import double

@component
def look(number: int = 3) -> dict:
    pathlib.Path.home().joinpath("cache").mkdir(exist_ok=True)
    pathlib.Path("here").write_text("x")
    return {"twice": double(number), "uid": os.getuid(), "name": getpass.getuser(), "yaml": yaml.__version__}

@pipeline
def daily(number: int = 3) -> None:
    look(number=number)
    own = Container(image=os.environ.get("MY_IMAGE", "not/made:yet"))
    look(number=number).with_id("own").with_options(environment=own)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "mine").mkdir(parents=True)
    (folder / "pipeline.py").write_text(PIPELINE)
    (folder / "mine" / "__init__.py").write_text("")
    (folder / "mine" / "parts.py").write_text("def double(x):\n    return 2 * x\n")
    return folder


@pytest.mark.parametrize("way", ["append", "podman", "buildah"])
def test_a_users_code_runs_in_the_image_that_each_way_makes(
    site: Site, project: Path, tmp_path: Path, way: str
) -> None:
    """By the command line alone: image, compile with its digest, and what the file then says is run."""
    words = ["--append", site.base]
    if way != "append":
        words = ["--base", site.base, "--vendor", "--build", "--engine", way]
    push = ("--push", f"{site.host}/daily-{way}:1")
    name = site.image(project / "pipeline.py", *words, *push, folder=project)
    assert site.image(project / "pipeline.py", *words, *push, folder=project) == name, "the same digest"
    runner = Containers(shared=(tmp_path,), environ=site.environ)
    record = f"sqlite:///{tmp_path}/metadata.db"
    first = _run(compiled(project, tmp_path, name), tmp_path, record, runner)
    again = _run(compiled(project, tmp_path, name), tmp_path, record, runner)
    with closing(open_store(record)) as store:
        assert {n.node_id: n.state.value for n in store.get_nodes(first)} == {
            "look": "COMPLETE",
            "own": "COMPLETE",
        }
        assert {n.node_id: n.state.value for n in store.get_nodes(again)} == {
            "look": "CACHED",
            "own": "CACHED",
        }
        (own,) = store.get_executions(first, "own")
        (made,) = store.get_artifacts(run_id=first, limit=1)
    assert own.custom_properties["tidemill.image"] == name, "the digest is on record"
    found = json.loads((Path(made.uri.removeprefix("file://")) / "value.json").read_text())
    assert found["twice"] == 42
    assert str(found["uid"]) == runner.user.partition(":")[0]
    assert found["name"] == "tidemill"


def compiled(project: Path, work: Path, image: str) -> str:
    """What `tidemill compile --to kubeflow` writes for an image."""
    platform = work / "platform.toml"
    platform.write_text('[nodes."*".secret_env]\nTIDEMILL_METADATA = "record/url"\n')
    command = [sys.executable, "-m", "tidemill.cli.main", "compile", "pipeline.py", "--to", "kubeflow"]
    places = ["--output", str(work / "kfp"), "--root", str(work / "root"), "--platform", str(platform)]
    subprocess.run([*command, "--image", image, *places], cwd=project, check=True,
                   env={**os.environ, "MY_IMAGE": image})  # fmt: skip
    files = [f for f in sorted((work / "kfp").iterdir()) if not f.name.endswith(".resources.yaml")]
    return files[0].read_text()


def _run(text: str, work: Path, record: str, runner: Containers) -> str:
    """Run a compiled file; the run in the record."""
    with closing(open_store(record)):
        open_to_all(work)
    cluster = Cluster(folder=work / "cluster", runner=runner, secrets={"record": {"url": record}})
    phase = Workflow(parse_spec(text), cluster).run({"number": 21})
    assert phase == "Succeeded", "\n".join(log.read_text() for log in (work / "cluster").rglob("log.txt"))
    with closing(open_store(record)) as store:
        return store.get_runs(limit=1)[0].id
