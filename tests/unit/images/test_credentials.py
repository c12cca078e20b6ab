"""Logins as docker and podman leave them."""

from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tidemill.errors import RegistryError
from tidemill.images.credentials import Credential, find


def _write(folder: Path, **config: Any) -> None:
    (folder / "config.json").write_text(json.dumps(config))


def _auth(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_nothing_is_known_of_a_registry_without_a_login(logins: Path) -> None:
    assert find("registry.example") is None
    _write(logins, auths={"other.example": _auth("ada", "x")})
    assert find("registry.example") is None


@pytest.mark.parametrize(
    "name", ["registry.example", "https://registry.example", "https://registry.example/v2/"]
)
def test_a_login_is_found_under_any_spelling_of_its_host(logins: Path, name: str) -> None:
    _write(logins, auths={name: _auth("ada", "a:b")})
    assert find("registry.example") == Credential("ada", "a:b")


def test_an_identity_token_stands_for_a_password(logins: Path) -> None:
    _write(logins, auths={"registry.example": {"identitytoken": "t"}})
    assert find("registry.example") == Credential(identity="t")


def test_the_file_that_is_named_comes_first(
    logins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(logins, auths={"registry.example": _auth("docker", "x")})
    (tmp_path / "auth.json").write_text(json.dumps({"auths": {"registry.example": _auth("podman", "x")}}))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    found = find("registry.example")
    assert found is not None
    assert found.user == "podman"


def test_no_secret_is_shown() -> None:
    shown = repr(Credential("ada", "pass-word", "to-ken"))
    assert "ada" in shown
    assert "pass-word" not in shown
    assert "to-ken" not in shown


HELPER = """#!/bin/sh
[ "$1" = get ] || exit 9
read -r host
[ "$host" = registry.example ] || { echo 'credentials not found in native keychain'; exit 1; }
printf '{"ServerURL":"%s","Username":"@USER@","Secret":"s"}' "$host"
"""


@pytest.mark.parametrize(
    ("user", "wanted"), [("ada", Credential("ada", "s")), ("<token>", Credential(identity="s"))]
)
@pytest.mark.parametrize("how", ["credsStore", "credHelpers"])
def test_a_helper_is_asked(
    logins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, user: str, wanted: Credential
) -> None:
    helper = tmp_path / "docker-credential-mine"
    helper.write_text(HELPER.replace("@USER@", user))
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    _write(logins, **{how: "mine" if how == "credsStore" else {"registry.example": "mine"}})
    assert find("registry.example") == wanted
    assert find("other.example") is None


def test_a_helper_that_is_not_there_is_named(logins: Path) -> None:
    _write(logins, credsStore="absent")
    with pytest.raises(RegistryError, match="docker-credential-absent, which is not on PATH"):
        find("registry.example")


@pytest.mark.parametrize("text", ["{", json.dumps({"auths": {"registry.example": {"auth": "***"}}})])
def test_a_broken_file_is_named_and_not_shown(logins: Path, text: str) -> None:
    (logins / "config.json").write_text(text)
    with pytest.raises(RegistryError) as caught:
        find("registry.example")
    assert str(logins) in caught.value.message
    assert "***" not in str(caught.value)
