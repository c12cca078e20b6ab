"""The routes of the HTTP server. Calls of the store run in threads, each with a connection of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tidemill.errors import TidemillError
from tidemill.metadata.remote.http_client import PATH
from tidemill.metadata.remote.methods import MOST_BYTES
from tidemill.metadata.remote.service import Service
from tidemill.metadata.sql import SqlStore
from tidemill.server.guard import Guard, refusal
from tidemill.server.metrics import Metrics

WAITING = 64
"""Calls that may wait for each thread; further ones are told to come again."""

_READY_SECONDS = 5.0
_KNOWN_SECONDS = 1.0
"""How long an answer to /readyz is given again: whoever asks it without a token cannot keep threads busy."""


def make_app(
    store: SqlStore, pool: Executor, metrics: Metrics, *, threads: int, token: str = "",
    hosts: tuple[str, ...] = (),
) -> Starlette:  # fmt: skip
    """The application on a store. `pool` has `threads` threads; with a `token`, requests must show it."""
    calls = _Calls(Service(store, metrics), pool, threads)
    ready = _Readiness(store, pool)

    async def show_metrics(_: Request) -> Response:
        text = await asyncio.get_running_loop().run_in_executor(pool, metrics.text)
        return Response(text, media_type=metrics.content_type)

    return Starlette(
        routes=[
            Route(PATH + "{method}", calls.answer, methods=["POST"]),
            Route("/metrics", show_metrics, methods=["GET"]),
            Route("/healthz", _alive, methods=["GET"]),
            Route("/readyz", ready.answer, methods=["GET"]),
        ],
        middleware=[Middleware(Guard, token=token, hosts=hosts, most_bytes=MOST_BYTES)],
        exception_handlers={HTTPException: _refused},
    )


class _Calls:
    """The calls of the metadata store."""

    def __init__(self, service: Service, pool: Executor, threads: int) -> None:
        self._service = service
        self._pool = pool
        self._free = asyncio.Semaphore(threads)
        self._most = threads * (1 + WAITING)
        self._present = 0

    async def answer(self, request: Request) -> Response:
        """Answer one call, when a thread is free."""
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return refusal(415, "a request is of the type application/json")
        if self._present >= self._most:
            return refusal(503, "too many calls wait already", headers={"retry-after": "1"})
        self._present += 1
        try:
            body = await request.body()
            async with self._free:
                if await request.is_disconnected():  # whoever asked has given up, perhaps to ask again
                    return Response(status_code=499)
                answer = await _in(self._pool, self._service.call, request.path_params["method"], body)
        except ClientDisconnect:
            return Response(status_code=499)
        finally:
            self._present -= 1
        return Response(answer.body, answer.status, {"cache-control": "no-store"}, "application/json")


class _Readiness:
    """Whether the store answers."""

    def __init__(self, store: SqlStore, pool: Executor) -> None:
        self._store = store
        self._pool = pool
        self._asked = -_KNOWN_SECONDS
        self._ready = False
        self._lock = asyncio.Lock()

    async def answer(self, _: Request) -> Response:
        """200 or 503."""
        async with self._lock:
            if time.monotonic() - self._asked >= _KNOWN_SECONDS:
                self._ready = await self._ask()
                self._asked = time.monotonic()
        return PlainTextResponse("ready\n" if self._ready else "the store does not answer\n",
                                 200 if self._ready else 503)  # fmt: skip

    async def _ask(self) -> bool:
        try:
            await asyncio.wait_for(_in(self._pool, lambda: self._store.get_runs(limit=0)), _READY_SECONDS)
        except (TidemillError, TimeoutError):
            return False
        return True


async def _in(pool: Executor, function: Callable[..., Any], *arguments: Any) -> Any:
    """Run a function in a thread. It goes on to its end even when nobody waits for it any more."""
    waiting: Awaitable[Any] = asyncio.get_running_loop().run_in_executor(pool, function, *arguments)
    return await asyncio.shield(waiting)


async def _alive(_: Request) -> Response:
    return PlainTextResponse("alive\n")


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refusal(error.status_code, error.detail, headers=dict(error.headers or {}))
