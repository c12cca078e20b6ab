"""The metadata server under load and ill treatment: limits, stopping, errors, many clients at once."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest

from tidemill.errors import StoreError
from tidemill.metadata.sql import open_store
from tidemill.metadata.sql.mlmd import Service
from tidemill.mlmd import MetadataStore, errors, grpc_server
from tidemill.mlmd import metadata_store_pb2 as pb
from tidemill.mlmd import metadata_store_service_pb2 as service
from tidemill.mlmd.grpc_server import Server

TYPE = pb.ArtifactType(name="T")


@contextmanager
def serving(folder: Path, **options: Any) -> Iterator[Server]:
    """A server in this process, on `served.db`."""
    with closing(open_store(str(folder / "served.db"))) as store:
        server = Server(store, **options)
        server.start()
        yield server
        server.stop(5)


def client(address: str, **fields: Any) -> MetadataStore:
    host, _, port = address.rpartition(":")
    return MetadataStore(pb.MetadataStoreClientConfig(host=host.strip("[]"), port=int(port), **fields))


def ask_until_refused(store: MetadataStore) -> None:
    """Make calls until the server takes no more. A call that met the very moment is cancelled."""
    with suppress(errors.UnavailableError, errors.CancelledError):
        while True:
            store.get_artifact_types()


class Held(Service):
    """A service whose writes begin when the test says so."""

    entered = threading.Event()
    released = threading.Event()

    def call(self, method: str, request: Any, response: Any) -> None:
        if method.startswith("Put"):
            self.entered.set()
            assert self.released.wait(60)
        super().call(method, request, response)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Held]]:
    monkeypatch.setattr(grpc_server, "Service", Held)
    Held.entered, Held.released = threading.Event(), threading.Event()
    yield Held
    Held.released.set()


def test_many_clients_at_once(folder: Path) -> None:
    """Eight clients on four threads: each gets its own ids back, and nothing is lost or doubled."""
    with serving(folder, threads=4) as server:

        def work(number: int) -> list[int]:
            with closing(client(server.address)) as store:
                type_id = store.put_artifact_type(TYPE)
                ids = []
                for i in range(20):
                    ids += store.put_artifacts([pb.Artifact(type_id=type_id, name=f"{number}-{i}")])
                    (read,) = store.get_artifacts_by_id(ids[-1:])
                    assert read.name == f"{number}-{i}"
                return ids

        with ThreadPoolExecutor(8) as pool:
            found = [i for ids in pool.map(work, range(8)) for i in ids]
        with closing(client(server.address)) as store:
            assert sorted(found) == [a.id for a in store.get_artifacts()] == list(range(1, 161))
            assert len(store.get_artifact_types()) == 1


def test_a_call_under_way_is_answered_when_the_server_stops(folder: Path, held: type[Held]) -> None:
    with closing(open_store(str(folder / "served.db"))) as store, ThreadPoolExecutor(2) as pool:
        server = Server(store)
        server.start()
        with closing(client(server.address)) as mine:
            put = pool.submit(mine.put_artifact_type, TYPE)
            assert held.entered.wait(60)
            stopped = pool.submit(server.stop, 60)
            ask_until_refused(mine)
            assert not put.done()
            assert not stopped.done()
            held.released.set()
            assert put.result(60) == 10
            stopped.result(60)


def test_a_write_is_finished_though_nobody_waits_for_it(folder: Path, held: type[Held]) -> None:
    """When the grace is over the client hears of it, but the store is closed only after the commit."""
    with closing(open_store(str(folder / "served.db"))) as store, ThreadPoolExecutor(2) as pool:
        server = Server(store)
        server.start()
        with closing(client(server.address)) as mine:
            put = pool.submit(mine.put_artifact_type, TYPE)
            assert held.entered.wait(60)
            stopped = pool.submit(server.stop, 0)
            assert isinstance(put.exception(60), errors.CancelledError | errors.UnavailableError)
            assert not stopped.done()
            held.released.set()
            stopped.result(60)
    with serving(folder) as server, closing(client(server.address)) as mine:
        assert [t.name for t in mine.get_artifact_types()] == ["T"]


def test_more_calls_than_may_wait_are_refused(
    folder: Path, held: type[Held], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpc_server, "WAITING", 0)
    with (
        serving(folder, threads=1) as server,
        ThreadPoolExecutor(1) as pool,
        closing(client(server.address)) as store,
    ):
        put = pool.submit(store.put_artifact_type, TYPE)
        assert held.entered.wait(60)
        with pytest.raises(errors.ResourceExhaustedError):
            store.get_artifact_types()
        held.released.set()
        assert put.result(60) == 10


def test_a_call_that_nobody_waits_for_is_not_begun(folder: Path) -> None:
    class Gone:
        def is_active(self) -> bool:
            return False

    with closing(open_store(str(folder / "served.db"))) as store:
        handler = grpc_server._handler(Service(store.database), "PutArtifactType")
        request = service.PutArtifactTypeRequest(artifact_type=TYPE).SerializeToString()
        handler.unary_unary(request, Gone())
        with serving(folder) as server, closing(client(server.address)) as mine:
            assert mine.get_artifact_types() == []


def test_limits_of_the_client(folder: Path) -> None:
    with serving(folder) as server:
        with closing(client(server.address)) as store:
            store.put_artifact_type(TYPE)
        with (
            closing(client(server.address, channel_arguments={"max_receive_message_length": 1})) as store,
            pytest.raises(errors.ResourceExhaustedError),
        ):
            store.get_artifact_types()
        arguments = {"max_receive_message_length": 100, "http2_max_ping_strikes": 0}
        with closing(client(server.address, channel_arguments=arguments, client_timeout_sec=60)) as store:
            assert len(store.get_artifact_types()) == 1
        with (
            closing(client(server.address, client_timeout_sec=0)) as store,
            pytest.raises(errors.DeadlineExceededError),
        ):
            store.get_artifact_types()
    with closing(client(server.address)) as store, pytest.raises(errors.UnavailableError):
        store.get_artifact_types()


def test_limits_of_the_server(folder: Path) -> None:
    with serving(folder, most_bytes=20_000) as server, closing(client(server.address)) as store:
        type_id = store.put_artifact_type(TYPE)
        with pytest.raises(errors.ResourceExhaustedError):
            store.put_artifacts([pb.Artifact(type_id=type_id, uri="x" * 30_000)])
        for _ in range(3):
            store.put_artifacts([pb.Artifact(type_id=type_id, uri="x" * 10_000)])
        with pytest.raises(errors.ResourceExhaustedError):
            store.get_artifacts()
        assert len(store.get_artifacts_by_id([3])) == 1


def test_more_than_grpc_lets_through_by_itself(folder: Path) -> None:
    """A message of 6 MB, there and back: gRPC's own limit is 4 MiB."""
    with serving(folder) as server, closing(client(server.address)) as store:
        type_id = store.put_artifact_type(TYPE)
        ids = store.put_artifacts([pb.Artifact(type_id=type_id, uri="x" * 6_000_000)])
        assert len(store.get_artifacts_by_id(ids)[0].uri) == 6_000_000


@pytest.mark.parametrize("name", ["n" * 100_000, "ü" * 50_000, "a\nü" * 20_000])
def test_a_long_error_keeps_its_code(folder: Path, name: str) -> None:
    """Its text is a header, and a client refuses headers of more than 8 KiB."""
    with (
        serving(folder) as server,
        closing(client(server.address)) as store,
        pytest.raises(errors.NotFoundError, match=r"(?s)^No type found.*\.\.\.$"),
    ):
        store.get_artifact_type(name)


@pytest.mark.parametrize(
    ("call", "packed"),
    [
        ("PutArtifactType", b"\x0a\x04\x12\x02\xff\xfe"),  # a name that is not UTF-8
        ("GetArtifactType", b"\x0a\x02\xff\xfe"),
        ("PutArtifactType", b"\xff\xff\xff"),
    ],
)
def test_bytes_that_are_no_request(folder: Path, call: str, packed: bytes) -> None:
    """Refused before anything is stored: such a name would break every later list."""
    with serving(folder) as server, grpc.insecure_channel(server.address) as channel:
        with pytest.raises(grpc.RpcError, match="cannot be read") as caught:
            channel.unary_unary(f"/ml_metadata.MetadataStoreService/{call}")(packed, timeout=30)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        with closing(client(server.address)) as store:
            assert store.get_artifact_types() == []


def test_what_is_wrong_in_the_server_is_internal(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(Service, "call", fail)
    with (
        serving(folder) as server,
        closing(client(server.address)) as store,
        pytest.raises(errors.InternalError, match="GetArtifactTypes failed in the server") as caught,
    ):
        store.get_artifact_types()
    assert "secret" not in caught.value.message
    assert "ZeroDivisionError: secret" in caplog.text


def test_a_port_is_not_shared(folder: Path) -> None:
    with serving(folder) as server, closing(open_store(str(folder / "other.db"))) as store:
        port = int(server.address.rpartition(":")[2])
        with pytest.raises(StoreError, match="in use") as caught:
            Server(store, port=port)
        assert "--port" in caught.value.hint
        with pytest.raises(StoreError, match=r"cannot listen on nowhere\.invalid:0"):
            Server(store, host="nowhere.invalid")


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
def test_ipv6(folder: Path) -> None:
    with closing(socket.socket(socket.AF_INET6)) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("there is no IPv6 loopback")
    with serving(folder, host="::1") as server, closing(client(server.address)) as store:
        assert server.address.startswith("[::1]:")
        assert store.put_artifact_type(TYPE) == 10
