"""`tidemill compile --to kubeflow`: what its options are, and the files it writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tidemill.ir.model import PipelineIR
    from tidemill.runners.kubeflow.platform import Volume

OPTIONS = frozenset(
    {
        "metadata",
        "root",
        "code_root",
        "workdir",
        "image",
        "allow_tag",
        "platform",
        "name",
        "namespace",
        "volume",
    }
)
"""Options of the command that Kubeflow Pipelines has a use for."""


def placed(ir: PipelineIR, options: dict[str, Any]) -> PipelineIR:
    """The pipeline in its image: that is the version that runs will be of."""
    from tidemill.runners.kubeflow.target import Target

    return Target(image=options.get("image", "")).place(ir)


def files(ir: PipelineIR, options: dict[str, Any]) -> dict[str, str]:
    """Name -> text. What may be a mistake is said on stderr."""
    from tidemill.runners.kubeflow.files import write_down
    from tidemill.runners.kubeflow.platform import KubernetesOptions, RunOptions, merged
    from tidemill.runners.kubeflow.platform_file import read_platform
    from tidemill.runners.kubeflow.target import Target

    nodes: dict[str, KubernetesOptions] = {}
    run = None
    for file in options.pop("platform", ()):
        more, run_options = read_platform(Path(file))
        run = run_options if run is None or run_options != RunOptions() else run
        nodes |= {name: merged(nodes.get(name, KubernetesOptions()), given) for name, given in more.items()}
    if not options.get("image"):
        raise click.UsageError("--to kubeflow needs the image that the nodes run in: --image NAME@sha256:...")
    if volumes := tuple(_volume(text) for text in options.pop("volume", ())):
        every = nodes.get("*", KubernetesOptions())
        nodes = {**nodes, "*": replace(every, volumes=(*volumes, *every.volumes))}
    given = options if run is None else {**options, "run": run}
    written = write_down(ir, Target(platform=nodes, **given))
    for note in written.notes:
        click.echo(f"note: {note}", err=True)
    return written.files


def _volume(text: str) -> Volume:
    from tidemill.runners.kubeflow.platform import Volume

    claim, colon, path = text.partition(":")
    if not colon or not claim or not path.startswith("/"):
        raise click.UsageError(f"--volume {text!r} must be CLAIM:/FOLDER")
    return Volume(claim=claim, path=path)
