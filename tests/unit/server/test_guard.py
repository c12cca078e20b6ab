"""What every request must pass: a name of this server, no other page behind it, the token, a size."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tidemill.metadata.open import open_store
from tidemill.metadata.remote.http_client import PATH
from tidemill.metadata.remote.methods import MOST_BYTES
from tidemill.server.guard import OPEN
from tidemill.server.serving import HttpServer

CALL = f"{PATH}get_runs"
TOKEN = "correct-horse-battery-staple"
Ask = Callable[..., tuple[int, dict[str, str], bytes]]


def routes(server: HttpServer) -> list[tuple[str, str]]:
    """Every route of the application, with a method it takes."""
    app: Any = server._listener._server.config.app
    return [
        (method, route.path.replace("{method}", "get_runs"))
        for route in app.routes
        for method in route.methods
    ]


def test_a_call_is_answered(server: HttpServer, ask: Ask) -> None:
    status, headers, body = ask(server, "POST", CALL, b"{}")
    assert (status, json.loads(body)) == (200, {"answer": []})
    assert headers["content-type"] == "application/json"
    assert "server" not in headers


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:80",
        "127.0.0.1:1",
        "[::1]:8",
        "10.1.2.3",
        "tidemill.example:9",
        "localhost.",
        socket.gethostname(),
    ],
)
def test_names_this_server_goes_by(start: Any, ask: Ask, host: str) -> None:
    """An address is always its own: a page that was pointed here says its name."""
    server = start(hosts=("tidemill.example",))
    assert ask(server, "POST", CALL, b"{}", host=host)[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "",
        "[evil]",
        "127.0.0.1@evil.example",
        "0x7f.1",
        "tidemill.example",
    ],
)
@pytest.mark.parametrize("path", [CALL, "/metrics", "/healthz", "/nothing"])
def test_a_page_whose_name_was_pointed_here_gets_nothing(
    server: HttpServer, ask: Ask, host: str, path: str
) -> None:
    method = "POST" if path == CALL else "GET"
    status, _, body = ask(server, method, path, b"{}" if method == "POST" else None, host=host)
    assert status in (400, 421)
    assert b"answer" not in body


# --- other pages ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"origin": "https://127.0.0.1"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_is_done_on_behalf_of_another_page(
    server: HttpServer, ask: Ask, method: str, headers: dict[str, str]
) -> None:
    assert ask(server, method, CALL, b"{}", **headers)[0] == 403


def test_a_page_of_this_server_may_ask(server: HttpServer, ask: Ask) -> None:
    own = {"origin": server.address, "sec_fetch_site": "same-origin"}
    assert ask(server, "POST", CALL, b"{}", **own)[0] == 200


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "",
        "application/json-patch+json",
    ],
)
def test_what_a_form_can_send_is_no_call(server: HttpServer, ask: Ask, kind: str) -> None:
    assert ask(server, "POST", CALL, b"{}", content_type=kind)[0] == 415


def test_no_other_origin_is_allowed_anything(server: HttpServer, ask: Ask) -> None:
    status, headers, _ = ask(
        server, "OPTIONS", CALL, origin="http://evil.example", access_control_request_method="POST"
    )
    assert status in (403, 405)
    assert not [name for name in headers if name.startswith("access-control")]


# --- the token -----------------------------------------------------------------------------------


@pytest.fixture
def closed(start: Any) -> HttpServer:
    return start(token=TOKEN)


def test_without_the_token_every_route_but_two_is_closed(closed: HttpServer, ask: Ask) -> None:
    """Also what is added later: the guard stands before the routes."""
    assert len(routes(closed)) >= 6
    for method, path in [
        *routes(closed),
        ("GET", "/"),
        ("GET", "/nothing"),
        ("POST", "/healthz/"),
        ("GET", "/x/healthz"),
        ("GET", "/healthz/../metrics"),
        ("GET", "//healthz"),
        ("GET", "/metrics?/healthz"),
        ("GET", "/%2e/healthz"),
    ]:
        for shown in (
            {},
            {"authorization": f"Bearer {TOKEN[:-1]}"},
            {"authorization": TOKEN},
            {"authorization": "Bearer "},
        ):
            status, headers, _ = ask(closed, method, path, **shown)
            if path in OPEN:
                assert status == 200
            else:
                assert (status, headers["www-authenticate"]) == (401, "Bearer")


def test_with_the_token_all_are_open(closed: HttpServer, ask: Ask) -> None:
    shown = f"Bearer {TOKEN}"
    assert ask(closed, "POST", CALL, b"{}", authorization=shown)[0] == 200
    assert ask(closed, "GET", "/metrics", authorization=shown)[0] == 200
    assert ask(closed, "GET", "/nothing", authorization=shown)[0] == 404


def test_the_token_is_in_no_log_and_no_answer(
    closed: HttpServer, ask: Ask, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    texts = []
    for path, body in ((CALL, b"{}"), (CALL, b"{"), (f"{PATH}x", b"{}"), ("/nothing", b"")):
        for shown in (TOKEN, TOKEN + "x"):
            texts.append(ask(closed, "POST", path, body, authorization=f"Bearer {shown}")[2].decode())
    monkeypatch.setenv("TIDEMILL_TOKEN", TOKEN)
    store = open_store(closed.address)
    texts += [repr(store), str(vars(store)), caplog.text, repr(closed)]
    store.close()
    assert TOKEN not in "".join(texts)


# --- sizes and shapes ----------------------------------------------------------------------------


def test_a_body_that_is_too_large_is_not_read(server: HttpServer, ask: Ask) -> None:
    """The length alone is enough; nothing of the body was sent yet."""
    parts = urlsplit(server.address)
    with socket.create_connection((parts.hostname, parts.port), 20) as sent:
        head = f"POST {CALL} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {MOST_BYTES + 1}\r\n\r\n"
        sent.sendall(head.encode())
        assert sent.recv(100).startswith(b"HTTP/1.1 413 ")
    assert ask(server, "POST", CALL, b'{"pipeline": "' + b"x" * (MOST_BYTES - 100) + b'"}')[0] == 200


def test_a_body_without_a_length_ends_too(server: HttpServer, ask: Ask) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(2 * MOST_BYTES >> 16):
            yield b"x" * (1 << 16)

    try:
        status, _, _ = ask(server, "POST", CALL, chunks(), transfer_encoding="chunked")
    except (BrokenPipeError, ConnectionResetError):
        return  # it closed the connection instead of reading on
    assert status == 413


@pytest.mark.parametrize("length", ["-1", "x", "1e9", "9" * 30])
def test_lengths_that_are_none(server: HttpServer, ask: Ask, length: str) -> None:
    assert ask(server, "POST", CALL, b"", content_length=length)[0] in (400, 413)


def test_a_request_that_was_never_sent_whole_changes_nothing(server: HttpServer, ask: Ask) -> None:
    parts = urlsplit(server.address)
    with socket.create_connection((parts.hostname, parts.port), 20) as sent:
        head = f"POST {PATH}put_pipeline_version HTTP/1.1\r\nhost: localhost\r\n"
        sent.sendall(head.encode() + b"content-type: application/json\r\n")
        sent.sendall(b'content-length: 100\r\n\r\n{"version": "v"')
    assert ask(server, "POST", CALL, b"{}")[0] == 200
    counts = json.loads(ask(server, "POST", f"{PATH}statistics", b"{}")[2])["answer"]
    assert counts["tidemill_pipeline_version"] == 0


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", CALL, 405), ("DELETE", "/metrics", 405), ("POST", f"{PATH}a/b", 404), ("GET", "/", 404)],
)
def test_other_requests_get_an_error_of_the_same_form(
    server: HttpServer, ask: Ask, method: str, path: str, status: int
) -> None:
    found, headers, body = ask(server, method, path)
    assert (found, headers["content-type"]) == (status, "application/json")
    assert json.loads(body)["error"]["code"] == "STORE"
