"""`tidemill compile --to kubeflow`: what its options are, and the files it writes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tidemill.ir.model import PipelineIR

OPTIONS = frozenset(
    {"metadata", "root", "code_root", "workdir", "image", "allow_tag", "platform", "name", "namespace"}
)
"""Options of the command that Kubeflow Pipelines has a use for."""


def files(ir: PipelineIR, options: dict[str, Any]) -> dict[str, str]:
    """Name -> text."""
    from tidemill.runners.kubeflow.files import kubeflow_files
    from tidemill.runners.kubeflow.platform_file import read_platform
    from tidemill.runners.kubeflow.target import Target

    platform = options.pop("platform", "")
    nodes, run = read_platform(Path(platform)) if platform else ({}, None)
    if not options.get("image"):
        raise click.UsageError("--to kubeflow needs the image that the nodes run in: --image NAME@sha256:...")
    given = options if run is None else {**options, "run": run}
    return kubeflow_files(ir, Target(platform=nodes, **given))
