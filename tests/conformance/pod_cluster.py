"""What stands in for a cluster of Kubernetes: its API for pods, each of which is a process of this machine.

It speaks as much of the API as Kubernetes' own client needs for Airflow's KubernetesPodOperator: pods are
made, read, listed by labels, followed, patched and deleted, over HTTP. Variables from secrets are found by
name, as a kubelet does. Images, volumes and limits are not looked at.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


class Pod:
    """A pod, and the process that it is."""

    def __init__(
        self, asked: dict[str, Any], namespace: str, secrets: Mapping[str, Mapping[str, str]]
    ) -> None:
        self.asked = asked
        asked["metadata"].setdefault("namespace", namespace)
        asked["metadata"] |= {"uid": asked["metadata"]["name"], "creationTimestamp": _now()}
        (self.container,) = asked["spec"]["containers"]
        self.output = tempfile.NamedTemporaryFile()  # noqa: SIM115 - it lives as long as the pod
        self.process: subprocess.Popen[bytes] | None = None
        self.over = threading.Event()
        self.why = ""
        with suppress(KeyError):
            environment = dict(self._variables(secrets))
            words = [*self.container["command"], *self.container.get("args", [])]
            self.process = subprocess.Popen(
                [sys.executable, *words[1:]], stdout=self.output, stderr=subprocess.STDOUT,
                env={"PATH": os.environ["PATH"], "HOME": "/", **environment}, start_new_session=True,
            )  # fmt: skip
            return
        self.why = "CreateContainerConfigError"

    def _variables(self, secrets: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, str]]:
        for item in self.container.get("env", []):
            source = item.get("valueFrom", {}).get("secretKeyRef")
            if source is None:
                yield item["name"], item.get("value", "")
            elif not source.get("optional") or source["key"] in secrets.get(source["name"], {}):
                yield item["name"], secrets[source["name"]][source["key"]]

    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def to_json(self) -> dict[str, Any]:
        state: dict[str, Any] = {"running": {"startedAt": _now()}}
        phase = "Running"
        if self.process is None:
            state, phase = {"waiting": {"reason": self.why, "message": "a secret is missing"}}, "Pending"
        elif (code := self.process.poll()) is not None:
            phase = "Failed" if code else "Succeeded"
            code = 128 - code if code < 0 else code
            ended = {"exitCode": code, "reason": "Error" if code else "Completed"}
            state = {"terminated": {**ended, "startedAt": _now(), "finishedAt": _now()}}
        status = {
            "phase": phase, "startTime": _now(),
            "conditions": [{"type": "PodScheduled", "status": "True"}],
            "containerStatuses": [
                {
                    "name": self.container["name"], "image": self.container["image"], "imageID": "",
                    "ready": False, "restartCount": 0, "state": state,
                }
            ],
        }  # fmt: skip
        return {"apiVersion": "v1", "kind": "Pod", **self.asked, "status": status}

    def end(self, grace: float) -> None:
        """As a kubelet ends it: SIGTERM, then SIGKILL."""
        if self.process is None:
            return
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(grace)
        self.process.kill()
        self.process.wait()
        self.over.set()


class Cluster:
    """The pods, and how they are asked for."""

    def __init__(self, secrets: dict[str, dict[str, str]]) -> None:
        self.secrets = secrets
        self.pods: dict[str, Pod] = {}
        self.every: list[Pod] = []
        self.made: list[dict[str, Any]] = []
        """Every pod that was ever asked for."""
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Answers", (_Answers,), {"cluster": self}))
        self.server.daemon_threads = True

    @property
    def kubeconfig(self) -> dict[str, Any]:
        """For its clients."""
        address = f"http://127.0.0.1:{self.server.server_port}"
        return {
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": address}}],
            "users": [{"name": "me", "user": {}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        }  # fmt: skip

    def remove(self, name: str, grace: float) -> None:
        """Delete a pod; it is there until its process is not."""
        pod = self.pods[name]
        pod.asked["metadata"]["deletionTimestamp"] = _now()
        threading.Thread(target=self._removed, args=(name, grace)).start()

    def _removed(self, name: str, grace: float) -> None:
        self.pods[name].end(grace)
        self.pods.pop(name, None)


@contextmanager
def cluster(secrets: dict[str, dict[str, str]]) -> Iterator[Cluster]:
    """A cluster with these secrets, until the block ends."""
    found = Cluster(secrets)
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield found
    finally:
        found.server.shutdown()
        thread.join()
        found.server.server_close()
        for pod in found.every:
            pod.end(0)
            pod.output.close()


class _Answers(BaseHTTPRequestHandler):
    """`/api/v1/namespaces/NS/pods[/NAME[/log]]`, and no events."""

    cluster: Cluster
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = self._body()
        pod = Pod(asked, self._parts()[0], self.cluster.secrets)
        self.cluster.made.append(json.loads(json.dumps(asked)))
        self.cluster.pods[asked["metadata"]["name"]] = pod
        self.cluster.every.append(pod)
        self._answer(pod.to_json(), 201)

    def do_GET(self) -> None:
        _, kind, *rest = self._parts()
        if kind != "pods":
            self._answer({"kind": "EventList", "apiVersion": "v1", "metadata": {}, "items": []})
        elif not rest:
            wanted = self._query().get("labelSelector", "")
            items = [p.to_json() for p in [*self.cluster.pods.values()] if _has(p.asked, wanted)]
            self._answer({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})
        elif pod := self._pod(rest[0]):
            if rest[1:]:
                self._log(pod, follow=self._query().get("follow") == "True")
            else:
                self._answer(pod.to_json())

    def do_PATCH(self) -> None:
        if pod := self._pod(self._parts()[2]):
            pod.asked["metadata"].setdefault("labels", {}).update(self._body()["metadata"]["labels"])
            self._answer(pod.to_json())

    def do_DELETE(self) -> None:
        if pod := self._pod(self._parts()[2]):
            body = self._body()
            grace = float(self._query().get("gracePeriodSeconds", body.get("gracePeriodSeconds") or 30))
            self.cluster.remove(self._parts()[2], grace)
            self._answer(pod.to_json())

    def _log(self, pod: Pod, *, follow: bool) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        told = 0
        stamped = self._query().get("timestamps") == "True"
        while True:
            ended = pod.ended() or not follow
            data = Path(pod.output.name).read_bytes()[told:]
            data = data if ended else data[: data.rfind(b"\n") + 1]
            told += len(data)
            for line in data.splitlines(keepends=True):
                piece = f"{_now()} ".encode() + line if stamped else line
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            if ended:
                self.wfile.write(b"0\r\n\r\n")
                return
            pod.over.wait(0.05)

    def _pod(self, name: str) -> Pod | None:
        found = self.cluster.pods.get(name)
        if found is None:
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound"}
            self._answer({**status, "message": f'pods "{name}" not found', "code": 404}, 404)
        return found

    def _parts(self) -> list[str]:
        """Namespace, kind of thing, and what follows."""
        words = urlsplit(self.path).path.strip("/").split("/")
        return words[words.index("namespaces") + 1 :]

    def _query(self) -> dict[str, str]:
        return {name: given[-1] for name, given in parse_qs(urlsplit(self.path).query).items()}

    def _body(self) -> dict[str, Any]:
        found = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return json.loads(found) if found else {}

    def _answer(self, data: Mapping[str, Any], code: int = 200) -> None:
        text = json.dumps(data).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _has(pod: Mapping[str, Any], selector: str) -> bool:
    labels = pod["metadata"].get("labels", {})
    for part in filter(None, selector.split(",")):
        name, unequal, value = part.partition("!=")
        if unequal:
            fits = labels.get(name) != value
        elif part.startswith("!"):
            fits = part[1:] not in labels
        else:
            name, _, value = part.partition("=")
            fits = labels.get(name) == value
        if not fits:
            return False
    return True


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
