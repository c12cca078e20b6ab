"""The HTTP server: health, figures with few labels, load, TLS, and clients that are told what is wrong."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tidemill.errors import FencedError, StoreError
from tidemill.listener import Tls
from tidemill.metadata.model import Artifact, NodeState, Publication
from tidemill.metadata.open import open_store
from tidemill.metadata.remote import failures
from tidemill.metadata.remote.http_client import PATH
from tidemill.metadata.remote.methods import methods
from tidemill.server import app
from tidemill.server.serving import HttpServer
from tidemill.testing.store_stories import claim_node, start_run

Ask = Callable[..., tuple[int, dict[str, str], bytes]]


def samples(ask: Ask, server: HttpServer) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Name of a series -> labels -> value."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(ask(server, "GET", "/metrics")[2].decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


# --- health --------------------------------------------------------------------------------------


def test_health(server: HttpServer, ask: Ask) -> None:
    assert ask(server, "GET", "/healthz")[::2] == (200, b"alive\n")
    assert ask(server, "GET", "/readyz")[::2] == (200, b"ready\n")


def test_a_server_without_its_database_is_alive_and_not_ready(
    server: HttpServer, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "_KNOWN_SECONDS", 0.0)
    calls: Any = server._listener._server.config.app
    readiness = next(r.endpoint.__self__ for r in calls.routes if r.path == "/readyz")
    readiness._store.close()
    assert ask(server, "GET", "/readyz")[0] == 503
    assert ask(server, "GET", "/healthz")[0] == 200


# --- figures -------------------------------------------------------------------------------------


def test_calls_and_transactions_are_counted(server: HttpServer, ask: Ask) -> None:
    with closing(open_store(server.address)) as store:
        start_run(store, "r1")
        claim = claim_node(store, "r1", "a")
        store.publish(claim, Publication(state=NodeState.COMPLETE))
        with pytest.raises(FencedError):
            store.publish(claim, Publication(state=NodeState.FAILED))
    found = samples(ask, server)
    calls = found["tidemill_store_calls_total"]
    assert calls[("method", "publish"), ("outcome", "ok")] == 1
    assert calls[("method", "publish"), ("outcome", "FENCED")] == 1
    assert calls[("method", "claim"), ("outcome", "ok")] == 1
    assert found["tidemill_store_call_seconds_count"][(("method", "publish"),)] == 2
    assert 0 < found["tidemill_store_call_seconds_sum"][(("method", "publish"),)] < 60
    transactions = found["tidemill_store_transactions_total"]
    assert transactions[(("kind", "write"),)] == 4  # the tables, the run, the claim, the publication
    assert transactions[(("kind", "read"),)] >= 1
    assert found["tidemill_store_calls_under_way"] == {(): 0}
    rows = found["tidemill_store_rows"]
    assert (rows[(("table", "tidemill_run"),)], rows[(("table", "Execution"),)]) == (1, 1)
    (build,) = found["tidemill_build_info"]
    assert dict(build)["database"] == "sqlite"


def test_labels_have_few_values_whatever_is_sent(server: HttpServer, ask: Ask) -> None:
    """Names of methods, bodies, paths, hosts and clients of strangers add no series."""
    before = None
    for number in range(40):
        ask(server, "POST", f"{PATH}method_{number}", b"{}")
        ask(server, "POST", f"{PATH}get_run", json.dumps({"run_id": f"run-{number}"}).encode())
        ask(server, "POST", f"{PATH}get_nodes", json.dumps({"run_id": number}).encode())
        ask(server, "GET", f"/path/{number}", user_agent=f"agent-{number}")
        if number == 0:
            before = {name: set(labels) for name, labels in samples(ask, server).items()}
    assert {name: set(labels) for name, labels in samples(ask, server).items()} == before
    named = {dict(labels)["method"] for labels in samples(ask, server)["tidemill_store_calls_total"]}
    assert named <= {*methods(), "unknown"}
    outcomes = {dict(labels)["outcome"] for labels in samples(ask, server)["tidemill_store_calls_total"]}
    assert outcomes <= {"ok", "INTERNAL", *failures.codes()}


def test_sizes_of_tables_are_not_counted_at_every_look(server: HttpServer, ask: Ask) -> None:
    first = samples(ask, server)
    second = samples(ask, server)
    reads = [found["tidemill_store_transactions_total"][(("kind", "read"),)] for found in (first, second)]
    # The first look reads them after its count of transactions was made; the second reads nothing.
    third = samples(ask, server)["tidemill_store_transactions_total"][(("kind", "read"),)]
    assert third == reads[1]


# --- load ----------------------------------------------------------------------------------------


def test_many_clients_on_few_threads(start: Any) -> None:
    """Each has its own answers; the database has no more connections than there are threads."""
    server = start(threads=2)
    with closing(open_store(server.address)) as first:
        start_run(first, "r1")

        def work(number: int) -> None:
            with closing(open_store(server.address)) as store:
                for i in range(10):
                    claim = claim_node(store, "r1", f"n{number}-{i}", owner=f"w{number}")
                    assert claim.owner == f"w{number}"
                    store.publish(claim, Publication(state=NodeState.COMPLETE))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        assert len(first.get_nodes("r1")) == 80


def test_more_calls_than_can_wait_are_told_to_come_again(
    start: Any, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And clients do."""
    monkeypatch.setattr(app, "WAITING", 1)
    server = start(threads=1)
    entered, released = threading.Event(), threading.Event()
    with closing(open_store(server.address)) as store:
        calls: Any = server._listener._server.config.app
        service = next(r.endpoint.__self__ for r in calls.routes if r.path.startswith(PATH))._service
        answer = service._store.get_nodes

        def held(**arguments: Any) -> Any:
            entered.set()
            assert released.wait(60)
            return answer(**arguments)

        monkeypatch.setattr(service._store, "get_nodes", held, raising=False)
        with ThreadPoolExecutor(6) as pool:
            first = pool.submit(store.get_nodes, "r1")
            assert entered.wait(60)
            more = [pool.submit(store.get_runs) for _ in range(4)]
            while ask(server, "POST", f"{PATH}get_runs", b"{}", connection="close")[0] != 503:
                assert not first.done()
            released.set()
            assert first.result(60) == []
            assert [m.result(60) for m in more] == [[]] * 4


# --- TLS -----------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path) -> Callable[[str], tuple[Path, Path]]:
    """Makes a key and a self-signed certificate for 127.0.0.1."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl to make a certificate")

    def make(name: str) -> tuple[Path, Path]:
        key, cert = tmp_path / f"{name}-key.pem", tmp_path / f"{name}-cert.pem"
        subprocess.run(
            [
                openssl,
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-keyout",
                key,
                "-out",
                cert,
                "-days",
                "2",
                "-subj",
                f"/CN={name}",
                "-addext",
                "subjectAltName=IP:127.0.0.1",
            ],
            check=True,
            capture_output=True,
        )
        return key, cert

    return make


def test_tls_on_both_sides(start: Any, certificate: Callable[[str], tuple[Path, Path]]) -> None:
    key, cert = certificate("server")
    own_key, own_cert = certificate("client")
    server = start(tls=Tls(key, cert, own_cert))
    assert server.address.startswith("https://")
    with closing(open_store(f"{server.address}?ca={cert}&cert={own_cert}&key={own_key}")) as store:
        assert store.get_runs() == []
    with pytest.raises(StoreError, match="not trusted") as caught:
        open_store(server.address)
    assert "?ca=" in caught.value.hint
    for address in (f"{server.address}?ca={cert}", server.address.replace("https", "http")):
        with pytest.raises(StoreError):
            open_store(address)


def test_a_key_that_does_not_fit(start: Any, certificate: Callable[[str], tuple[Path, Path]]) -> None:
    key, _ = certificate("server")
    _, other = certificate("other")
    with pytest.raises(StoreError, match="TLS cannot be set up"):
        start(tls=Tls(key, other))


# --- what goes wrong -----------------------------------------------------------------------------


def test_a_port_that_is_taken(server: HttpServer, start: Any) -> None:
    port = urlsplit(server.address).port
    with pytest.raises(StoreError, match="in use") as caught:
        start(port=port)
    assert "--http-port" in caught.value.hint


def test_a_publication_that_is_too_large_is_refused_before_it_is_sent(server: HttpServer) -> None:
    with closing(open_store(server.address)) as store:
        start_run(store, "r1")
        claim = claim_node(store, "r1", "a")
        large = [Artifact(type="Model", uri="u" * 1000) for _ in range(11_000)]
        with pytest.raises(StoreError, match="over HTTP may have 10 MiB") as caught:
            store.publish(claim, Publication(state=NodeState.COMPLETE, outputs={"x": large}))
        assert "grpc://" in caught.value.hint
        fewer = Publication(state=NodeState.COMPLETE, outputs={"x": large[:5000]})
        assert store.publish(claim, fewer) == claim.execution_id


def test_a_server_that_is_something_else() -> None:
    """Its answers are not taken for the record's, and not waited for."""
    script = (
        "import http.server as h; s = h.HTTPServer(('127.0.0.1', 0), h.SimpleHTTPRequestHandler); "
        "print(s.server_port, flush=True); s.serve_forever()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        with pytest.raises(StoreError, match="no metadata server"):
            open_store(f"http://127.0.0.1:{port}")
        other.kill()


def test_an_idle_connection_that_the_server_closed(start: Any) -> None:
    """It is noticed before a request is wasted on it."""
    server = start()
    with closing(open_store(server.address)) as store:
        transport: Any = store._transport
        (idle,) = transport._idle
        idle.sock.shutdown(socket.SHUT_RDWR)
        assert store.get_runs() == []
        assert transport._idle != [idle]


def test_a_forked_child_does_not_speak_on_its_parents_connection(server: HttpServer) -> None:
    """Both go on, each on its own."""
    script = (
        "import os, sys\n"
        "from tidemill.metadata.open import open_store\n"
        "store = open_store(sys.argv[1])\n"
        "child = os.fork()\n"
        "for _ in range(50): assert store.get_runs() == []\n"
        "if child == 0: os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "store.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, server.address], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
