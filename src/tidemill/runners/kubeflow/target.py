"""What a pipeline is compiled for: image, places, cluster. The same target and IR give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tidemill.ir.model import EnvironmentIR, NodeIR, PipelineIR
from tidemill.runners.kubeflow import names
from tidemill.runners.kubeflow.platform import KubernetesOptions, RunOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the tasks run. Places are as containers see them; an empty one is left to their environment."""

    image: str
    """`NAME@sha256:...`: what every node without an image of its own runs in."""
    allow_tag: bool = False
    """Whether an image may be named without digest: it may then be another one tomorrow."""
    metadata: str = ""
    """URL of the metadata store."""
    root: str = ""
    """Pipeline root: a folder that all pods see, or a URI such as `s3://bucket/folder`."""
    code_root: str = ""
    workdir: str = ""
    name: str = ""
    """Of the pipeline in KFP; by default the pipeline's own, as KFP can write it."""
    namespace: str = ""
    """Kubernetes namespace that the custom resources name; by default none, and kubectl's is taken."""
    platform: Mapping[str, KubernetesOptions] = field(default_factory=dict)
    run: RunOptions = field(default_factory=RunOptions)

    def place(self, ir: PipelineIR) -> PipelineIR:
        """The pipeline with the image in it: what a node runs in is part of its version and its cache key."""

        def placed(node: NodeIR) -> NodeIR:
            if not node.executor or node.options.environment is not None or not self.image:
                return node
            environment = EnvironmentIR(image=self.image, python="python")
            return replace(node, options=replace(node.options, environment=environment))

        return replace(ir, nodes=tuple(placed(node) for node in ir.nodes))

    def environment(self) -> dict[str, str]:
        """Environment variables of every container; not the image's."""
        given = {
            names.METADATA_URL: self.metadata,
            names.ROOT: self.root,
            names.CODE_ROOT: self.code_root,
            names.WORKDIR: self.workdir,
        }
        return {name: value for name, value in given.items() if value}
