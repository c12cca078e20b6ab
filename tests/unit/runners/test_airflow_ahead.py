"""Which tasks begin the process of their executor while Airflow makes them ready, and that it is one."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.runners.airflow import ahead
from tidemill.runtime.spawner import Spawner
from tidemill.testing.scenario_list import SCENARIOS

Reads = Callable[[str | None, str | None], None]


@pytest.fixture(name="reads")
def _reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Reads]:
    """`reads(dag, task)`: the DAG file of the loops' scenario is read in the process of that task."""
    (scenario,) = [s for s in SCENARIOS if s.name == "nested_loops"]
    ir = compile_pipeline(load_pipeline(str(scenario.file))[0])
    sdk = ModuleType("airflow.sdk")
    monkeypatch.setitem(sys.modules, "airflow", ModuleType("airflow"))
    monkeypatch.setitem(sys.modules, "airflow.sdk", sdk)

    def read(dag: str | None, task: str | None) -> None:
        monkeypatch.setattr(
            sdk, "get_parsing_context", lambda: SimpleNamespace(dag_id=dag, task_id=task), raising=False
        )
        ahead.begin("nested_loops")
        ahead.settle(ir, str(tmp_path / "unopened.db"))

    yield read
    while ahead._begun:
        ahead._begun.pop().close()


def test_the_task_of_a_component_begins_one_process(reads: Reads) -> None:
    reads("nested_loops", "base")
    reads("nested_loops", "base")
    assert len(ahead._begun) == 1
    with closing(ahead.taken()) as begun:
        assert begun._helper is not None
        helper = begun._helper.pid
        begun.start().close()
        assert begun._helper.pid == helper, "what is started is forked from it"
    assert not Path(f"/proc/{helper}").exists()
    with closing(ahead.taken()) as later:
        assert later._helper is None, "it was taken once"


@pytest.mark.parametrize(
    ("dag", "task"),
    [
        (None, None),
        ("nested_loops", None),
        ("another", "base"),
        ("nested_loops", "run--end"),
        ("nested_loops", "outer"),
    ],
)
def test_whatever_else_reads_a_dag_file_begins_nothing(
    reads: Reads, dag: str | None, task: str | None
) -> None:
    reads(dag, task)
    assert ahead._begun == []


def test_a_node_that_needs_none_ends_what_was_begun(reads: Reads) -> None:
    reads("nested_loops", "base")
    (begun,) = ahead._begun
    helper = begun._helper
    assert helper is not None
    reads("nested_loops", "outer")
    assert ahead._begun == []
    assert helper.returncode == -signal.SIGKILL, "nobody waits for its imports"


def test_nothing_is_opened_while_a_dag_file_is_read(reads: Reads, tmp_path: Path) -> None:
    reads("nested_loops", "base")
    assert [*tmp_path.iterdir()] == []


def test_a_dag_file_loads_nothing_heavy_before_the_process_begins() -> None:
    """Else it is not ready in time: see ahead.py."""
    code = "import tidemill.runners.airflow.runner, sys; print(*[m for m in sys.modules if 'tidemill' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = ("tidemill.ir", "tidemill.metadata.model", "tidemill.runners.base", "tidemill.runtime.launch")
    assert [name for name in done.stdout.split() if name.startswith(heavy)] == []


def test_a_process_that_was_begun_ends_with_the_task() -> None:
    """Whoever holds the pipe of its output lives."""
    code = "from tidemill.runtime.spawner import *; s = Spawner(); s.warm(); print('begun'); input()"
    with subprocess.Popen(
        [sys.executable, "-u", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as task:
        assert task.stdout is not None
        assert task.stdout.readline() == b"begun\n"
        task.kill()
        assert task.stdout.read() == b""


def test_a_helper_is_begun_once() -> None:
    with closing(Spawner()) as spawner:
        spawner.warm()
        first = spawner._helper
        spawner.warm()
        assert spawner._helper is first
        spawner.close()
        spawner.warm()
        assert spawner._helper is not first
