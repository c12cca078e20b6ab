"""`tidemill serve`."""

from __future__ import annotations

import importlib
import signal
from pathlib import Path
from types import ModuleType

import click

from tidemill.cli.workspace import Workspace, workspace_options
from tidemill.errors import RunnerError, StorageError
from tidemill.runtime.resolve import DIGEST
from tidemill.storage import mirror
from tidemill.storage.uri import local_path

_SIGNALS = {signal.SIGTERM, signal.SIGINT}
_LIBRARIES = {
    "starlette": "server", "uvicorn": "server", "prometheus_client": "server", "anyio": "server",
    "h11": "server", "numpy": "data", "pyarrow": "data",
}  # fmt: skip


@click.command()
@click.argument("model")
@workspace_options
@click.option("--name", default="model", show_default=True, metavar="NAME", help="What clients call it.")
@click.option(
    "--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Address to listen on."
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8501, show_default=True, metavar="N",
    help="Port; 0 takes any free one.",
)  # fmt: skip
@click.option(
    "--threads", type=click.IntRange(1, 256), default=4, show_default=True, metavar="N",
    help="Predictions that are made at the same time.",
)  # fmt: skip
@click.option(
    "--max-rows", type=click.IntRange(1), default=100_000, show_default=True, metavar="N",
    help="Rows of the largest request.",
)  # fmt: skip
@click.option(
    "--max-body", type=click.IntRange(1, 4096), default=64, show_default=True, metavar="MIB",
    help="Size of the largest request.",
)  # fmt: skip
def serve(
    model: str, workspace: Workspace, name: str, host: str, port: int, threads: int, max_rows: int,
    max_body: int,
) -> None:  # fmt: skip
    """Answer for MODEL over HTTP until SIGTERM or Ctrl-C; raw rows in, predictions out.

    MODEL is a folder with a model, the destination of Pusher (what is pushed next is served next, without
    a request lost), or the number of an artifact on record (`tidemill artifacts list --type Model`).

    Speaks the Open Inference Protocol v2 (POST /v2/models/NAME/infer) and the row form of TensorFlow Serving
    (POST /v1/models/NAME:predict). Probes: /v2/health/live and /v2/health/ready; figures: /metrics. Prints
    `serving http://HOST:PORT` when it takes requests, and what it loads on stderr. Whoever reaches the
    address may ask: put what others reach behind a gateway.

    \b
      curl localhost:8501/v1/models/model:predict -d '{"instances": [{"fare": 12.5, "company": "Blue"}]}'
    """
    place, version = _place_of(model, workspace)
    serving, app = _load("tidemill.serving.server"), _load("tidemill.serving.app")
    limits = app.Limits(body=max_body << 20, rows=max_rows)
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # before there are threads: they inherit it
    try:
        server = serving.ModelServer(
            place, name=name, version=version, host=host, port=port, threads=threads, limits=limits,
        )  # fmt: skip
        server.start()
        try:
            server.load()
            click.echo(f"serving {server.address}")
            signal.sigwait(_SIGNALS)
        finally:
            server.stop()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)


def _place_of(model: str, workspace: Workspace) -> tuple[Path, str]:
    """The folder, and the version it is served as."""
    if not model.isdecimal() or Path(model).exists():
        folder = local_path(model)
        if not folder.is_dir():
            raise StorageError(
                f"there is no folder {folder}", hint="name a model, a destination of Pusher, or an artifact"
            )
        return folder, "1"
    store = workspace.open_existing()
    try:
        found = store.get_artifact(int(model))
    finally:
        store.close()
    if found is None:
        raise RunnerError(f"there is no artifact {model}", hint="see: tidemill artifacts list --type Model")
    if found.type not in ("Model", "PushedModel"):
        raise RunnerError(f"artifact {model} is {found.type}, which cannot be served", hint="name a Model")
    return mirror.fetched(found.uri, str(found.custom_properties.get(DIGEST, ""))), model


def _load(name: str) -> ModuleType:
    """The server's code, which needs extras."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        extra = _LIBRARIES.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        raise StorageError(
            f"serving needs the Python module {error.name}", hint=f"install tidemill[{extra}]"
        ) from error
