"""`tidemill compile --to airflow`: what its options are, and the files it writes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidemill.ir.model import PipelineIR

OPTIONS = frozenset({"metadata", "root", "code_root", "workdir"})
"""Options of the command that Airflow has a use for."""


def files(ir: PipelineIR, code_root: str, output: str, options: dict[str, str]) -> dict[str, str]:
    """Name -> text. Only the folder that modules come from is relative, to the DAG file."""
    from tidemill.runners.airflow.files import dag_files

    if not options.get("code_root"):
        found = os.path.relpath(Path(code_root).resolve(), Path(output).resolve())
        options = {**options, "code_root": Path(found).as_posix()}
    return dag_files(ir, **options)
