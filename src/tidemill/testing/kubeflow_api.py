"""A small Kubeflow Pipelines API server in memory, after KFP's swagger, that fails on demand.

It holds what it is given and checks little: whether a pipeline is right is for KFP's own code to say, which
the conformance tests run. What it is for are the answers that get lost.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tidemill.runners.kubeflow.client.request import API, BOUNDARY

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with the next request whose method and path match.

    after: it is carried out first, and only its answer is lost. status 0 closes the connection without one.
    """

    method: str
    path: str
    status: int = 0
    after: bool = False
    body: str = ""
    headers: tuple[tuple[str, str], ...] = ()


class Refusal(Exception):
    """An answer that is none of success, as gRPC's gateway has it."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


@dataclass(slots=True)
class Kfp:
    """What the server holds, and every request that reached it."""

    pipelines: list[Item] = field(default_factory=list)
    versions: list[Item] = field(default_factory=list)
    runs: list[Item] = field(default_factory=list)
    jobs: list[Item] = field(default_factory=list)
    experiments: list[Item] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    """Method, path with query, and headers in lower case."""
    url: str = ""
    tag: str = "memory"
    """What it says its version is."""

    def count(self, method: str, path: str) -> int:
        """How many requests of a kind came."""
        return sum(1 for m, target, _ in self.seen if m == method and target.partition("?")[0] == path)

    def answer(self, method: str, target: str, body: bytes) -> Any:
        """Carry a request out; its JSON, or bytes."""
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        path = unquote(parts.path)
        for pattern, verbs in _ROUTES.items():
            match = re.fullmatch(pattern, path)
            if match and method in verbs:
                found: Any = getattr(self, verbs[method])(body=body, query=query, **match.groupdict())
                return found
        raise Refusal(404, 5, "Not Found")

    def _listed(self, items: list[Item], key: str, query: dict[str, str], **same: str) -> Item:
        wanted = [i for i in items if all(i.get(name) == value for name, value in same.items() if value)]
        for predicate in json.loads(query.get("filter") or "{}").get("predicates", ()):
            name = {"name": "display_name"}.get(predicate["key"], predicate["key"])
            wanted = [i for i in wanted if i.get(name) == predicate["string_value"]]
        if query.get("sort_by", "").endswith("desc"):
            wanted = wanted[::-1]
        start, size = int(query.get("page_token") or 0), int(query.get("page_size") or 10)
        more = {"next_page_token": str(start + size)} if start + size < len(wanted) else {}
        return {key: wanted[start : start + size], "total_size": len(wanted), **more}

    def _list_pipelines(self, query: dict[str, str], **_: Any) -> Item:
        return self._listed(self.pipelines, "pipelines", query)

    def _make_pipeline(self, body: bytes, **_: Any) -> Item:
        return self._made(self.pipelines, "pipeline_id", json.loads(body))

    def _pipeline_named(self, name: str, **_: Any) -> Item:
        return self._one(self.pipelines, "display_name", name)

    def _list_versions(self, id: str, query: dict[str, str], **_: Any) -> Item:
        return self._listed(self.versions, "pipeline_versions", query, pipeline_id=id)

    def _upload_version(self, body: bytes, query: dict[str, str], **_: Any) -> Item:
        text = body.split(b"\r\n\r\n", 1)[1].rsplit(f"\r\n--{BOUNDARY}".encode(), 1)[0].decode()
        if "root:" not in text:
            raise Refusal(500, 0, "Failed to create a pipeline version")
        if any(v["display_name"] == query["name"] for v in self.versions):
            raise Refusal(409, 0, "Failed to create a pipeline version")
        import yaml

        spec = yaml.safe_load(text)
        given = {"pipeline_id": query["pipelineid"], "display_name": query["name"], "pipeline_spec": spec,
                 "description": query.get("description", "")}  # fmt: skip
        return self._made(self.versions, "pipeline_version_id", given)

    def _list_runs(self, query: dict[str, str], **_: Any) -> Item:
        return self._listed(self.runs, "runs", query, experiment_id=query.get("experiment_id", ""))

    def _make_run(self, body: bytes, **_: Any) -> Item:
        given = json.loads(body)
        if not isinstance(given["runtime_config"]["parameters"].get("number", 0), int | float):
            raise Refusal(400, 3, "input parameter number ... is not of number value type")
        return self._made(self.runs, "run_id", {"state": "PENDING", "storage_state": "AVAILABLE", **given})

    def _get_run(self, id: str, **_: Any) -> Item:
        return self._one(self.runs, "run_id", id)

    def _act_on_run(self, id: str, verb: str, **_: Any) -> Item:
        run = self._one(self.runs, "run_id", id)
        if verb == "retry" and run["state"] not in ("FAILED", "CANCELED"):
            raise Refusal(409, 10, "BadRequestError: Workflow must be Failed/Error to retry")
        run.update({
            "terminate": {"state": "CANCELING"}, "archive": {"storage_state": "ARCHIVED"},
            "unarchive": {"storage_state": "AVAILABLE"}, "retry": {"state": "RUNNING"},
        }[verb])  # fmt: skip
        return {}

    def _list_jobs(self, query: dict[str, str], **_: Any) -> Item:
        return self._listed(self.jobs, "recurringRuns", query)

    def _make_job(self, body: bytes, **_: Any) -> Item:
        given = json.loads(body)
        status = "ENABLED" if given["mode"] == "ENABLE" else "DISABLED"
        return self._made(self.jobs, "recurring_run_id", {"status": status, **given})

    def _act_on_job(self, id: str, verb: str, **_: Any) -> Item:
        job = self._one(self.jobs, "recurring_run_id", id)
        job["status"] = "ENABLED" if verb == "enable" else "DISABLED"
        return {}

    def _delete_job(self, id: str, **_: Any) -> Item:
        self.jobs.remove(self._one(self.jobs, "recurring_run_id", id))
        return {}

    def _list_experiments(self, query: dict[str, str], **_: Any) -> Item:
        return self._listed(self.experiments, "experiments", query)

    def _make_experiment(self, body: bytes, **_: Any) -> Item:
        return self._made(self.experiments, "experiment_id", json.loads(body))

    def _log(self, pod: str, **_: Any) -> bytes:
        if pod == "pod-with-a-log":
            return b"line one\nline two\n"
        return (
            b'{"error_message":"Failed to read logs","error_details":"..."}'  # with status 200, as KFP does
        )

    def _health(self, **_: Any) -> Item:
        return {"tag_name": self.tag, "multi_user": False}

    def _made(self, items: list[Item], key: str, given: Item) -> Item:
        made = {**given, key: str(uuid.uuid4()), "created_at": f"2026-01-01T00:00:{len(items) % 60:02d}Z"}
        items.append(made)
        return made

    def _one(self, items: list[Item], key: str, value: str) -> Item:
        for item in items:
            if item[key] == value:
                return item
        raise Refusal(404, 5, f"ResourceNotFoundError: {value} not found.")


_ROUTES = {
    f"{API}/healthz": {"GET": "_health"},
    f"{API}/pipelines": {"GET": "_list_pipelines", "POST": "_make_pipeline"},
    f"{API}/pipelines/names/(?P<name>.+)": {"GET": "_pipeline_named"},
    f"{API}/pipelines/upload_version": {"POST": "_upload_version"},
    f"{API}/pipelines/(?P<id>[^/]+)/versions": {"GET": "_list_versions"},
    f"{API}/runs": {"GET": "_list_runs", "POST": "_make_run"},
    f"{API}/runs/(?P<id>[^/:]+)": {"GET": "_get_run"},
    f"{API}/runs/(?P<id>[^/:]+):(?P<verb>\\w+)": {"POST": "_act_on_run"},
    f"{API}/recurringruns": {"GET": "_list_jobs", "POST": "_make_job"},
    f"{API}/recurringruns/(?P<id>[^/:]+)": {"DELETE": "_delete_job"},
    f"{API}/recurringruns/(?P<id>[^/:]+):(?P<verb>\\w+)": {"POST": "_act_on_job"},
    f"{API}/experiments": {"GET": "_list_experiments", "POST": "_make_experiment"},
    "/apis/v1alpha1/runs/[^/]+/nodes/(?P<pod>[^/]+)/log": {"GET": "_log"},
}  # fmt: skip


@contextmanager
def serving(kfp: Kfp) -> Iterator[str]:
    """Answer for `kfp` on loopback; the URL."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            with lock:
                kfp.seen.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
                fault = next((f for f in kfp.faults if self._meets(f)), None)
                if fault is not None:
                    kfp.faults.remove(fault)
                status, found = 200, b""
                if fault is None or fault.after:
                    status, found = self._carried_out(body)
            if fault is None:
                self._say(status, found)
            elif fault.status:
                self._say(fault.status, fault.body.encode(), dict(fault.headers))
            self.close_connection = True

        def _meets(self, fault: Fault) -> bool:
            return self.command == fault.method and urlsplit(self.path).path.endswith(fault.path)

        def _carried_out(self, body: bytes) -> tuple[int, bytes]:
            try:
                found = kfp.answer(self.command, self.path, body)
            except Refusal as refusal:
                said = {"message": str(refusal), "code": refusal.code}
                return refusal.status, json.dumps(said).encode()
            return 200, found if isinstance(found, bytes) else json.dumps(found).encode()

        def _say(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = _answer

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        kfp.url = f"http://127.0.0.1:{server.server_port}"
        yield kfp.url
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
