"""A small Airflow with its processes, in a folder of its own: API server, scheduler, DAG processor, SQLite.

For tests and the benchmark. Each process leads a group, so that one of them can be lost with all it started;
all end with the site, and nothing of it stays.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

START_SECONDS = 300.0
POLL = 0.5
QUICK: Mapping[str, str] = {
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__PARALLELISM": "8",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "2",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
    "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    "AIRFLOW__API__WORKERS": "1",
    "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
}
"""Settings that make a small machine answer soon."""
ALERT: Mapping[str, str] = {
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "5",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "2",
}
"""Settings of a scheduler that looks for the tasks of lost ones at once, and not after up to five minutes."""


class Site:
    """`with Site(python, folder) as site`: `dags` is its dags folder.

    `database` is the SQLAlchemy URL of Airflow's own database; SQLite in the folder unless given.
    `triggerer`: whether there is to be one, for tasks that wait and for data that arrives. `host` is the
    address that its API listens on, and `settings` are variables for all of its processes.
    """

    def __init__(
        self, python: str, home: Path, *, database: str = "", triggerer: bool = False,
        host: str = "127.0.0.1", settings: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.python, self.home, self.host = python, home, host
        self.parts = ["dag-processor", "scheduler", *(["triggerer"] if triggerer else [])]
        self.dags = home / "dags"
        self.dags.mkdir(parents=True)
        self.port, self.tasks_port = free_port(), free_port()
        self.url = f"http://{host}:{self.port}"
        self.token = ""
        self.turn = threading.Lock()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        mine = {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__API__HOST": host,
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://{host}:{self.tasks_port}/execution/",
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "PATH": f"{Path(python).parent}:{os.environ['PATH']}",
        }
        # A writer of SQLite gives up after 5 s unless it is told to wait, and with it the scheduler ends.
        mine["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = database or f"sqlite:///{home}/airflow.db?timeout=60"
        self.environment = {**os.environ, **QUICK, **mine, **(settings or {})}
        # Each of the many processes would compile all it imports.
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def __enter__(self) -> Site:
        try:
            self.airflow("db", "migrate")
            # Two servers, for one that answers people and tasks alike stops for seconds on SQLite: it notes
            # in its event loop what people ask, so waits there for a task's transaction, which waits for it.
            self.begin("api-server", "--apps", "core", "--port", str(self.port))
            self.begin("api-server", "--apps", "execution", "--port", str(self.tasks_port), name="tasks")
            # A task that starts before somebody answers it has failed.
            self.wait(self._answers, START_SECONDS, "Airflow's API to answer")
            for part in self.parts:
                self.begin(part)
            self.wait(self._healthy, START_SECONDS, "Airflow to start")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for how, seconds in ((signal.SIGTERM, 20.0), (signal.SIGKILL, 20.0)):
            for process in self.processes.values():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, how)
            end = time.monotonic() + seconds
            for process in self.processes.values():
                _gone(process, end)
        for left in processes_with(f"AIRFLOW_HOME={self.home}"):  # tasks lead groups of their own
            with contextlib.suppress(ProcessLookupError):
                os.kill(left, signal.SIGKILL)

    def airflow(self, *words: str) -> str:
        """What a command of Airflow's prints."""
        done = subprocess.run(
            [self.python, "-m", "airflow", *words], capture_output=True, text=True, check=False,
            env=self.environment, timeout=START_SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, f"airflow {' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def begin(self, *command: str, name: str = "", settings: Mapping[str, str] | None = None) -> None:
        """Start one of Airflow's processes, with settings of its own."""
        name = name or command[0]
        with (self.home / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [self.python, "-m", "airflow", *command], stdout=log, stderr=log, start_new_session=True,
                env={**self.environment, **(settings or {})},
            )  # fmt: skip

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL, seconds: float = 20) -> None:
        """Send a signal to one of Airflow's processes, with all of its group, which is to end by it."""
        process = self.processes.pop(name)
        os.killpg(process.pid, how)
        assert _gone(process, time.monotonic() + seconds), f"{name} still lives"

    def write(self, files: Mapping[str, str]) -> None:
        """Put files into the dags folder, the DAG file after what it reads."""
        for name in sorted(files, key=lambda name: name.endswith(".py")):
            new = self.dags / f"{name}.new"  # never seen half written
            new.write_text(files[name], encoding="utf-8")
            new.rename(self.dags / name)

    def run(self, dag_id: str, conf: Mapping[str, Any]) -> dict[str, Any]:
        """Trigger a DAG; its run once that ended."""
        return self.ended(self.start(dag_id, conf))

    def start(self, dag_id: str, conf: Mapping[str, Any], seconds: float = 300.0) -> str:
        """Trigger a DAG, which need not be known yet; the place of its run in the API."""
        place = self.known(dag_id, seconds)
        made = self.ask("POST", f"{place}/dagRuns", {"logical_date": None, "conf": dict(conf)})
        return f"{place}/dagRuns/{urllib.parse.quote(made['dag_run_id'])}"

    def known(self, dag_id: str, seconds: float = 300.0) -> str:
        """The place of a DAG in the API, once it was read."""
        place = f"/api/v2/dags/{dag_id}"
        self.wait(lambda: self.ask("GET", place, missing=True), seconds, f"DAG {dag_id} to be read")
        return place

    def ended(self, place: str, seconds: float = 600.0) -> dict[str, Any]:
        """A run once it ended."""

        def found() -> dict[str, Any] | None:
            run: dict[str, Any] = self.ask("GET", place)
            return run if run["state"] in ("success", "failed") else None

        return dict(self.wait(found, seconds, f"{place} to end"))

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """The runs of a DAG, oldest first."""
        found = self.ask("GET", f"/api/v2/dags/{dag_id}/dagRuns?limit=100&order_by=run_after")
        return list(found["dag_runs"])

    def version(self) -> tuple[int, ...]:
        """The first two numbers of Airflow's version."""
        found = str(self.ask("GET", "/api/v2/version")["version"])
        return tuple(int(part) for part in found.split(".")[:2])

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The task instances of a run."""
        found = self.ask("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=500")
        return list(found["task_instances"])

    def story(self, dag_id: str) -> str:
        """What the logs of a DAG's tasks say of ours and of errors."""
        told = []
        for log in sorted(self.home.glob(f"logs/dag_id={dag_id}/**/*.log"), key=lambda f: f.stat().st_mtime):
            told.append(str(log.relative_to(self.home / "logs")))
            for line in log.read_text(errors="replace").splitlines():
                with contextlib.suppress(ValueError):
                    entry = json.loads(line)
                    errors = [f"{e['exc_type']}: {e['exc_value']}" for e in entry.get("error_detail") or ()]
                    if errors or "tidemill" in entry.get("logger", ""):
                        told.append("  ".join(["", entry["timestamp"], entry["event"], *errors]))
        return "\n".join(told)

    def ask(self, method: str, path: str, body: Any = None, *, missing: bool = False) -> Any:
        """One question to the API, after the others; None for what is not there, if it may be missing."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        try:
            with self.turn, urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if missing and error.code == 404:
                return None
            raise AssertionError(f"{method} {path}: {error.code} {error.read()[:2000]!r}") from None

    def _answers(self) -> bool:
        try:
            self.token = self.ask("GET", "/auth/token")["access_token"]
            socket.create_connection((self.host, self.tasks_port), 5).close()
        except (OSError, AssertionError):
            return False
        return True

    def _healthy(self) -> bool:
        health = self.ask("GET", "/api/v2/monitor/health")
        return all(health[part.replace("-", "_")]["status"] == "healthy" for part in self.parts)

    def wait(self, answer: Any, seconds: float, what: str) -> Any:
        """What `answer()` gives once it gives something. AssertionError with the logs when it never does."""
        end, pause = time.monotonic() + seconds, threading.Event()
        while time.monotonic() < end and all(p.poll() is None for p in self.processes.values()):
            if found := answer():
                return found
            pause.wait(POLL)
        logs = [self.home / f"{name}.log" for name in self.processes]
        ends = [f"{log.name}:\n{log.read_text(errors='replace')[-3000:]}" for log in logs]
        raise AssertionError("\n".join([f"waited in vain for {what}, {seconds:.0f} s at most", *ends]))


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _gone(process: subprocess.Popen[bytes], end: float) -> bool:
    """Whether the process and all of its group have ended; waits for it until `end`."""
    pause = threading.Event()
    while time.monotonic() < end:
        process.poll()
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        pause.wait(0.1)
    return False


def line_of(process: int, site: Site) -> Sequence[int]:
    """A process that a task of the site started, with those above it, as far as they are the site's."""
    ours, found = {*processes_with(f"AIRFLOW_HOME={site.home}")}, []
    while process in ours or not found:
        found.append(process)
        process = parent_of(process)
    return found


def parent_of(process: int) -> int:
    """The process that started it."""
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def processes_with(variable: str) -> Sequence[int]:
    """The processes whose environment has `NAME=value`, such as those of one Airflow."""
    wanted = variable.encode()
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found
