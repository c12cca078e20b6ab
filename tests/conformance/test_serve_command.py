"""`tidemill metadata serve` as a process: both transports on one store, the token, what it refuses to do."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tidemill.errors import StoreError
from tidemill.metadata.open import open_store
from tidemill.metadata.sql import open_store as open_database
from tidemill.mlmd import MetadataStore, errors
from tidemill.mlmd import metadata_store_pb2 as pb
from tidemill.testing.store_stories import claim_node, start_run

TOKEN = "correct-horse-battery-staple"


def mlmd_client(server: Any) -> MetadataStore:
    return MetadataStore(pb.MetadataStoreClientConfig(host="127.0.0.1", port=int(server.ports["grpc"])))


def stores(server: Any) -> list[str]:
    return [f"{kind}://127.0.0.1:{port}" for kind, port in server.ports.items()]


def test_all_ways_lead_to_one_record(serving: Any) -> None:
    """HTTP, gRPC, MLMD's calls and the database; one series of figures for both transports."""
    with serving("http", both=True) as server, closing(mlmd_client(server)) as mlmd:
        for number, url in enumerate(stores(server)):
            with closing(open_store(url)) as store:
                start_run(store, f"r{number}")
                assert claim_node(store, f"r{number}", "a").granted
        with closing(open_database(server.database)) as record:
            assert [r.id for r in record.get_runs()] == ["r1", "r0"]
        assert [e.name for e in mlmd.get_executions()] == ["r0/a/0/1", "r1/a/0/1"]
        text = urlopen(f"{server.url}/metrics").read().decode()
        assert 'tidemill_store_calls_total{method="claim",outcome="ok"} 2.0' in text


def test_the_token_is_asked_for_by_every_service(serving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over both transports, and by MLMD's calls too; it is on no command line and in no output."""
    with serving("http", both=True, TIDEMILL_TOKEN=TOKEN) as server:
        for shown in ("", TOKEN[:-1], TOKEN.upper()):
            monkeypatch.setenv("TIDEMILL_TOKEN", shown)
            for url in stores(server):
                with pytest.raises(StoreError, match="asks for a token") as caught:
                    open_store(url)
                assert "TIDEMILL_TOKEN" in caught.value.hint
            with closing(mlmd_client(server)) as mlmd, pytest.raises(errors.UnauthenticatedError):
                mlmd.get_executions()
        monkeypatch.setenv("TIDEMILL_TOKEN", TOKEN)
        for url in stores(server):
            with closing(open_store(url)) as store:
                assert store.get_runs() == []
            with pytest.raises(StoreError, match="asks for a token"):
                open_store(url, token="x" * len(TOKEN))  # what is given is shown, not the environment's
        with closing(mlmd_client(server)) as mlmd:
            assert mlmd.get_executions() == []
        monkeypatch.delenv("TIDEMILL_TOKEN")
        for url in stores(server):
            with closing(open_store(url, token=TOKEN)) as store:
                assert store.get_runs() == []
        server.signal(signal.SIGTERM)
        assert server.wait()
        assert TOKEN not in server.said + server.rest()


def test_the_token_from_a_file(serving: Any, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    with serving("http", "--token-file", str(file)) as server:
        request = Request(f"{server.url}/metrics", headers={"authorization": f"Bearer {TOKEN}"})
        assert urlopen(request).status == 200
        with pytest.raises(StoreError, match="token"):
            open_store(server.url)


def test_a_name_that_is_allowed(serving: Any) -> None:
    with serving("http", "--allow-host", "tidemill.example") as server:
        request = Request(f"{server.url}/healthz", headers={"host": "tidemill.example:80"})
        assert urlopen(request).read() == b"alive\n"


def test_a_quick_end(served: Any) -> None:
    """Idle clients do not keep it, and it says nothing."""
    with closing(open_store(served.url)) as store:
        store.get_runs()
        served.signal(signal.SIGTERM)
        assert served.wait(8)
        assert served.rest() == ""


def tidemill(*words: str, without: str = "", **env: str) -> tuple[int, str]:
    """End and stderr of a `tidemill` command, perhaps where a module is not installed."""
    code = f"import sys; sys.modules[{without!r}] = None; from tidemill.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60,
        env={"PATH": "/usr/bin", **env},
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "tidemill.example"])
def test_it_does_not_listen_where_others_reach_it_without_a_token(tmp_path: Path, host: str) -> None:
    code, said = tidemill(
        "metadata", "serve", "--metadata", f"{tmp_path}/m.db", "--host", host, "--http-port", "0"
    )
    assert (code, "TIDEMILL_TOKEN" in said, "--insecure" in said) == (2, True, True)
    assert not (tmp_path / "m.db").exists()


def test_a_token_that_can_be_guessed_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    for text, why in (("", "16 are the fewest"), ("short", "16 are the fewest"), ("a b" * 10, "header")):
        file.write_text(text)
        serve = ["metadata", "serve", "--metadata", f"{tmp_path}/m.db", "--http-port", "0"]
        code, said = tidemill(*serve, "--token-file", str(file))
        assert (code, why in said, "short" in said) == (3, True, False)
    assert tidemill(*serve, TIDEMILL_TOKEN="short")[0] == 3


def test_extras_that_are_not_installed_are_named(tmp_path: Path) -> None:
    serve = ["metadata", "serve", "--metadata", f"{tmp_path}/m.db", "--http-port", "0"]
    for module in ("starlette", "uvicorn", "prometheus_client"):
        code, said = tidemill(*serve, without=module)
        assert (code, "tidemill[server]" in said) == (3, True)


def test_it_answers_where_others_reach_it_with_a_token(serving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMILL_TOKEN", TOKEN)
    with serving("http", "--host", "0.0.0.0", both=True, TIDEMILL_TOKEN=TOKEN) as server:
        for url in stores(server):
            with closing(open_store(url)) as store:
                assert store.get_runs() == []


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
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
    return key, cert


def test_tls_over_both(serving: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With certificates of clients, which stand in for a token; and with the authority in the environment."""
    key, cert = certificate(tmp_path, "server")
    own_key, own_cert = certificate(tmp_path, "client")
    files = ["--tls-key", str(key), "--tls-cert", str(cert), "--tls-client-ca", str(own_cert)]
    with serving("http", "--host", "0.0.0.0", *files, both=True) as server:
        for url in (u.replace("://", "s://") for u in stores(server)):
            with closing(open_store(f"{url}?ca={cert}&cert={own_cert}&key={own_key}")) as store:
                assert store.get_runs() == []
            with pytest.raises(StoreError):
                open_store(f"{url}?ca={cert}")
            monkeypatch.setenv("SSL_CERT_FILE", str(cert))
            with closing(open_store(f"{url}?cert={own_cert}&key={own_key}")) as store:
                assert store.get_runs() == []
            monkeypatch.delenv("SSL_CERT_FILE")
            with pytest.raises(StoreError):
                open_store(f"{url}?ca={own_cert}&cert={own_cert}&key={own_key}")


def test_insecure_is_a_word(serving: Any) -> None:
    with serving("http", "--host", "0.0.0.0", "--insecure", both=True) as server:
        for url in stores(server):
            with closing(open_store(url)) as store:
                assert store.get_runs() == []
