"""From a pipeline, or a compiled one, to the files that Kubeflow Pipelines takes."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.errors import RunnerError
from tidemill.ir.model import PipelineIR
from tidemill.runners.kubeflow.files import kubeflow_files
from tidemill.runners.kubeflow.platform import KubernetesOptions, RunOptions
from tidemill.runners.kubeflow.target import Target

if TYPE_CHECKING:
    from typing import Protocol

    class Pipeline(Protocol):
        """A pipeline object of the definition language, which this room must not know."""

        name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeflowDagRunner:
    """Compiles pipelines for Kubeflow Pipelines 2, schema 2.1.0; kfp need not be installed.

        KubeflowDagRunner(image="registry.example/team/daily@sha256:...").run(daily, output="kfp")

    The fields are those of `Target`: what is left out is found in the containers' environment. `platform`
    maps nodes, or patterns such as "*", to what Kubernetes gives their pods.
    """

    image: str
    allow_tag: bool = False
    metadata: str = ""
    root: str = ""
    code_root: str = ""
    workdir: str = ""
    name: str = ""
    namespace: str = ""
    platform: Mapping[str, KubernetesOptions] = field(default_factory=dict)
    run_options: RunOptions = field(default_factory=RunOptions)

    def run(self, pipeline: Pipeline | PipelineIR, *, output: str | Path) -> list[Path]:
        """Compile, and write the files into the folder `output`; their paths.

        DefinitionError for a pipeline that is wrong, or that KFP would refuse. RunnerError when they cannot
        be written.
        """
        if isinstance(pipeline, PipelineIR):
            ir = pipeline
        else:
            above = importlib.import_module("tidemill.interactive")  # this room must not know the definitions
            ir, _ = above.compile_now(pipeline)
        folder = Path(output)
        files = kubeflow_files(ir, self.target())
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in files.items():
                (folder / name).write_text(text, encoding="utf-8")
        except OSError as error:
            raise RunnerError(f"the files cannot be written: {error.strerror}", where=str(folder)) from None
        return [folder / name for name in files]

    def target(self) -> Target:
        """What it compiles for."""
        return Target(
            image=self.image, allow_tag=self.allow_tag, metadata=self.metadata, root=self.root,
            code_root=self.code_root, workdir=self.workdir, name=self.name, namespace=self.namespace,
            platform=self.platform, run=self.run_options,
        )  # fmt: skip
