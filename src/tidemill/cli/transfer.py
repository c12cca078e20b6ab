"""`tidemill metadata export` and `tidemill metadata import`."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import cast

import click

from tidemill.cli.output import json_option, print_json, print_table
from tidemill.cli.workspace import Workspace, find_run, workspace_options
from tidemill.errors import StorageError
from tidemill.metadata.lineage import Direction
from tidemill.metadata.transfer import Imported, Selection
from tidemill.metadata.transfer.form import KINDS
from tidemill.storage.manifest import storage_error


@click.command("export")
@workspace_options
@click.option(
    "--run", default="", metavar="RUN", help="A run: its id, a unique beginning of it, or `latest`."
)
@click.option(
    "--artifact", type=click.IntRange(1, 2**63 - 1), metavar="N", help="The lineage of an artifact."
)
@click.option(
    "--direction", type=click.Choice(["upstream", "downstream", "both"]), default="both", show_default=True,
    help="Of an artifact: what led to it, what came of it, or both.",
)  # fmt: skip
@click.option("--pipeline", default="", metavar="NAME", help="Everything that belongs to a pipeline.")
@click.option("--all", "everything", is_flag=True, help="The whole record.")
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), required=True, metavar="FILE",
    help="Where to write it; it appears when it is whole. `-` is standard output.",
)  # fmt: skip
def export_command(
    workspace: Workspace, run: str, artifact: int | None, direction: str, pipeline: str, everything: bool,
    output: Path,
) -> None:  # fmt: skip
    """Write a part of the record to a file that any tidemill can import.

    The file holds artifacts, executions, events, contexts and types, and the runs that are whole in it, one
    JSON object a line. Artifacts that were reused come with the execution that made them. The files of
    artifacts are not part of it; their URIs are.

    \b
    Examples:
      tidemill metadata export --run latest -o run.jsonl
      tidemill metadata export --artifact 17 --direction upstream -o model.jsonl
      tidemill metadata export --all -o - | gzip > record.jsonl.gz
    """
    if sum(map(bool, (run, artifact, pipeline, everything))) != 1:
        raise click.UsageError("say what to export: one of --run, --artifact, --pipeline or --all")
    workspace.open_existing().close()  # says so when there is none
    store = workspace.open_database("writing a part of the record to a file")
    try:
        selection = Selection(
            run=find_run(store, run).id if run else "", artifact=artifact or 0,
            direction=cast("Direction", direction), pipeline=pipeline,
        )  # fmt: skip
        lines = store.export_record(selection)
        if str(output) == "-":
            stream = sys.stdout.buffer
            for line in lines:
                stream.write(line)
            return
        written = _write(lines, output)
    finally:
        store.close()
    click.echo(f"wrote {written} lines to {output}", err=True)


def _write(lines: Iterable[bytes], path: Path) -> int:
    """Write a file that is there whole or not at all; how many lines it has."""
    written = 0
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as file:
            for line in lines:
                file.write(line)
                written += 1
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        part.unlink(missing_ok=True)
    return written


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@workspace_options
@json_option
def import_command(file: Path, workspace: Workspace, as_json: bool) -> None:
    """Add what FILE holds to the record. FILE is what `tidemill metadata export` wrote, or `-`.

    What is there already, by its name or external id or else by all that it says, is left as it is, so that
    importing twice changes nothing. When the file contradicts the record, nothing is imported.
    """
    store = workspace.open_database("taking in a part of the record")
    try:
        done = _import(file, store.import_record)
    finally:
        store.close()
    if as_json:
        print_json({"added": dict(done.added), "known": dict(done.known)})
        return
    rows = [(k, done.added.get(k, 0), done.known.get(k, 0)) for k in KINDS if k in {*done.added, *done.known}]
    print_table(["KIND", "ADDED", "KNOWN"], rows)


def _import(file: Path, take: Callable[[Path], Imported]) -> Imported:
    """Import a file; standard input goes through a temporary one, because it is read twice."""
    if str(file) != "-":
        return take(file)
    try:
        with tempfile.NamedTemporaryFile(prefix="tidemill-import-") as copy:
            stream = sys.stdin.buffer
            while data := stream.read(1 << 20):
                copy.write(data)
            copy.flush()
            return take(Path(copy.name))
    except OSError as error:
        raise StorageError(f"cannot keep standard input: {error.strerror or error}") from error
