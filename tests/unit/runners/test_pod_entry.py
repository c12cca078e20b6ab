"""A launcher in a container: what the task outside foresees, and what it makes of the end.

Here the container is a call of the entrypoint; tests/conformance/test_airflow_pods.py has Airflow and pods.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.errors import RunnerError
from tidemill.ir.model import Environment, Files, Literal, PipelineIR
from tidemill.metadata.model import ClaimRequest, NodeState, Publication
from tidemill.metadata.sql import open_store
from tidemill.metadata.store import MetadataStore
from tidemill.runners.airflow.entry import perform
from tidemill.runners.base import task
from tidemill.runners.base.elsewhere import FULL, outcome_of
from tidemill.runners.base.task import Again, EngineRun, Failed, Settings
from tidemill.runtime.call import NodeCall
from tidemill.runtime.execute import CancelToken
from tidemill.runtime.foresee import foresee
from tidemill.runtime.launch import Outcome

LINE = """
from tidemill import When, component, pipeline

@component
def give(number: int) -> int:
    "A number."
    print("giving", number)
    return number

@component
def use(number: int) -> int:
    "The same."
    if number < 0:
        raise ValueError("below nothing")
    return number

@component
def hold() -> int:
    "Until somebody ends it."
    import threading
    print("holding", flush=True)
    threading.Event().wait(60)
    return 1

@pipeline
def line(number: int = 1, wanted: bool = True) -> None:
    "One after the other."
    found = give(number=number).outputs.result
    with When(wanted):
        use(number=found)
    hold()
"""


class Place:
    """A run of the pipeline, of which one node after the other is launched in a container."""

    def __init__(self, ir: PipelineIR, code: Path, folder: Path, store: MetadataStore, metadata: str) -> None:
        self.ir, self.code = ir, code
        self.store, self.metadata, self.folder = store, metadata, folder
        self.run = EngineRun(record_id="line-1", owner="airflow/line/1", date="")
        self.calls: list[NodeCall] = []
        self.codes: list[int] = []

    @property
    def settings(self) -> Settings:
        return Settings(
            ir=self.ir, metadata=self.metadata, root=str(self.folder / "root"), code_root=str(self.code)
        )

    @property
    def environ(self) -> dict[str, str]:
        return {"TIDEMILL_METADATA": self.metadata, "TIDEMILL_CODE_ROOT": str(self.code)}

    def begin(self, call: NodeCall, store: MetadataStore) -> Outcome:
        self.calls.append(call)
        code = perform(words_of(call), self.environ, CancelToken())
        self.codes.append(code)
        run = store.get_run(call.run_id)
        assert run is not None
        return outcome_of(
            store, run, call.node_id, attempt=call.attempt, exit_code=code, cancel=CancelToken()
        )

    def launch(self, node_id: str, attempt: int = 1, **more: Any) -> Outcome | None:
        return task.launch_node(
            self.settings, self.run, node_id, store=self.store, attempt=attempt, cancel=CancelToken(),
            begin=self.begin, **more,
        )  # fmt: skip

    def foresees(self, node_id: str) -> str:
        call = NodeCall(metadata=self.metadata, run_id=self.run.record_id, node_id=node_id)
        return foresee(call, self.store, self.ir)

    def claim(self, node_id: str, attempt: int = 1) -> Any:
        component = self.ir.node(node_id).component
        return self.store.claim(
            ClaimRequest(
                run_id=self.run.record_id, node_id=node_id, component=component, owner="pod/boot/1/2",
                attempt=attempt,
            )
        )  # fmt: skip

    def outcome(self, node_id: str, **more: Any) -> Outcome:
        run = task.sure_of_run(self.store, self.settings, self.run)
        return outcome_of(self.store, run, node_id, **{"cancel": CancelToken(), **more})


def words_of(call: NodeCall) -> list[str]:
    return replace(call, code_root="", workdir="", run_state="").argv()[4:]


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> tuple[PipelineIR, Path]:
    folder = tmp_path_factory.mktemp("code")
    (folder / "line_of_pods.py").write_text(LINE, encoding="utf-8")
    return compile_pipeline(load_pipeline(str(folder / "line_of_pods.py"))[0]), folder


@pytest.fixture
def place(code: tuple[PipelineIR, Path], tmp_path: Path) -> Iterator[Place]:
    metadata = f"sqlite:///{tmp_path / 'metadata.db'}"
    with closing(open_store(metadata)) as store:
        yield Place(*code, tmp_path, store, metadata)


def test_a_node_is_launched_there_and_the_record_says_how_it_ended(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    found = place.launch("give")
    assert found is not None
    assert (found.state, found.attempt, place.codes) == (NodeState.COMPLETE, 1, [0])
    assert Path(found.log).read_text() == "giving 1\n"
    shown = capfd.readouterr().out
    assert shown.startswith("giving 1\n"), "what the node prints is the container's output"
    assert "give: COMPLETE" in shown
    words = words_of(place.calls[0])
    assert "--node-id=give" in words
    assert not [word for word in words if "metadata" in word], "the URL may hold a secret"


def test_a_failure_there_is_one_here(place: Place) -> None:
    place.run = replace(place.run, parameters={"number": -1})
    place.launch("give")
    with pytest.raises(Failed, match="below nothing"):
        place.launch("use")
    assert place.codes == [0, 1]


def test_what_is_skipped_or_there_already_is_foreseen(place: Place) -> None:
    place.launch("give")
    assert (place.foresees("use"), place.foresees("hold")) == ("unknown", "unknown")
    place.run = replace(place.run, record_id="line-2", parameters={"wanted": False})
    task.sure_of_run(place.store, place.settings, place.run)
    assert place.foresees("give") == "reused"
    assert place.foresees("use") == "unknown", "nothing is known of it before give has ended"
    place.launch("give")
    assert place.foresees("use") == "skipped"
    assert {r.node_id for r in place.store.get_nodes("line-2")} == {"give"}, "looking changes nothing"


@pytest.mark.parametrize("value", [Environment(name="X", default="1"), Files(pattern=Literal(value="*.csv"))])
def test_what_depends_on_the_place_is_not_foreseen(place: Place, value: Any) -> None:
    place.launch("give")
    give = replace(place.ir.node("give"), parameters={"number": Literal(value=1)})
    for parameters, seen in ((give.parameters, "reused"), ({"number": value}, "unknown")):
        nodes = tuple(replace(give, parameters=parameters) if n.id == "give" else n for n in place.ir.nodes)
        place.ir = dataclasses.replace(place.ir, nodes=nodes)
        assert place.foresees("give") == seen


def test_a_pool_without_room_claims_nothing_and_is_waited_for_outside(place: Place) -> None:
    place.store.put_pool("narrow", 1)
    nodes = tuple(replace(n, options=replace(n.options, pool="narrow")) for n in place.ir.nodes)
    place.ir = dataclasses.replace(place.ir, nodes=nodes)
    place.launch("give")
    held = place.store.claim(
        ClaimRequest(
            run_id="line-1", node_id="hold", component="hold", owner="pod/boot/1/2", attempt=1, pool="narrow",
            slots=1,
        )
    )  # fmt: skip
    assert place.foresees("use") == "full"
    waited: list[str] = []

    def wait(store: MetadataStore, found: Any) -> None:
        waited.append(found.kind)
        store.publish(held, Publication(state=NodeState.COMPLETE, inputs={}, outputs={}))

    assert place.launch("use", on_wait=wait) is not None
    assert (place.codes, waited) == ([0, FULL, 0], ["pool"])
    assert place.foresees("use") != "full"


def test_a_container_that_was_lost_is_tried_again(place: Place) -> None:
    with pytest.raises(Again, match="before the node began: ImagePullBackOff"):
        place.outcome("give", attempt=1, said="ImagePullBackOff")
    claim = place.claim("give")
    with pytest.raises(Again, match="lost while the node ran"):
        place.outcome("give", attempt=1, exit_code=137)
    with pytest.raises(Again, match="before the node began"):
        place.outcome("give", attempt=2)
    place.store.publish(claim, Publication(state=NodeState.CANCELED, inputs={}, outputs={}))
    with pytest.raises(Again, match="the cluster ended the container"):
        place.outcome("give", attempt=1, exit_code=143)
    token = CancelToken()
    token.cancel()
    assert place.outcome("give", attempt=1, cancel=token).state is NodeState.CANCELED
    found = place.launch("give", attempt=2)
    assert found is not None
    assert (found.state, found.attempt) == (NodeState.COMPLETE, 2)
    assert place.outcome("give", attempt=1).state is NodeState.COMPLETE, (
        "a pod of an earlier try, found again"
    )


def test_a_canceled_run_is_no_loss(place: Place) -> None:
    task.sure_of_run(place.store, place.settings, place.run)
    claim = place.claim("hold")
    place.store.request_cancel("line-1")
    place.store.publish(claim, Publication(state=NodeState.CANCELED, inputs={}, outputs={}))
    assert place.outcome("hold", attempt=1).state is NodeState.CANCELED


def test_sigterm_ends_the_node_and_the_record_says_so(place: Place) -> None:
    task.sure_of_run(place.store, place.settings, place.run)
    call = NodeCall(metadata="", run_id="line-1", node_id="hold", attempt=1)
    with subprocess.Popen(
        [sys.executable, "-m", "tidemill.runners.airflow.entry", *words_of(call)], stdout=subprocess.PIPE,
        env={**os.environ, **place.environ}, text=True,
    ) as pod:  # fmt: skip
        assert pod.stdout is not None
        assert pod.stdout.readline() == "holding\n", "the log is shown while it grows"
        pod.send_signal(signal.SIGTERM)
        said = pod.stdout.read()
    assert pod.returncode == 143, said
    (record,) = place.store.get_nodes("line-1")
    assert record.state is NodeState.CANCELED


def test_an_entry_that_cannot_find_what_it_needs_says_so(place: Place) -> None:
    with pytest.raises(RunnerError, match="no TIDEMILL_METADATA"):
        perform(["--run-id=x", "--node-id=y"], {}, CancelToken())
    with pytest.raises(RunnerError, match="run x is not in the metadata store"):
        perform(["--run-id=x", "--node-id=y"], place.environ, CancelToken())
    with pytest.raises(RunnerError, match="unknown argument"):
        perform(["--run=x"], place.environ, CancelToken())


def test_the_entry_needs_no_airflow() -> None:
    code = "import sys, json; import tidemill.runners.airflow.entry; print(json.dumps([*sys.modules]))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout)
    assert not {"airflow", "kubernetes", "polars", "rich", "click"} & {*loaded}
