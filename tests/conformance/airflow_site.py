"""A small Airflow with all its processes, in a folder of its own: scheduler, DAG processor, API, on SQLite.

For tests and the benchmark. It is ended as a process group, and nothing of it stays.
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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

START_SECONDS = 300.0
POLL = 0.5


class Site:
    """`with Site(python, folder) as site`: `dags` is its dags folder."""

    def __init__(self, python: str, home: Path) -> None:
        self.python, self.home = python, home
        self.dags = home / "dags"
        self.dags.mkdir(parents=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.token = ""

    def __enter__(self) -> Site:
        settings = {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "1",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "1",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
        }
        with (self.home / "site.log").open("wb") as log:
            self.process = subprocess.Popen(
                [self.python, "-m", "airflow", "standalone"], stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, **settings, "PATH": f"{Path(self.python).parent}:{os.environ['PATH']}"},
            )  # fmt: skip
        try:
            self.wait(self._ready, START_SECONDS, "Airflow to start")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        pause = threading.Event()
        with contextlib.suppress(ProcessLookupError):  # raised once not one process of the group is left
            for asked in (signal.SIGTERM, signal.SIGKILL):
                os.killpg(self.process.pid, asked)
                end = time.monotonic() + 30
                while time.monotonic() < end:
                    self.process.poll()
                    os.killpg(self.process.pid, 0)
                    pause.wait(POLL)
        self.process.wait()

    def run(self, dag_id: str, conf: Mapping[str, Any]) -> dict[str, Any]:
        """Trigger a DAG; its run once that ended."""
        return self.ended(self.start(dag_id, conf))

    def start(self, dag_id: str, conf: Mapping[str, Any], seconds: float = 300.0) -> str:
        """Trigger a DAG, which need not be known yet; the place of its run in the API."""
        place = f"/api/v2/dags/{dag_id}"
        self.wait(lambda: self.ask("GET", place, missing=True), seconds, f"DAG {dag_id} to be read")
        made = self.ask("POST", f"{place}/dagRuns", {"logical_date": None, "conf": dict(conf)})
        return f"{place}/dagRuns/{urllib.parse.quote(made['dag_run_id'])}"

    def ended(self, place: str, seconds: float = 300.0) -> dict[str, Any]:
        """A run once it ended."""

        def found() -> dict[str, Any] | None:
            run: dict[str, Any] = self.ask("GET", place)
            return run if run["state"] in ("success", "failed") else None

        return dict(self.wait(found, seconds, f"{place} to end"))

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The task instances of a run."""
        found = self.ask("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=500")
        return list(found["task_instances"])

    def ask(self, method: str, path: str, body: Any = None, *, missing: bool = False) -> Any:
        """One question to the API; None for what is not there, if it may be missing."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if missing and error.code == 404:
                return None
            raise AssertionError(f"{method} {path}: {error.code} {error.read()[:2000]!r}") from None

    def _ready(self) -> bool:
        try:
            self.token = self.ask("GET", "/auth/token")["access_token"]
            health = self.ask("GET", "/api/v2/monitor/health")
        except (OSError, AssertionError):
            return False
        return all(health[part]["status"] == "healthy" for part in ("scheduler", "dag_processor"))

    def wait(self, answer: Any, seconds: float, what: str) -> Any:
        """What `answer()` gives once it gives something. AssertionError with the log when it never does."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := answer():
                return found
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(POLL)
                break  # it ended, so nothing comes any more
        log = (self.home / "site.log").read_text(errors="replace")[-3000:]
        raise AssertionError(f"waited in vain for {what}, {seconds:.0f} s at most\n{log}")
