"""Runs on a server: started once, looked at, ended, tried again, put away.

KFP has no key that makes creating a run happen once. So each creation carries a mark in the run's
description, and when an answer is lost, the runs of that name are looked through for it before the request is
sent again.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from tidemill.errors import did_you_mean
from tidemill.runners.kubeflow.client.failures import AlreadyThere, NotFound, log_failure
from tidemill.runners.kubeflow.client.pipelines import Version, equals, listed
from tidemill.runners.kubeflow.client.request import API, Request, segment
from tidemill.runners.kubeflow.client.wire import Sender

ENDED = frozenset({"SUCCEEDED", "SKIPPED", "FAILED", "CANCELED"})
"""States of `RuntimeState` that a run does not leave by itself."""
MARK = "tidemill-request:"
"""Begins the mark of a creation in a run's description."""
LOOK_SECONDS = 5.0


class Runs:
    """Runs of one server."""

    def __init__(self, send: Sender) -> None:
        self._send = send
        self._path = f"{API}/runs"

    def all(
        self, *, experiment_id: str = "", pipeline_id: str = "", limit: int = 100
    ) -> list[dict[str, Any]]:
        """Runs that are not archived, newest first, at most `limit`."""
        query = {"namespace": self._send.server.namespace, "experiment_id": experiment_id,
                 "sort_by": "created_at desc", "filter": _AVAILABLE}  # fmt: skip
        found = []
        for run in listed(self._send, self._path, "runs", query, "list runs"):
            if not pipeline_id or version_of(run)[0] == pipeline_id:
                found.append(run)
            if len(found) >= limit:
                break
        return found

    def named(self, name: str, experiment_id: str = "") -> list[dict[str, Any]]:
        """Every run of a name, newest first, archived ones too."""
        query = {"namespace": self._send.server.namespace, "experiment_id": experiment_id,
                 "sort_by": "created_at desc", "filter": equals("display_name", name)}  # fmt: skip
        return list(listed(self._send, self._path, "runs", query, f"find the run {name}"))

    def get(self, name: str) -> dict[str, Any]:
        """A run by its id, a unique beginning of it, its name (then the newest), or `latest`."""
        if name == "latest" and not self._send.rehearsal:
            there = self.all(limit=1)
            if not there:
                raise NotFound("nothing was run yet", where=self._send.server.url)
            name = str(there[0].get("run_id", ""))
        request = Request(
            method="GET", path=f"{self._path}/{segment(name)}", what=f"find the run {name}",
            assumed={"run_id": name, "display_name": name, "state": "RUNNING"},
        )  # fmt: skip
        try:
            return self._send.send(request)
        except NotFound:
            there = self.all()
        matching = [r for r in there if r.get("display_name") == name][:1]
        matching = matching or [r for r in there if str(r.get("run_id", "")).startswith(name)]
        if len(matching) == 1:
            return self.get(str(matching[0]["run_id"]))
        if matching:
            raise NotFound(f"{name!r} is the beginning of {len(matching)} runs", hint="write more of the id")
        known = [str(r.get("display_name", "")) for r in there]
        raise NotFound(
            f"there is no run {name!r}", where=self._send.server.url, hint=did_you_mean(name, known)
        )

    def create(
        self, version: Version, parameters: Mapping[str, Any], *, name: str, experiment_id: str = "",
        once: bool = False, service_account: str = "", description: str = "",
    ) -> tuple[dict[str, Any], bool]:  # fmt: skip
        """Start a run; it, and whether it is new.

        once: a run of that name that does the same is this one, and nothing is started. AlreadyThere when it
        does something else.
        """
        if once and not self._send.rehearsal:
            there = self._same(name, version, parameters, experiment_id)
            if there is not None:
                return there, False
        mark = f"{MARK}{'<random>' if self._send.rehearsal else secrets.token_hex(8)}"
        body: dict[str, Any] = {
            "display_name": name,
            "description": f"{description} {mark}".strip(),
            "pipeline_version_reference": {
                "pipeline_id": version.pipeline_id, "pipeline_version_id": version.id,
            },
            "runtime_config": {"parameters": dict(parameters)},
        }  # fmt: skip
        if experiment_id:
            body["experiment_id"] = experiment_id
        if service_account:
            body["service_account"] = service_account
        request = Request(
            method="POST", path=self._path, what=f"start the run {name}", body=body, repeatable=False,
            unless=f"there is a run {name}" if once else "",
            assumed={"run_id": f"<id-of-{name}>", "display_name": name, "state": "PENDING"},
        )  # fmt: skip

        def found() -> dict[str, Any] | None:
            marked = [r for r in self.named(name, experiment_id) if mark in r.get("description", "")]
            return marked[0] if marked else None

        return self._send.send(request, found=found), True

    def terminate(self, run_id: str) -> None:
        """Ask that a run ends. Argo then stops its pods; ours see SIGTERM."""
        self._act(run_id, "terminate")

    def retry(self, run_id: str) -> None:
        """Let KFP do again what failed, in the same run."""
        self._act(run_id, "retry", repeatable=False)

    def archive(self, run_id: str) -> None:
        """Put a run away; it can be restored."""
        self._act(run_id, "archive")

    def restore(self, run_id: str) -> None:
        """Take an archived run back."""
        self._act(run_id, "unarchive")

    def delete(self, run_id: str) -> None:
        """Delete a run from KFP; our record of it stays."""
        path = f"{self._path}/{segment(run_id)}"
        self._send.send(Request(method="DELETE", path=path, what=f"delete the run {run_id}"))

    def follow(self, run_id: str, *, sleep: Callable[[float], None] = time.sleep) -> dict[str, Any]:
        """Wait until a run ended; the run as it is then."""
        while True:
            run = self.get(run_id)
            if self._send.rehearsal or run.get("state") in ENDED:
                return run
            sleep(LOOK_SECONDS)

    def log(self, run_id: str, pod: str) -> bytes:
        """What a pod printed, while Kubernetes has it, or from KFP's archive of logs.

        NotFound when neither has. The path is the only one of KFP's that is still v1alpha1.
        """
        path = f"/apis/v1alpha1/runs/{segment(run_id)}/nodes/{segment(pod)}/log"
        text = self._send.read(Request(method="GET", path=path, what=f"read the log of {pod}"))
        if why := log_failure(text):
            raise NotFound(
                f"there is no log of {pod} any more: {why}", where=path,
                hint="our own record has it: tidemill logs RUN NODE, where the root can be read",
            )  # fmt: skip
        return text

    def _act(self, run_id: str, verb: str, *, repeatable: bool = True) -> None:
        request = Request(
            method="POST", path=f"{self._path}/{segment(run_id)}:{verb}", what=f"{verb} the run {run_id}",
            body={}, repeatable=repeatable,
        )  # fmt: skip
        self._send.send(request)

    def _same(
        self, name: str, version: Version, parameters: Mapping[str, Any], experiment_id: str
    ) -> dict[str, Any] | None:
        there = [r for r in self.named(name, experiment_id) if r.get("storage_state") != "ARCHIVED"]
        if not there:
            return None
        run = there[0]
        theirs = (run.get("runtime_config") or {}).get("parameters") or {}
        if version_of(run)[1] == version.id and dict(theirs) == dict(parameters):
            return run
        raise AlreadyThere(
            f"there is a run {name!r} already, of another version or with other parameters",
            where=f"{self._send.server.url} run {run.get('run_id')}", hint="choose another --name",
        )  # fmt: skip


_AVAILABLE = '{"predicates":[{"operation":"EQUALS","key":"storage_state","string_value":"AVAILABLE"}]}'


def version_of(run: Mapping[str, Any]) -> tuple[str, str]:
    """Pipeline and version that a run, or a recurring run, is of; "" for a spec of its own."""
    reference = run.get("pipeline_version_reference") or {}
    version = reference.get("pipeline_version_id") or run.get("pipeline_version_id") or ""
    return str(reference.get("pipeline_id", "")), str(version)


def tasks_of(run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What KFP says of a run's tasks, drivers and groups of its own left out, in order of their start."""
    details = (run.get("run_details") or {}).get("task_details") or ()
    found = [
        {
            "task": t.get("display_name", ""), "state": t.get("state", ""), "start": t.get("start_time", ""),
            "end": t.get("end_time", ""), "error": (t.get("error") or {}).get("message", ""),
            "pods": [p["pod_name"] for p in t.get("child_tasks") or () if p.get("pod_name")],
        }
        for t in details
        if not str(t.get("display_name", "")).endswith("-driver")
    ]  # fmt: skip
    return sorted(found, key=lambda task: (str(task["start"]), str(task["task"])))
