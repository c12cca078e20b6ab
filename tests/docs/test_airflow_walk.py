"""The README's section on Airflow, followed to the letter: its commands, in its order, in one shell each.

TIDEMILL_AIRFLOW_WALK=whole does all of it, in a new clone and an environment that the section's own
commands make. Where TIDEMILL_AIRFLOW_PYTHON and TIDEMILL_AIRFLOW_SCHEDULER are set, that interpreter's
environment stands in for the commands that make one, which take minutes; without any of them the test is
skipped, and says so.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

import pytest

WHOLE = os.environ.get("TIDEMILL_AIRFLOW_WALK") == "whole"
PYTHON = os.environ.get("TIDEMILL_AIRFLOW_PYTHON", "")
SECTION = "## Run it on Airflow"
DONE = "that was"

pytestmark = [
    pytest.mark.skipif(
        not WHOLE and not (PYTHON and os.environ.get("TIDEMILL_AIRFLOW_SCHEDULER")),
        reason="neither TIDEMILL_AIRFLOW_WALK nor an interpreter with Airflow is set",
    ),
    pytest.mark.timeout(1500),
]


class Shell:
    """A person's terminal: what one command changes, the next one finds."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            ["bash"], cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def run(self, command: str) -> tuple[int, str]:
        """Exit status and output of a command."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{command}\nended=$?; echo; echo {DONE} $ended\n")
        self.process.stdin.flush()
        lines: list[str] = []
        for line in self.process.stdout:
            if line.startswith(DONE):
                return int(line.split()[-1]), "".join(lines)
            lines.append(line)
        raise AssertionError(f"the shell ended: {''.join(lines)}")

    def close(self) -> None:
        """End it, and all that it started."""
        pause = threading.Event()
        with suppress(ProcessLookupError):  # raised once no process of the group is left
            for how in (signal.SIGTERM, signal.SIGKILL):
                os.killpg(self.process.pid, how)
                end = time.monotonic() + 30
                while time.monotonic() < end:
                    self.process.poll()
                    os.killpg(self.process.pid, 0)
                    pause.wait(0.2)
        self.process.communicate()


@contextmanager
def shell(folder: Path, environment: dict[str, str]) -> Iterator[Shell]:
    opened = Shell(folder, environment)
    try:
        yield opened
    finally:
        opened.close()


def test_the_readmes_commands_bring_a_run_on_airflow(
    documents: ModuleType, root: Path, tmp_path: Path
) -> None:
    text = (root / "README.md").read_text(encoding="utf-8")
    section = text.partition(f"\n{SECTION}\n")[2].partition("\n## ")[0]
    file = tmp_path / "section.md"
    file.write_text(section, encoding="utf-8")
    blocks = [b for b in documents.read(file).blocks if "walk" in b.words]
    first, unpause, show = ([command for _, command in documents.commands_of(block)] for block in blocks)
    assert (len(first), len(unpause), len(show)) == (7, 1, 1), "the section says how many there are"
    assert "seven commands" in " ".join(section.split())
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(root), str(clone)], check=True)
    if not WHOLE:
        activate = f"export PATH={shlex.quote(str(Path(PYTHON).parent))}:$PATH"
        first = [activate, *first[3:]]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    # Another port, for nobody knows what else this machine does.
    environment = {
        **os.environ, "AIRFLOW__API__PORT": port, "AIRFLOW__API__BASE_URL": f"http://localhost:{port}",
    }  # fmt: skip
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with shell(clone, environment) as terminal:
        for command in first[:-1]:
            status, said = terminal.run(command)
            assert status == 0, f"{command}\n{said}"
        terminal.run(f"{first[-1]} > standalone.log 2>&1 &")
        log = clone / "my_flow" / "standalone.log"
        # Whoever reads looks at the address first; tasks that start before it answers have failed, and
        # Airflow says that it is ready without having asked.
        until(lambda: answers(int(port)), "Airflow's page to answer", log)
        until(lambda: "my_flow" in terminal.run(unpause[0])[1], "Airflow to know the DAG", log)
        until(lambda: ended(terminal, show[0]), "the run to end", log)
        status, said = terminal.run(show[0])
        assert status == 0, said
        assert "COMPLETE" in said
        assert "fit" in said


def answers(port: int) -> bool:
    """Whether somebody listens at the port."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
        return True
    return False


def ended(terminal: Shell, show: str) -> bool:
    """Whether the newest run is over, as the section's own command tells programs."""
    status, said = terminal.run(f"{show} --json 2>/dev/null")
    if status:
        return False  # no run yet
    state = json.loads(said)["state"]
    assert state in ("RUNNING", "COMPLETE"), said
    return bool(state == "COMPLETE")


def until(answer: object, what: str, log: Path, seconds: float = 700.0) -> None:
    """Ask until it is so. AssertionError with Airflow's words when it never is."""
    assert callable(answer)
    end, pause = time.monotonic() + seconds, threading.Event()
    while time.monotonic() < end:
        if answer():
            return
        pause.wait(2)
    raise AssertionError(f"waited in vain for {what}\n{log.read_text(errors='replace')[-4000:]}")
