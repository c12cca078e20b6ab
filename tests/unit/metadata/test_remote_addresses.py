"""Addresses of metadata servers, and the token shown to them: nothing secret is in any message."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tidemill.errors import StoreError
from tidemill.metadata.open import open_store
from tidemill.metadata.remote import address, token


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://h", "http://h:80"),
        ("https://h/", "https://h:443"),
        ("http://h:8080/a/b/", "http://h:8080/a/b"),
        ("grpc://[::1]:8080", "grpc://[::1]:8080"),
        ("grpcs://h:1?ca=f.pem", "grpcs://h:1"),
    ],
)
def test_addresses(url: str, shown: str) -> None:
    assert str(address.parse(url)) == shown


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "grpc://h",
        "http://h:x",
        "http://h:99999",
        "grpc://h:1/path",
        "http://h#f",
        "https://h?cafile=x",
        "http://h?ca=x",
        "https://h:1?password=sesame",
        "http://[::1",
        "http://u:sesame@h",
        "https://:sesame@h:1/x?ca=y",
        "grpc://sesame@h:1",
    ],
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        open_store(url)
    assert "sesame" not in str(caught.value) + repr(caught.value)


def test_a_certificate_that_cannot_be_read(tmp_path: Any) -> None:
    (tmp_path / "x.pem").write_text("no certificate")
    for scheme in ("https", "grpcs"):
        with pytest.raises(StoreError, match="cannot be read"):
            open_store(f"{scheme}://127.0.0.1:1?ca={tmp_path}/missing.pem")
    with pytest.raises(StoreError, match="cannot be read"):
        open_store(f"https://127.0.0.1:1?ca={tmp_path}/x.pem")


def test_the_token_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(token.VARIABLE, "  abc-DEF\n")
    assert token.header(token.from_environment()) == "Bearer abc-DEF"
    for bad in ("a b", "ü", "a\r\nx: y", "a\0"):
        monkeypatch.setattr(token.os, "environ", {token.VARIABLE: bad})
        with pytest.raises(StoreError, match="header") as caught:
            token.from_environment()
        assert bad not in str(caught.value)


def test_a_token_that_is_given_wins_over_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(token.VARIABLE, "abc")
    assert [token.shown(given) for given in ("", "def")] == ["abc", "def"]
    with pytest.raises(StoreError, match="header"):
        token.shown("a b")


@pytest.mark.parametrize(
    "given",
    [
        "",
        "Bearer",
        "Bearer ",
        "bearer secret",
        "Bearer secre",
        "Bearer secret ",
        "secret",
        "Bearer secret\0",
        "Bearer ü",
        "Basic secret",
    ],
)
def test_only_the_very_token_matches(given: str) -> None:
    assert token.matches("Bearer secret", "secret")
    assert not token.matches(given, "secret")


def test_a_server_that_does_not_answer_is_named() -> None:
    with pytest.raises(StoreError, match="cannot be reached") as caught:
        open_store("http://127.0.0.1:1")
    assert "http://127.0.0.1:1" in str(caught.value)


def test_grpc_that_is_not_installed() -> None:
    code = (
        "import sys; sys.modules['grpc'] = None\n"
        "from tidemill.errors import StoreError\n"
        "from tidemill.metadata.open import open_store\n"
        "try: open_store('grpc://127.0.0.1:1')\n"
        "except StoreError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "tidemill[grpc]" in done.stdout, done.stderr
