"""Holds compiled files against KFP's protobuf schema, in an environment that has it; prints what is wrong.

The backend reads a file in parts, of which only the first is strict: executors, and what Kubernetes is to do,
are structs in it, whose unknown keys are dropped. Here each part is strict.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes
from kfp.pipeline_spec import pipeline_spec_pb2 as spec


def wrong_with(text: str) -> Iterator[str]:
    """Everything that is not as the schema has it."""
    for document in yaml.safe_load_all(text):
        if "platforms" in document:
            yield from _parsed(document, spec.PlatformSpec())
            found = document["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
            for executor in found.values():
                yield from _parsed(executor, kubernetes.KubernetesExecutorConfig())
        else:
            yield from _parsed(document, spec.PipelineSpec())
            yield from _parsed(document["deploymentSpec"], spec.PipelineDeploymentConfig())


def _parsed(data: Any, message: Any) -> Iterator[str]:
    try:
        json_format.ParseDict(data, message)
    except json_format.ParseError as error:
        yield f"{message.DESCRIPTOR.name}: {error}"


if __name__ == "__main__":
    count = 0
    for name in sys.argv[1:]:
        for what in wrong_with(Path(name).read_text(encoding="utf-8")):
            print(f"{Path(name).name}: {what}")
            count += 1
    sys.exit(1 if count else 0)
