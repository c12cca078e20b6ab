"""`tidemill metadata`."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from tidemill.cli import metadata_schema
from tidemill.cli.servers import Servers, is_loopback
from tidemill.cli.transfer import export_command, import_command
from tidemill.cli.workspace import Workspace, workspace_options
from tidemill.errors import StoreError
from tidemill.metadata.remote import token as tokens
from tidemill.metadata.sql import open_store as open_database

_SIGNALS = {signal.SIGTERM, signal.SIGINT}


def _certificate(name: str, what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """An option that names a file."""
    return click.option(
        f"--tls-{name}", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
        help=what,
    )  # fmt: skip


@click.group()
def metadata() -> None:
    """The metadata store as a service, its database, and parts of it as files."""


for _command in (
    metadata_schema.status, metadata_schema.upgrade, metadata_schema.downgrade, export_command,
    import_command,
):  # fmt: skip
    metadata.add_command(_command)


@metadata.command()
@workspace_options
@click.option(
    "--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Address to listen on."
)
@click.option(
    "--port", type=click.IntRange(0, 65535), metavar="N",
    help="Port for gRPC; 0 takes any free one.  [default: 8080, or none with --http-port alone]",
)  # fmt: skip
@click.option(
    "--http-port", type=click.IntRange(0, 65535), metavar="N",
    help="Port for HTTP; 0 takes any free one.  [default: none]",
)  # fmt: skip
@click.option(
    "--threads", type=click.IntRange(1, 256), default=16, show_default=True, metavar="N",
    help="Calls that are answered at the same time, of each kind.",
)  # fmt: skip
@click.option(
    "--max-message", type=click.IntRange(1, 1024), default=64, show_default=True, metavar="MIB",
    help="Size of the largest request or answer of gRPC.",
)  # fmt: skip
@click.option(
    "--token-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
    help="File with the token that clients must show.  [default: environment variable TIDEMILL_TOKEN]",
)  # fmt: skip
@click.option(
    "--allow-host", "hosts", multiple=True, metavar="NAME",
    help="Name that HTTP clients may call this server by, beside addresses; may be repeated.",
)  # fmt: skip
@click.option("--insecure", is_flag=True, help="Listen where others can connect, without a token.")
@_certificate("key", "Private key of the server, PEM; together with --tls-cert.")
@_certificate("cert", "Certificate of the server, PEM; together with --tls-key.")
@_certificate("client-ca", "Take only clients with a certificate of this authority, PEM.")
def serve(
    workspace: Workspace, host: str, port: int | None, http_port: int | None, threads: int,
    max_message: int, token_file: Path | None, hosts: tuple[str, ...], insecure: bool,
    tls_key: Path | None, tls_cert: Path | None, tls_client_ca: Path | None,
) -> None:  # fmt: skip
    """Serve the record to other processes and machines, until SIGTERM or Ctrl-C.

    Over gRPC as ML Metadata's own server does, for `ml_metadata.MetadataStore`, and for tidemill as
    --metadata grpc://HOST:PORT; prints `listening on HOST:PORT`. Over HTTP with --http-port, for tidemill as
    --metadata http://HOST:PORT, with /metrics, /healthz and /readyz; prints `serving http://HOST:PORT`.

    The first signal lets calls under way end, a second one does not wait. On an address that other machines
    reach, clients must show a token (set TIDEMILL_TOKEN here and there) or a certificate (--tls-client-ca).
    Clients of ml-metadata know no token.
    """
    if (tls_key is None) != (tls_cert is None) or (tls_client_ca and not tls_key):
        raise click.UsageError("TLS needs both --tls-key and --tls-cert")
    if port is None and http_port is None:
        port = 8080
    token = _token(token_file)
    if not (token or tls_client_ca or insecure or is_loopback(host)):
        raise click.UsageError(
            f"{host} is an address that other machines reach: set {tokens.VARIABLE} or --token-file, ask for "
            "certificates with --tls-client-ca, or say --insecure"
        )
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # before there are threads: they inherit it
    try:
        with (
            closing(open_database(workspace.metadata)) as store,
            Servers(
                store=store, host=host, threads=threads, token=token, tls_key=tls_key, tls_cert=tls_cert,
                tls_client_ca=tls_client_ca,
            ) as servers,
        ):  # fmt: skip
            if http_port is not None:
                servers.add_http(http_port, hosts)
            if port is not None:
                servers.add_grpc(port, most_bytes=max_message * 2**20)
            servers.start()
            for line in servers.lines:
                click.echo(line)
            signal.sigwait(_SIGNALS)
            signal.pthread_sigmask(signal.SIG_SETMASK, earlier)  # a second one does not wait
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)


def _token(file: Path | None) -> str:
    """The token that clients must show; "" for none."""
    token = tokens.from_environment()
    whence = tokens.VARIABLE
    if file is not None:
        whence = str(file)
        token = tokens.check(file.read_text(encoding="utf-8", errors="replace").strip(), whence=whence)
    elif not token:
        return ""
    if len(token) < tokens.FEWEST:
        raise StoreError(
            f"the token in {whence} has {len(token)} characters; {tokens.FEWEST} are the fewest",
            hint="make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )
    return token
