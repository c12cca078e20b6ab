"""Addresses of servers: what they may say, and that a password never comes back out of them."""

from __future__ import annotations

import ssl
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.errors import StoreError
from tidemill.metadata.masking import masked
from tidemill.metadata.sql import open_store
from tidemill.metadata.sql.address import parse
from tidemill.metadata.sql.dialect import percent_style
from tidemill.metadata.sql.mariadb import _tls

SECRET = st.text(st.characters(exclude_categories=["Cs"]), min_size=4).map(lambda text: f"pw{text}wp")


def test_the_parts_of_an_address() -> None:
    found = parse("mysql://u%40x:a%2Fb@db.example:3307/my%20db?ssl_ca=x&ssl_key=", ["ssl_ca", "ssl_key"])
    assert (found.user, found.password, found.host, found.port) == ("u@x", "a/b", "db.example", 3307)
    assert (found.database, found.options) == ("my db", {"ssl_ca": "x", "ssl_key": ""})
    assert str(found) == "mysql://u@x@db.example:3307/my db"
    local = parse("postgresql:///db?host=/run", ["host"])
    assert (local.user, local.host, local.port, local.options) == ("", "", 0, {"host": "/run"})


@given(password=SECRET)
def test_a_password_comes_back_only_where_it_belongs(password: str) -> None:
    found = parse(f"postgresql://me:{quote(password, safe='')}@host:1/db", [])
    assert found.password == password
    assert password not in str(found) + repr(found)


@given(password=st.text("ab1:/?#@%[]", min_size=1), scheme=st.sampled_from(["postgresql", "mysql", "oracle"]))
def test_a_password_that_breaks_the_address_is_not_repeated(password: str, scheme: str) -> None:
    """Whoever forgets to quote it gets an error, or a connection elsewhere, but never reads it in a log."""
    secret = f"SECRET{password}SECRET"
    url = f"{scheme}://me:{secret}@host/db"
    assert "SECRET" not in masked(url)
    assert "SECRET" not in said_of(url)


def said_of(url: str) -> str:
    """What an address shows of itself, or the error that it is."""
    try:
        found = parse(url, ["sslmode"])
    except StoreError as error:
        return f"{error}{error!r}{error.__cause__}{error.__suppress_context__ or error.__context__}"
    return f"{found}{found!r}"


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("postgresql://me:secret@host", "does not name a database"),
        ("mysql://me:secret@host/", "does not name a database"),
        ("mysql://me:secret@host/a/b", "does not name a database"),
        ("mariadb://me:secret@host:port/db", "cannot be read"),
        ("postgres://me:se#cret@host/db", "cannot be read"),
        ("postgresql://me:secret@host/db?sslmod=require", "no option 'sslmod'"),
        ("mysql://me:secret@host/db?password=secret", "no option 'password'"),
    ],
)
def test_an_address_that_is_wrong_says_how_to_write_it(url: str, word: str) -> None:
    pytest.importorskip("psycopg")
    pytest.importorskip("pymysql")
    with pytest.raises(StoreError, match=word) as caught:
        open_store(url)
    assert caught.value.hint
    assert "secret" not in str(caught.value)
    assert "cret" not in str(caught.value).replace("secret", "")


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [
        ("postgresql://me:secret@host/db", "psycopg", "tidemill[postgresql]"),
        ("mysql://me:secret@host/db", "pymysql", "tidemill[mysql]"),
        ("mariadb://me:secret@host/db", "pymysql", "tidemill[mysql]"),
    ],
)
def test_a_missing_driver_names_what_to_install(
    url: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(StoreError, match=module) as caught:
        open_store(url)
    assert extra in caught.value.hint
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT a FROM b WHERE c = ? AND d IN (?, ?)", "SELECT a FROM b WHERE c = %s AND d IN (%s, %s)"),
        ("SELECT '?', 'it''s 5%?' || ?", "SELECT '?', 'it''s 5%%?' || %s"),
        ("SELECT a % ? LIKE 'x!_%' ESCAPE '!'", "SELECT a %% %s LIKE 'x!_%%' ESCAPE '!'"),
    ],
)
def test_marks_of_parameters(sql: str, expected: str) -> None:
    assert percent_style(sql) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"unix_socket": "s"}, None),
        ({"ssl_cipher": "HIGH"}, (ssl.CERT_NONE, False)),
        ({"ssl_ca": "CA"}, (ssl.CERT_REQUIRED, False)),
        ({"ssl_ca": "CA", "ssl_verify_cert": "false"}, (ssl.CERT_NONE, False)),
        ({"ssl_ca": "CA", "ssl_verify_identity": "true"}, (ssl.CERT_REQUIRED, True)),
        ({"ssl_verify_identity": "true"}, (ssl.CERT_REQUIRED, True)),
        ({"ssl_verify_cert": "true"}, (ssl.CERT_REQUIRED, False)),
    ],
)
def test_what_is_checked_of_a_server(options: dict[str, str], expected: object, tmp_path: Path) -> None:
    """An authority that is named is never named in vain."""
    if "ssl_ca" in options:
        options = {**options, "ssl_ca": str(tmp_path / "ca.pem")}
        certificates = ssl.create_default_context().get_ca_certs(binary_form=True)
        if not certificates:
            pytest.skip("this system has no certificate to try with")
        (tmp_path / "ca.pem").write_text(ssl.DER_cert_to_PEM_cert(certificates[0]))
    context = _tls(options)
    assert (context and (context.verify_mode, context.check_hostname)) == expected
