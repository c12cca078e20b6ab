"""The whole command line on a metadata server: the same answers as on the database, and no secret shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tidemill.metadata.open import open_store
from tidemill.runtime import owner
from tidemill.runtime.call import NodeCall

TOKEN = "correct-horse-battery-staple"
PIPELINE = """
    import os
    from tidemill import Input, Model, Output, component, pipeline

    @component
    def make(model: Output[Model], *, text: str = "a") -> None:
        (model.path / "weights.txt").write_text(text)
        with open("environment.txt", "a") as file:
            file.write(" ".join(sorted(os.environ)) + "\\n")

    @component
    def copy(model: Input[Model], again: Output[Model]) -> None:
        (again.path / "weights.txt").write_text("again")

    @pipeline
    def small(text: str = "a"):
        copy(model=make(text=text).outputs.model)
"""


class Remote:
    """A project, and the server that keeps its record."""

    def __init__(self, project: Any, url: str, database: Path) -> None:
        self.project, self.url, self.database = project, url, database
        self.env = {"TIDEMILL_TOKEN": TOKEN, "TIDEMILL_METADATA": url}

    def tidemill(self, *words: str, expect: int = 0) -> str:
        """The output of a command on the server's store."""
        done = self.project.tidemill(*words, expect=expect, **self.env)
        assert TOKEN not in done.stdout + done.stderr
        return str(done.stdout)

    def same(self, *words: str, expect: int = 0) -> str:
        """The same command on the server and on its database, which must say the same."""
        said = self.tidemill(*words, expect=expect)
        direct = self.project.tidemill(*words, "--metadata", str(self.database), expect=expect)
        assert said == direct.stdout
        return said


@pytest.fixture(params=["http", "grpc"])
def remote(request: pytest.FixtureRequest, project: Any, tmp_path: Path) -> Iterator[Remote]:
    project.write("pipeline.py", PIPELINE)
    option = "--http-port" if request.param == "http" else "--port"
    server = project.start(
        "metadata", "serve", "--metadata", "server/record.db", option, "0", TIDEMILL_TOKEN=TOKEN
    )
    with server:
        address = server.stdout.readline().rpartition(":")[2].strip()
        assert address.isdecimal(), server.stderr.read()
        yield Remote(project, f"{request.param}://127.0.0.1:{address}", tmp_path / "server" / "record.db")
        server.terminate()
        assert server.wait(20) == 0


@pytest.mark.parametrize("remote", ["http"], indirect=True)
def test_every_command_on_a_server(remote: Remote) -> None:
    """Run, reuse, list, show, trace, compare, explain, log, examine and prune."""
    first = json.loads(remote.tidemill("run", "pipeline.py", "--json"))
    assert {n["state"] for n in first["nodes"].values()} == {"COMPLETE"}
    second = json.loads(remote.tidemill("run", "pipeline.py", "--json"))
    assert {n["state"] for n in second["nodes"].values()} == {"CACHED"}
    third = json.loads(remote.tidemill("run", "pipeline.py", "--param", "text=b", "--json"))
    assert not (remote.project.folder / ".tidemill" / "metadata.db").exists()
    assert len(json.loads(remote.same("runs", "list", "--json"))) == 3
    remote.same("runs", "show", first["run"])
    assert "text" in remote.same("runs", "compare", first["run"], third["run"])
    assert len(json.loads(remote.same("artifacts", "list", "--json"))) == 4
    listed = json.loads(remote.same("artifacts", "list", "--filter", "id > 2", "--json"))
    assert [a["artifact"] for a in listed] == [4, 3]
    remote.same("artifacts", "list", "--filter", "idd > 2", expect=2)
    remote.same("artifacts", "show", "1")
    assert "make" in remote.same("lineage", third["run"], "--format", "mermaid")
    remote.same("logs", third["run"], "make")
    assert "CACHED" in remote.same("explain", "pipeline.py")
    assert remote.same("doctor", "--deep").startswith("sound: 3 runs, 4 artifacts")
    planned = json.loads(remote.same("prune", "--keep-last", "1", "--json"))
    deleted = json.loads(remote.tidemill("prune", "--keep-last", "1", "--yes", "--json"))
    assert deleted["artifacts"] == planned["artifacts"] == [1, 2]
    assert remote.same("doctor").startswith("sound: 3 runs, 4 artifacts")


def test_the_token_reaches_neither_user_code_nor_a_command_line(remote: Remote) -> None:
    """Executors run without it, in a spawned child as in a bare one."""
    remote.tidemill("run", "pipeline.py")
    seen = (remote.project.folder / "environment.txt").read_text().split()
    assert "TIDEMILL_METADATA" in seen
    assert "TIDEMILL_TOKEN" not in seen


def test_a_node_in_a_process_of_its_own(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    """As engines call it: the address on the command line, the token in the environment."""
    remote.tidemill("run", "pipeline.py")
    monkeypatch.setenv("TIDEMILL_TOKEN", TOKEN)
    store = open_store(remote.url)
    (run,) = store.get_runs()
    from dataclasses import replace

    from tidemill.metadata.model import RunState

    fresh = replace(run, id="engine", owner=owner.myself(), state=RunState.RUNNING, create_time=0, end_time=0)
    store.create_run(fresh, [])
    call = NodeCall(
        metadata=remote.url,
        run_id="engine",
        node_id="make",
        attempt=1,
        reuse="never",
        code_root=str(remote.project.folder),
        workdir=str(remote.project.folder),
    )
    words = call.argv(sys.executable)
    assert TOKEN not in " ".join(words)
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, env={**os.environ})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["state"] == "COMPLETE"
    (record,) = store.get_nodes("engine")
    assert (record.state, record.attempt) == ("COMPLETE", 1)
    store.close()
    seen = (remote.project.folder / "environment.txt").read_text().splitlines()[-1].split()
    assert "TIDEMILL_TOKEN" not in seen
    without = {k: v for k, v in os.environ.items() if k != "TIDEMILL_TOKEN"}
    refused = subprocess.run(words, capture_output=True, text=True, timeout=60, env=without)
    assert (refused.returncode, "set TIDEMILL_TOKEN" in refused.stderr) == (3, True)


def test_an_address_with_a_secret_is_refused_and_not_shown(project: Any) -> None:
    for url in (f"http://:{TOKEN}@127.0.0.1:1", f"grpc://user:{TOKEN}@127.0.0.1:1"):
        done = project.tidemill("runs", "list", "--metadata", url, expect=3)
        assert TOKEN not in done.stdout + done.stderr
        assert "TIDEMILL_TOKEN" in done.stderr


def test_nothing_answers_there(project: Any) -> None:
    done = project.tidemill("runs", "list", "--metadata", "http://127.0.0.1:1", expect=3)
    assert "cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr
