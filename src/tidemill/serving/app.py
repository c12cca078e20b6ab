"""The routes of the model server. Predictions run in threads, so that probes are answered meanwhile; small
ones of a quick model are made at once, for a change of threads takes longer than they do.

Open Inference Protocol v2: `/v2`, `/v2/health/...`, `/v2/models/...`. The row form: `/v1/models/NAME` and
`/v1/models/NAME:predict`. For operators: `/metrics`. Every refusal is the same JSON object: `error` says
what (a text, as both protocols want it), `code` which kind, `where` and `hint` more, `request_id` which
request.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from tidemill import __version__
from tidemill.errors import DataError, TidemillError
from tidemill.serving import instances, tensors
from tidemill.serving.hosting import Host, Log, Served
from tidemill.serving.metrics import Metrics

HEADER_LENGTH = "inference-header-content-length"
EXTENSIONS = ["binary_tensor_data"]
_SMALL_BYTES = 16_384
_QUICK_SECONDS = 0.01
"""What small requests usually take, at most, so that they are answered without a thread."""
_ID = re.compile(r"[!-~]{1,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a client may ask for at once."""

    body: int = 64 << 20
    """Bytes of a request."""
    rows: int = 100_000
    waiting: int = 256
    """Requests that may wait or be under way; further ones are told to come again."""


class _Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str, code: str, hint: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.hint = status, message, code, hint


class ModelApp:
    """The application for one model."""

    def __init__(
        self, name: str, host: Host, pool: Executor, metrics: Metrics, limits: Limits, log: Log
    ) -> None:  # fmt: skip
        self._name = name
        self._host = host
        self._pool = pool
        self._metrics = metrics
        self._limits = limits
        self._log = log
        self._present = 0
        self._usual = math.inf
        """Seconds that small requests took lately."""

    def asgi(self) -> Starlette:
        """The routes."""
        model, versions = "/v2/models/{name}", "/v2/models/{name}/versions/{version}"
        infer, predict = self._predicting("infer", self._infer), self._predicting("predict", self._rows)
        routes = [
            Route("/v2/health/live", self._live),
            Route("/v2/health/ready", self._ready),
            Route("/v2", self._server),
            Route("/v1/models/{name}:predict", predict, methods=["POST"]),
            Route("/v1/models/{name}/versions/{version}:predict", predict, methods=["POST"]),
            Route("/v1/models/{name}", self._status),
            Route("/v1/models/{name}/versions/{version}", self._status),
            Route("/metrics", self._figures),
        ]
        for path in (model, versions):
            routes += [
                Route(path + "/infer", infer, methods=["POST"]),
                Route(path + "/ready", self._model_ready),
                Route(path, self._metadata),
            ]
        handlers: dict[Any, Callable[..., Any]] = {
            HTTPException: self._on_http, _Refused: self._on_refused, DataError: self._on_data,
        }  # fmt: skip
        return Starlette(routes=routes, exception_handlers=handlers)

    # --- asking about the server and the model --------------------------------------------------------

    async def _live(self, _: Request) -> Response:
        return _json({"live": True})

    async def _ready(self, _: Request) -> Response:
        ready = self._host.current is not None
        return _json({"live": True, "ready": ready}, 200 if ready else 503)

    async def _server(self, _: Request) -> Response:
        return _json({"name": "tidemill", "version": __version__, "extensions": EXTENSIONS})

    async def _metadata(self, request: Request) -> Response:
        served = self._served(request)
        about = {"name": self._name, "versions": [served.version], "platform": _platform(served)}
        return _json({**about, **tensors.tensors_of(served.model.signature)})

    async def _model_ready(self, request: Request) -> Response:
        self._served(request)
        return _json({"name": self._name, "ready": True})

    async def _status(self, request: Request) -> Response:
        served = self._served(request)
        status = {"error_code": "OK", "error_message": ""}
        one = {"version": served.version, "state": "AVAILABLE", "status": status}
        return _json({"model_version_status": [one]})

    async def _figures(self, _: Request) -> Response:
        return Response(self._metrics.text(), media_type=self._metrics.content_type)

    def _served(self, request: Request) -> Served:
        """What is served; _Refused for another name or version, or before anything is."""
        name, version = request.path_params["name"], request.path_params.get("version", "")
        if name != self._name:
            raise _Refused(404, f"there is no model {name!r}", "NOT_FOUND", f"it is called {self._name!r}")
        served = self._host.current
        if served is None:
            raise _Refused(503, "no model is loaded yet", "NOT_READY", "ask /v2/health/ready")
        if version and version != served.version:
            hint = f"version {served.version!r} is served"
            raise _Refused(404, f"version {version!r} is not served", "NOT_FOUND", hint)
        return served

    # --- predicting -------------------------------------------------------------------------------

    def _predicting(self, form: str, work: Callable[..., tuple[Response, int]]) -> Callable[..., Any]:
        """A route that runs `work(served, body, headers)` in a thread, and counts."""

        async def answer(request: Request) -> Response:
            request.state.id = _request_id(request)
            if self._present >= self._limits.waiting:
                return _refusal(request, 503, "too many requests wait already", "BUSY", retry_after=1)
            self._present += 1
            self._metrics.under_way.inc()
            began, response, rows = time.perf_counter(), Response(status_code=499), 0
            try:
                served = self._served(request)
                body = await self._body(request)
                began = time.perf_counter()
                response, rows = await self._work(work, served, body, request.headers)
            except _Refused as error:
                response = _refusal(request, error.status, error.message, error.code, error.hint)
            except DataError as error:
                response = _of_error(request, error, 400)
            except ClientDisconnect:
                pass
            except Exception as error:  # whatever a model raises is an answer, never a broken connection
                response = self._failed(request, error)
            finally:
                self._present -= 1
                self._metrics.under_way.dec()
            self._metrics.end(form, response.status_code, time.perf_counter() - began, rows)
            response.headers["x-request-id"] = request.state.id
            return response

        return answer

    async def _work(
        self, work: Callable[..., tuple[Response, int]], served: Served, body: bytes, headers: Any
    ) -> tuple[Response, int]:
        """`work(served, body, headers)`, at once or in a thread."""

        def timed() -> tuple[Response, int]:
            began = time.perf_counter()
            found = work(served, body, headers)
            if small:
                took = time.perf_counter() - began
                self._usual = took if self._usual == math.inf else 0.9 * self._usual + 0.1 * took
            return found

        small = len(body) <= _SMALL_BYTES
        if small and self._usual < _QUICK_SECONDS:
            return timed()
        return await asyncio.get_running_loop().run_in_executor(self._pool, timed)

    async def _body(self, request: Request) -> bytes:
        """The body, as far as it may be long."""
        most = self._limits.body
        length = request.headers.get("content-length", "0")
        parts, size = [], int(length) if length.isdecimal() else 0
        if size <= most:
            size = 0
            async for part in request.stream():
                parts.append(part)
                size += len(part)
                if size > most:
                    break
        if size > most:
            text = f"the request is too large: {most / 2**20:g} MiB are the most"
            raise _Refused(413, text, "TOO_LARGE", "send several requests")
        if not size:
            raise _Refused(400, "the request is empty", "DATA", "send JSON")
        return b"".join(parts)

    def _infer(self, served: Served, body: bytes, headers: Any) -> tuple[Response, int]:
        given = headers.get(HEADER_LENGTH)
        if given is not None and not given.isdecimal():
            raise DataError(f"Inference-Header-Content-Length is {given!r}, no number")
        length = None if given is None else int(given)
        request = tensors.read_request(body, length, served.inputs, self._limits.rows)
        outputs = served.predict(request.batch)
        content, head = tensors.answer(request, self._name, served.version, outputs)
        if head is None:
            return Response(content, media_type="application/json"), request.batch.rows
        binary = {"Inference-Header-Content-Length": str(head)}
        return Response(content, headers=binary, media_type="application/octet-stream"), request.batch.rows

    def _rows(self, served: Served, body: bytes, headers: Any) -> tuple[Response, int]:  # noqa: ARG002 - as _infer
        batch, by_row = instances.read_instances(body, served.inputs, self._limits.rows)
        content = instances.answer(served.predict(batch), rows=by_row)
        return Response(content, media_type="application/json"), batch.rows

    # --- refusing -------------------------------------------------------------------------------------

    def _failed(self, request: Request, error: Exception) -> Response:
        if isinstance(error, TidemillError):
            return _of_error(request, error, 500)
        self._log("failed", request=request.state.id, error=f"{type(error).__name__}: {error}")
        text = f"the model failed with {type(error).__name__}"
        return _refusal(request, 500, text, "MODEL", "the server's log says more")

    async def _on_http(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = {404: "NOT_FOUND", 405: "METHOD"}.get(error.status_code, "REQUEST")
        hint = "see /v2" if error.status_code == 404 else ""
        return _refusal(request, error.status_code, error.detail, code, hint, headers=error.headers)

    async def _on_refused(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, _Refused)
        return _refusal(request, error.status, error.message, error.code, error.hint)

    async def _on_data(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, DataError)
        return _of_error(request, error, 400)


def _platform(served: Served) -> str:
    """The protocol's `<project>_<format>`, as far as the manifest says."""
    manifest = served.model.manifest
    return f"tidemill_{manifest.flavor or manifest.framework or 'model'}"


def _request_id(request: Request) -> str:
    given = request.headers.get("x-request-id", "")
    return given if _ID.fullmatch(given) else uuid.uuid4().hex


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value).encode(), status, media_type="application/json")


def _of_error(request: Request, error: TidemillError, status: int) -> Response:
    return _refusal(request, status, error.message, error.code, error.hint, where=error.where)


def _refusal(
    request: Request, status: int, message: str, code: str, hint: str = "", *, where: str = "",
    retry_after: int = 0, headers: Any = None,
) -> Response:  # fmt: skip
    """The one shape of errors."""
    id = getattr(request.state, "id", "") or _request_id(request)
    body = {"error": message, "code": code, "where": where, "hint": hint, "request_id": id}
    response = _json(body, status)
    for name, value in (headers or {}).items():
        response.headers[name] = value
    response.headers["x-request-id"] = id
    if retry_after:
        response.headers["retry-after"] = str(retry_after)
    return response
