"""RemoteStore: the MetadataStore protocol, answered by a metadata server.

Every call may be made again when its answer was lost, and then counts once: reading changes nothing,
`publish` and most other changes recognise themselves, `claim` and `create_run` carry a request id that the
server keeps in the record, and `take_run` and `end_run` are looked up when the repeated one says no. So a
lost connection or a server that starts again costs time, never a node that runs for nobody or twice.
"""

from __future__ import annotations

import functools
import random
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

from tidemill.errors import StoreError
from tidemill.metadata.model import Claim, ClaimRequest, Run, RunState
from tidemill.metadata.remote import failures
from tidemill.metadata.remote.address import Address
from tidemill.metadata.remote.codec import Malformed
from tidemill.metadata.remote.methods import Method, methods, read_answer
from tidemill.metadata.store import MetadataStore

PATIENCE_SECONDS = 30.0
"""How long a call is made again after its first failure, as long as stores on databases do."""
ANSWER_SECONDS = 90.0
"""How long one answer may take: a server that waits for its database gives up before."""


class Unreachable(Exception):
    """A request got no answer. It may or may not have been done."""


class Transport(Protocol):
    """Carries requests to a server. Threads share one."""

    where: str
    """The server, for messages."""

    def ask(self, method: str, body: bytes) -> bytes:
        """The answer's bytes. Unreachable when asking again may help, StoreError when it does not."""

    def close(self) -> None:
        """Release connections; no call may be made afterwards."""


@dataclass(slots=True)
class _Asked:
    """An answer, and whether an earlier one to the same request may have been lost."""

    value: Any
    again: bool


class RemoteStore:
    """A MetadataStore on a metadata server; see the protocol for what each method promises.

    Threads may share one. It is opened without asking the server; `open_remote` does ask.
    """

    def __init__(self, transport: Transport, *, read_only: bool = False) -> None:
        self._transport = transport
        self._read_only = read_only
        self._reached = False
        self._closed = threading.Event()
        self._known: set[str] = set()
        """Runs that this process was told it drives."""
        self._unheard: list[str] = []
        """Runs that it was given without hearing of it."""

    def close(self) -> None:
        """Release connections. The store must not be used afterwards."""
        self._closed.set()
        self._transport.close()

    # --- changes that do not recognise themselves ------------------------------------------------

    @functools.wraps(MetadataStore.create_run)
    def create_run(self, *arguments: Any, **keywords: Any) -> Any:
        """Start a run, under an id of this request."""
        named = {**keywords, "request_id": keywords.get("request_id") or secrets.token_hex(16)}
        run: Run = self.ask("create_run", *arguments, **named).value
        self._known.add(run.id)
        return run

    def take_queued(self, owner: str) -> Run | None:
        """Start the next run of the queue. One that was started by a request without an answer comes first.

        Its owner's runs tell: it is among them, and nobody here has heard of it.
        """
        if not self._unheard:
            asked = self.ask("take_queued", owner)
            if asked.value is not None:
                self._known.add(asked.value.id)
            if asked.again:
                driven: dict[str, str] = self.ask("driven_by", owner).value
                self._unheard += sorted(driven.keys() - self._known)
            if asked.value is not None or not self._unheard:
                answer: Run | None = asked.value
                return answer
        run_id = self._unheard.pop()
        self._known.add(run_id)
        return self._run(run_id)

    def remove_pool(self, name: str) -> bool:
        """Remove a pool; that it is gone when asked again may well be our doing."""
        asked = self.ask("remove_pool", name)
        return bool(asked.value) or asked.again

    def claim(self, request: ClaimRequest) -> Claim:
        """Ask to run a node."""
        named = replace(request, request_id=request.request_id or secrets.token_hex(16))
        answer: Claim = self.ask("claim", named).value
        return answer

    def take_run(self, run_id: str, *, owner: str, expected_owner: str) -> bool:
        """Change the owner of a RUNNING run, if it is `expected_owner`."""
        asked = self.ask("take_run", run_id, owner=owner, expected_owner=expected_owner)
        self._known.add(run_id)
        if asked.value or not asked.again:
            return bool(asked.value)
        run = self._run(run_id)
        return run is not None and (run.owner, run.state) == (owner, RunState.RUNNING)

    def end_run(self, run_id: str, state: RunState, *, owner: str, close_nodes: bool = False) -> bool:
        """End a RUNNING run, if `owner` owns it."""
        asked = self.ask("end_run", run_id, state, owner=owner, close_nodes=close_nodes)
        if asked.value or not asked.again:
            return bool(asked.value)
        run = self._run(run_id)
        return run is not None and (run.owner, run.state) == (owner, state)

    def _run(self, run_id: str) -> Run | None:
        run: Run | None = self.ask("get_run", run_id).value
        return run

    # --- asking until there is an answer -----------------------------------------------------------

    def ask(self, name: str, /, *arguments: Any, **keywords: Any) -> _Asked:
        """Make a call, again if need be. Raises what the store behind the server raised."""
        method = methods()[name]
        if method.changes and self._read_only:
            raise StoreError("the store was opened read-only", where=self._transport.where)
        body = method.pack_request(arguments, keywords)
        end, tries = None, 0
        while True:
            if self._closed.is_set():
                raise StoreError("the store is closed", where=self._transport.where)
            try:
                answer = self._transport.ask(name, body)
                self._reached = True
                return _Asked(self._read(method, answer), tries > 0)
            except Unreachable as error:
                tries += 1
                now = time.monotonic()
                end = end or now + PATIENCE_SECONDS
                pause = random.uniform(0.5, 1.0) * min(1.0, 0.01 * 2.0**tries)
                if not self._reached or now + pause > end:
                    raise self._gave_up(error, tries) from error
            self._closed.wait(pause)

    def _read(self, method: Method, body: bytes) -> Any:
        try:
            plain = read_answer(body)
            if "error" in plain:
                raise failures.from_plain(plain["error"])
            return method.unpack_answer(plain["answer"])
        except Malformed as error:
            raise StoreError(
                f"the answer to {method.name} cannot be read: {error}",
                where=self._transport.where,
                hint="see whether this is the address of a metadata server, and of which version",
            ) from error

    def _gave_up(self, error: Unreachable, tries: int) -> StoreError:
        where = self._transport.where
        if not self._reached:
            return StoreError(
                f"the metadata server cannot be reached: {error}",
                where=where,
                hint="see whether it runs: tidemill metadata serve",
            )
        return StoreError(
            f"the metadata server gave no answer in {PATIENCE_SECONDS:g} s and {tries} attempts: {error}",
            where=where,
            hint="whether the last change was made can be read when it is back; asking again is safe",
        )


def _remote(method: Method) -> Callable[..., Any]:
    """The method of RemoteStore that makes a call."""

    @functools.wraps(getattr(MetadataStore, method.name))
    def call(self: RemoteStore, *arguments: Any, **keywords: Any) -> Any:
        return self.ask(method.name, *arguments, **keywords).value

    return call


for _method in methods().values():
    if _method.name not in vars(RemoteStore):
        setattr(RemoteStore, _method.name, _remote(_method))


def open_remote(address: Address, *, read_only: bool = False) -> MetadataStore:
    """The store of the server at an address, which must answer now. StoreError when it does not."""
    transport: Transport
    if address.scheme in ("grpc", "grpcs"):
        transport = _grpc(address)
    else:
        from tidemill.metadata.remote.http_client import HttpTransport

        transport = HttpTransport(address)
    store = RemoteStore(transport, read_only=read_only)
    try:
        store.ask("get_runs", limit=0)
    except BaseException:
        store.close()
        raise
    # Its methods are made from the table, which no type checker sees; a test compares the two.
    return cast("MetadataStore", store)


def _grpc(address: Address) -> Transport:
    """A transport that needs an extra."""
    try:
        from tidemill.metadata.remote.grpc_client import GrpcTransport
    except ImportError as error:
        if error.name != "grpc":
            raise
        raise StoreError(
            "a metadata server at grpc:// needs the Python module grpc",
            where=str(address),
            hint="install tidemill[grpc], or use the server's http:// address",
        ) from error
    return GrpcTransport(address)
