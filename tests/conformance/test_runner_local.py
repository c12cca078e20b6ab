"""The local runner runs every scenario, asked from Python and on the command line alike.

Each record is also read with the real ml-metadata, where TIDEMILL_MLMD_PYTHON names an interpreter that
has it: the same lineage from both views.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.metadata.sql import open_store
from tidemill.runners.local.runner import LocalRunner
from tidemill.runtime.call import Isolation
from tidemill.runtime.select import select
from tidemill.testing.lineage_golden import Record
from tidemill.testing.runner_suite import Difference, RunnerSuite, RunOrder
from tidemill.testing.scenario_list import SCENARIOS

MEMORY = Path("/dev/shm")
PEER = os.environ.get("TIDEMILL_MLMD_PYTHON", "")


@cache
def peer() -> subprocess.Popen[str]:
    """One process with ml-metadata for all records; the end of our stdin ends it."""
    reader = Path(__file__).with_name("mlmd_reader.py")
    return subprocess.Popen([PEER, str(reader)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


class OnThisMachine(RunnerSuite):
    """Records in memory, and a second reader."""

    @pytest.fixture
    def folder(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
            yield Path(folder)

    def foreign_record(self, metadata: str) -> Record | None:
        if not PEER:
            return None
        reader = peer()
        assert reader.stdin is not None
        assert reader.stdout is not None
        reader.stdin.write(metadata.removeprefix("sqlite:///") + "\n")
        reader.stdin.flush()
        answer: Record = json.loads(reader.stdout.readline())
        return answer


def run_with(order: RunOrder, isolation: Isolation, root: str = "") -> str:
    """Through the Python API; `root` in place of the order's."""
    found, code_root = load_pipeline(str(order.file))
    store = open_store(order.metadata)
    try:
        runner = LocalRunner(
            store=store, metadata=order.metadata, root=root or str(order.root), jobs=3, isolation=isolation
        )
        ir = compile_pipeline(found)
        part = order.only or order.first or order.last
        selection = select(ir, only=order.only, start=order.first, end=order.last) if part else None
        result = runner.run(
            ir, order.parameters, date=order.date, code_root=str(code_root), workdir=str(order.workdir),
            selection=selection,
        )  # fmt: skip
    finally:
        store.close()
    return result.state.value


class TestPythonApi(OnThisMachine):
    """A process for each node."""

    writes_goldens = True

    def run(self, order: RunOrder) -> str:
        return run_with(order, "process")


class TestInProcess(OnThisMachine):
    """All nodes in this process, one after another."""

    def run(self, order: RunOrder) -> str:
        return run_with(order, "none")


class TestRemoteRoot(OnThisMachine):
    """The root behind a URI, and nothing of what an earlier start had on this machine."""

    def run(self, order: RunOrder) -> str:
        mirror = order.root.with_name("mirror")
        shutil.rmtree(mirror, ignore_errors=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TIDEMILL_MIRROR", str(mirror))
            return run_with(order, "none", f"local://{order.root}")


class TestCommandLine(OnThisMachine):
    """`tidemill run FILE`."""

    def run(self, order: RunOrder) -> str:
        texts = {n: v if isinstance(v, str) else json.dumps(v) for n, v in order.parameters.items()}
        given: list[Any] = [("--param", f"{n}={v}") for n, v in texts.items()]
        words = [word for pair in given for word in pair]
        words += ["--date", order.date] if order.date else []
        for option, nodes in (("--only", order.only), ("--from", order.first), ("--to", order.last)):
            words += [word for node in nodes for word in (option, node)]
        command = [
            sys.executable, "-m", "tidemill.cli.main", "run", str(order.file), "--json", "--jobs", "3",
            "--root", str(order.root), "--metadata", order.metadata, *words,
        ]  # fmt: skip
        done = subprocess.run(command, cwd=order.workdir, capture_output=True, text=True)
        assert done.returncode in (0, 1, 130), done.stderr
        return str(json.loads(done.stdout)["state"])


class Declared(RunnerSuite):
    """A runner that is said to do less than it does, and one thing that it does not."""

    differences = {
        "linear": Difference("notyet", "it works, in truth"),
        "diamond": Difference("never", "a stone cannot be cut here"),
    }

    def run(self, order: RunOrder) -> str:
        if order.file.stem == "diamond":
            raise RuntimeError("cannot")
        return run_with(order, "none")


def test_a_difference_that_is_gone_fails(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """And one that is there does not."""
    linear, diamond = (next(s for s in SCENARIOS if s.name == name) for name in ("linear", "diamond"))
    for folder in ("linear", "diamond"):
        (tmp_path / folder).mkdir()
    with pytest.raises(
        pytest.fail.Exception, match="linear works; it is declared notyet: it works, in truth"
    ):
        Declared().test_scenario(linear, tmp_path / "linear", request)
    with pytest.raises(pytest.xfail.Exception, match="never: a stone cannot be cut here"):
        Declared().test_scenario(diamond, tmp_path / "diamond", request)


def test_every_golden_has_its_scenario() -> None:
    goldens = {path.stem for path in SCENARIOS[0].golden.parent.glob("*.json")}
    assert goldens == {scenario.name for scenario in SCENARIOS}
