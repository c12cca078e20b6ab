"""`tidemill compile --to airflow`: what its options are, and the files it writes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tidemill.ir.model import PipelineIR

OPTIONS = frozenset({"metadata", "root", "code_root", "workdir", "options", "assets", "alerts"})
"""Options of the command that Airflow has a use for."""
_PLACES = ("metadata", "root", "code_root", "workdir")


def files(ir: PipelineIR, code_root: str, output: str, options: dict[str, Any]) -> dict[str, str]:
    """Name -> text. Only the folder that modules come from is relative, to the DAG file."""
    from tidemill.runners.airflow.defaults import MOST_MAPPED
    from tidemill.runners.airflow.files import dag_files
    from tidemill.runners.airflow.options import read_options

    places = {name: value for name, value in options.items() if name in _PLACES}
    of_nodes, most = read_options(options["options"]) if options.get("options") else ({}, 0)
    if not places.get("code_root"):
        found = os.path.relpath(Path(code_root).resolve(), Path(output).resolve())
        places["code_root"] = Path(found).as_posix()
    return dag_files(
        ir, options=of_nodes, max_map_length=most or MOST_MAPPED, assets=options.get("assets", ()),
        alerts=_alerts(options.get("alerts", "")), **places,
    )  # fmt: skip


def _alerts(file: str) -> Any:
    """The alerts that a file describes; None without one."""
    from tidemill.runners.airflow.alerting import read_alerts

    if not file:
        return None
    try:
        return read_alerts(Path(file).read_text(encoding="utf-8"), file)
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"--alerts {file} cannot be read: {error}") from None
