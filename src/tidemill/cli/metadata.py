"""`tidemill metadata`."""

from __future__ import annotations

import ipaddress
import signal
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from tidemill.cli import metadata_schema
from tidemill.cli.transfer import export_command, import_command
from tidemill.cli.workspace import Workspace, workspace_options
from tidemill.errors import StoreError

if TYPE_CHECKING:
    from tidemill.mlmd.grpc_server import Server

_GRACE = 10.0
"""Seconds that calls under way have to end after a signal."""

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
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, metavar="N",
    help="Port to listen on; 0 takes any free one.",
)  # fmt: skip
@click.option(
    "--threads", type=click.IntRange(1, 256), default=16, show_default=True, metavar="N",
    help="Calls that are answered at the same time.",
)  # fmt: skip
@click.option(
    "--max-message", type=click.IntRange(1, 1024), default=64, show_default=True, metavar="MIB",
    help="Size of the largest request or answer.",
)  # fmt: skip
@_certificate("key", "Private key of the server, PEM; together with --tls-cert.")
@_certificate("cert", "Certificate of the server, PEM; together with --tls-key.")
@_certificate("client-ca", "Take only clients with a certificate of this authority, PEM.")
def serve(
    workspace: Workspace, host: str, port: int, threads: int, max_message: int,
    tls_key: Path | None, tls_cert: Path | None, tls_client_ca: Path | None,
) -> None:  # fmt: skip
    """Serve the record over gRPC, as ML Metadata's own server does, until SIGTERM or Ctrl-C.

    Prints `listening on HOST:PORT` when it answers. Clients are `ml_metadata.MetadataStore` and
    `tidemill.mlmd.MetadataStore`, with a MetadataStoreClientConfig. The first signal lets calls under
    way end, a second one does not wait. Nobody is asked for a password: whoever reaches the address can
    read and write the record, unless --tls-client-ca asks for certificates.
    """
    if (tls_key is None) != (tls_cert is None) or (tls_client_ca and not tls_key):
        raise click.UsageError("TLS needs both --tls-key and --tls-cert")
    grpc_server = _load()
    credentials = None
    if tls_key and tls_cert:
        ca = tls_client_ca.read_bytes() if tls_client_ca else None
        credentials = grpc_server.tls(tls_key.read_bytes(), tls_cert.read_bytes(), ca)
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # before there are threads: they inherit it
    try:
        store = workspace.open()
        try:
            server = grpc_server.Server(
                store, host=host, port=port, threads=threads, most_bytes=max_message * 2**20,
                credentials=credentials,
            )  # fmt: skip
            if not (_is_loopback(server.address) or tls_client_ca):
                click.echo("warning: whoever reaches this address can read and write the record", err=True)
            _serve(server, earlier)
        finally:
            store.close()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)


def _load() -> ModuleType:
    """The server's code, which needs an extra."""
    try:
        from tidemill.mlmd import grpc_server
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in {"grpc", "google"}:
            raise
        raise StoreError(
            f"the metadata server needs the Python module {error.name}", hint="install tidemill[grpc]"
        ) from error
    return grpc_server


def _serve(server: Server, earlier: set[signal.Signals | int]) -> None:
    """Answer until the first signal; from then on signals do what they did before."""
    server.start()
    click.echo(f"listening on {server.address}")
    signal.sigwait(_SIGNALS)
    signal.pthread_sigmask(signal.SIG_SETMASK, earlier)
    server.stop(_GRACE)


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
