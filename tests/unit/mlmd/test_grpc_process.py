"""`tidemill metadata serve` as a process: TLS, signals, what it says, and whole programs as its clients."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tidemill.metadata.sql import open_store
from tidemill.mlmd import MetadataStore, errors
from tidemill.mlmd import metadata_store_pb2 as pb

PROGRAMS = Path(__file__).parent
TIDEMILL = [sys.executable, "-m", "tidemill.cli.main"]
TYPE = pb.ArtifactType(name="T")


@contextmanager
def process(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`tidemill metadata serve` on `served.db`, and its address."""
    command = [*TIDEMILL, "metadata", "serve", "--metadata", str(folder / "served.db"), "--port", "0"]
    with subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout is not None
        try:
            line = started.stdout.readline()
            assert line.startswith("listening on "), started.communicate()[1]
            yield started, line.split()[-1]
        finally:
            started.kill()


def client(address: str, **fields: Any) -> MetadataStore:
    host, _, port = address.rpartition(":")
    return MetadataStore(pb.MetadataStoreClientConfig(host=host.strip("[]"), port=int(port), **fields))


def ask_until_refused(store: MetadataStore) -> None:
    """Make calls until the server takes no more. A call that met the very moment is cancelled."""
    with suppress(errors.UnavailableError, errors.CancelledError):
        while True:
            store.get_artifact_types()


def certificate(folder: Path, name: str) -> tuple[bytes, bytes]:
    """Key and self-signed certificate for 127.0.0.1, PEM."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl to make a certificate")
    key, cert = folder / f"{name}-key.pem", folder / f"{name}-cert.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", key, "-out", cert, "-days", "2", "-subj", f"/CN={name}",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return key.read_bytes(), cert.read_bytes()


def test_tls_on_both_sides(folder: Path) -> None:
    _, cert = certificate(folder, "server")
    own_key, own_cert = certificate(folder, "client")
    files = [f"--tls-{name}={folder}/{file}.pem" for name, file in (
        ("key", "server-key"), ("cert", "server-cert"), ("client-ca", "client-cert"))]  # fmt: skip
    with process(folder, *files) as (_, address):
        known = {"custom_ca": cert.decode(), "client_key": own_key, "server_cert": own_cert}
        with closing(client(address, ssl_config=known)) as store:
            assert store.put_artifact_type(TYPE) == 10
        for ssl in ({"custom_ca": cert.decode()}, {"custom_ca": own_cert.decode()}, None):
            with (
                closing(client(address, ssl_config=ssl, client_timeout_sec=30)) as store,
                pytest.raises((errors.UnavailableError, errors.DeadlineExceededError)),
            ):
                store.get_artifact_types()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_call_under_way_end(folder: Path, sent: signal.Signals) -> None:
    """The write waits for a lock that the test holds; the signal comes while it waits."""
    with process(folder) as (started, address), ThreadPoolExecutor(1) as pool:
        with closing(client(address)) as store:
            store.put_artifact_type(pb.ArtifactType(name="first"))
            with closing(open_store(str(folder / "served.db"))) as other:
                with other.database.writing():
                    put = pool.submit(store.put_artifact_type, TYPE)
                    while not put.running():
                        pass
                    store.get_artifact_types()  # on the same connection: the server has both by now
                    started.send_signal(sent)
                    ask_until_refused(store)
                    assert started.poll() is None
                assert put.result(60) == 11
        out, err = started.communicate(timeout=60)
        assert (started.returncode, out, err) == (0, "", "")


def test_a_second_signal_does_not_wait(folder: Path) -> None:
    with (
        process(folder) as (started, address),
        closing(open_store(str(folder / "served.db"))) as other,
        closing(client(address)) as store,
        ThreadPoolExecutor(1) as pool,
        other.database.writing(),
    ):
        put = pool.submit(store.put_artifact_type, TYPE)
        while not put.running():
            pass
        store.get_artifact_types()
        started.send_signal(signal.SIGTERM)
        ask_until_refused(store)
        started.send_signal(signal.SIGTERM)
        assert started.wait(8) == -signal.SIGTERM  # the first one alone would take 10 s
        assert isinstance(put.exception(60), errors.UnavailableError)


def tidemill(*words: str, without: str = "") -> tuple[int, str]:
    """End and stderr of a `tidemill` command, perhaps where a module is not installed."""
    code = f"import sys; sys.modules[{without!r}] = None; from tidemill.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


def test_the_command_says_what_is_wrong(folder: Path) -> None:
    serve = ["metadata", "serve", "--metadata", str(folder / "x.db")]
    for module in ("grpc", "google"):
        code, said = tidemill(*serve, without=module)
        assert (code, f"needs the Python module {module}" in said, "tidemill[grpc]" in said) == (
            3,
            True,
            True,
        )
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        code, said = tidemill(*serve, "--port", str(taken.getsockname()[1]), without="nothing")
    assert (code, "in use" in said, "--port" in said) == (3, True, True)
    assert tidemill(*serve, "--port", "70000", without="nothing")[0] == 2
    key = folder / "key.pem"
    key.write_text("no key")
    code, said = tidemill(*serve, f"--tls-key={key}", without="nothing")
    assert (code, "--tls-cert" in said) == (2, True)
    code, said = tidemill(*serve, "--port=0", f"--tls-key={key}", f"--tls-cert={key}", without="nothing")
    assert (code, "TLS key and certificates" in said) == (3, True)


def test_our_client_without_grpc() -> None:
    code = (
        "import sys; sys.modules['grpc'] = None\n"
        "from tidemill.mlmd import MetadataStore, errors, metadata_store_pb2 as pb\n"
        "try: MetadataStore(pb.MetadataStoreClientConfig(host='localhost', port=1))\n"
        "except errors.UnimplementedError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "tidemill[grpc]" in done.stdout, done.stderr


def test_the_interface_loads_no_grpc() -> None:
    code = "import sys, tidemill.mlmd, tidemill.cli.metadata; print('grpc' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "False\n", done.stderr


def program(python: str, side: str, address: str) -> Any:
    """What mlmd_program's steps give through a server."""
    host, _, port = address.rpartition(":")
    done = subprocess.run(
        [python, str(PROGRAMS / "grpc_program.py"), side, host, port],
        capture_output=True, text=True, timeout=120,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def without_server(folder: Path) -> Any:
    """What the same steps give on a file of our own."""
    command = [sys.executable, str(PROGRAMS / "mlmd_program.py"), "tidemill", "run", str(folder / "plain.db")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_our_client_gets_the_same_with_a_server_and_without(folder: Path) -> None:
    with process(folder) as (_, address):
        steps, _ = program(sys.executable, "tidemill", address)
    assert steps == without_server(folder)
    assert len(steps) > 150


def test_the_real_client_gets_the_same(folder: Path, mlmd_python: str) -> None:
    """ml-metadata 1.17.1 speaks to our server, and we read what it wrote."""
    with process(folder) as (_, address):
        steps, artifacts = program(mlmd_python, "ml_metadata", address)
        with closing(client(address)) as store:
            assert [a.uri for a in store.get_artifacts()] == [a.get("uri", "") for a in artifacts]
    assert steps == without_server(folder)
