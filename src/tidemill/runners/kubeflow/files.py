"""The files that `tidemill compile --to kubeflow` writes: text made of the documents alone.

`NAME.yaml` is what KFP's UI, API and SDK take; `NAME.resources.yaml` holds the same pipeline as custom
resources, for clusters whose API server keeps pipelines in Kubernetes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from tidemill.ir import codec
from tidemill.ir.model import PipelineIR
from tidemill.runners.kubeflow import check, yaml_text
from tidemill.runners.kubeflow.spec import Compiled, compile_spec
from tidemill.runners.kubeflow.target import Target

API = "pipelines.kubeflow.org/v2beta1"
_WRITTEN = "# Written by tidemill compile --to kubeflow: do not edit.\n"
_MOST_NAME = 50
"""Characters of a pipeline's name that the name of its version begins with: names of resources have 63."""


@dataclass(frozen=True, slots=True)
class Written:
    """What there is to write, and to say."""

    files: dict[str, str]
    """File name -> text."""
    notes: list[str]
    """What may be a mistake, in whole sentences."""


def kubeflow_files(ir: PipelineIR, target: Target) -> dict[str, str]:
    """File name -> text; see `write_down`."""
    return write_down(ir, target).files


def write_down(ir: PipelineIR, target: Target) -> Written:
    """The same IR and target give the same bytes.

    DefinitionError lists everything that KFP, or Kubernetes behind it, would refuse later.
    """
    ir = target.place(ir)
    compiled = compile_spec(ir, target)
    text = document(compiled)
    check.check(ir, target, compiled, text)
    check.lint(ir, compiled)
    head = f"# Pipeline {ir.name}, version {codec.version(ir)}.\n{_WRITTEN}"
    files = {
        f"{compiled.name}.yaml": head + text,
        f"{compiled.name}.resources.yaml": head + resources(compiled, target, ir),
    }
    return Written(files, check.notes(ir, target, compiled))


def document(compiled: Compiled) -> str:
    """The pipeline, and behind it the Kubernetes document, if any."""
    text = yaml_text.dumps(compiled.pipeline)
    return f"{text}---\n{yaml_text.dumps(compiled.kubernetes)}" if compiled.kubernetes else text


def resources(compiled: Compiled, target: Target, ir: PipelineIR) -> str:
    """A Pipeline and a PipelineVersion of KFP's custom resources.

    The version is named after its content, since its spec can never be changed: another content is another
    version beside it. See manifests/kustomize/base/crds of kubeflow/pipelines.
    """
    content = yaml_text.dumps([compiled.pipeline, compiled.kubernetes])
    digest = hashlib.sha256(content.encode()).hexdigest()[:12]
    described = {"description": ir.description.strip()} if ir.description.strip() else {}
    version: dict[str, Any] = {
        "pipelineName": compiled.name, "displayName": digest, "pipelineSpec": compiled.pipeline, **described,
    }  # fmt: skip
    if compiled.kubernetes:
        version["platformSpec"] = compiled.kubernetes
    pipeline = {"displayName": ir.name, **described}
    name = f"{compiled.name[:_MOST_NAME].rstrip('-')}-{digest}"
    found = [
        _resource("Pipeline", compiled.name, pipeline, target),
        _resource("PipelineVersion", name, version, target),
    ]
    return "---\n".join(yaml_text.dumps(item) for item in found)


def _resource(kind: str, name: str, spec: dict[str, Any], target: Target) -> dict[str, Any]:
    metadata = {"name": name}
    if target.namespace:
        metadata["namespace"] = target.namespace
    return {"apiVersion": API, "kind": kind, "metadata": metadata, "spec": spec}
