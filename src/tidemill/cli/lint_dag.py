"""`tidemill lint-dag`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from tidemill.cli.output import json_option, print_json
from tidemill.errors import DefinitionError


@click.command("lint-dag")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@json_option
def lint_dag(files: tuple[str, ...], as_json: bool) -> None:
    """List old Airflow spellings in DAG files, with what to write on Airflow 3 instead.

    Files are read, not imported, and Airflow need not be installed. The exit code is 1 when there are any.
    """
    from tidemill.runners.airflow.lint import lint

    found = [(file, finding) for file in files for finding in lint(_text(file), file)]
    if as_json:
        print_json([{"file": file, **dataclasses.asdict(finding)} for file, finding in found])
    else:
        for file, finding in found:
            click.echo(f"{file}:{finding}")
        if not found:
            click.echo("no old spellings")
    if found:
        click.get_current_context().exit(1)


def _text(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise DefinitionError(f"the DAG file cannot be read: {error.strerror}", where=file) from None
    except UnicodeDecodeError:
        raise DefinitionError("the DAG file is no UTF-8 text", where=file) from None
