"""The table of fields, held against KFP's own descriptors where an interpreter with kfp is at hand.

TIDEMILL_KFP_PYTHON names one that has kfp-pipeline-spec; with kfp-kubernetes, the platform's messages too.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import Any

import pytest
from good_kfp import documents, minimal

from tidemill.runners.kubeflow.lint.schema import ENUMS, MESSAGES, SCALARS, camel

PYTHON = os.environ.get("TIDEMILL_KFP_PYTHON", "")
on_demand = pytest.mark.skipif(not PYTHON, reason="TIDEMILL_KFP_PYTHON names no interpreter with kfp")

OURS = {
    "InputArtifact": "ComponentInputsSpec.ArtifactSpec",
        "InputParameter": "ComponentInputsSpec.ParameterSpec",
    "OutputArtifact": "ComponentOutputsSpec.ArtifactSpec",
        "OutputParameter": "ComponentOutputsSpec.ParameterSpec",
    "TaskArtifact": "TaskInputsSpec.InputArtifactSpec", "TaskParameter": "TaskInputsSpec.InputParameterSpec",
    "ArtifactItems": "ArtifactIteratorSpec.ItemsSpec", "ParameterItems": "ParameterIteratorSpec.ItemsSpec",
    "OldValue": "Value",
}  # fmt: skip
"""Messages whose name in KFP is one of several equal ones, or none to tell."""
NEWER = {"KubernetesExecutorConfig.initContainers", "ComponentSpec.taskConfigPassthroughs"}
"""Fields that the compared release may not have yet; unknown to it, known to us."""

_DESCRIBE = """
import json, sys
from google.protobuf import duration_pb2, struct_pb2
from kfp.pipeline_spec import pipeline_spec_pb2 as p
roots = [p.PipelineJob, p.PipelineSpec, p.PipelineDeploymentConfig, p.PlatformSpec]
try:
    from kfp.kubernetes import kubernetes_executor_config_pb2 as k
    roots.append(k.KubernetesExecutorConfig)
except ImportError:
    pass
SCALARS = {9: "string", 8: "bool", 5: "int32", 3: "int64", 1: "double"}
messages, enums = {}, {}
def kind(field):
    if field.type == 11:
        name = field.message_type.full_name
        if name.startswith("google.protobuf."):
            return name.rpartition(".")[2]
        add(field.message_type)
        return name
    if field.type == 14:
        enums[field.enum_type.name] = [v.name for v in field.enum_type.values]
        return "enum " + field.enum_type.name
    return SCALARS[field.type]
def add(message):
    if message.full_name in messages:
        return
    fields = messages[message.full_name] = {"fields": {}, "one_of": []}
    for field in message.fields:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            text = "{" + kind(field.message_type.fields_by_name["value"]) + "}"
        elif getattr(field, "is_repeated", None) or getattr(field, "label", 0) == 3:
            text = "[" + kind(field) + "]"
        else:
            text = kind(field)
        fields["fields"][field.json_name] = [text, field.GetOptions().deprecated]
    for group in message.oneofs:
        names = [f.json_name for f in group.fields]
        if len(names) > 1:
            fields["one_of"].append(names)
for root in roots:
    add(root.DESCRIPTOR)
json.dump({"messages": messages, "enums": enums}, sys.stdout)
"""

_PARSE = """
import json, sys
from google.protobuf import json_format, struct_pb2
from kfp.pipeline_spec import pipeline_spec_pb2 as p
from kfp.kubernetes import kubernetes_executor_config_pb2 as k
for documents in json.load(sys.stdin):
    spec = json_format.ParseDict(documents[0], p.PipelineSpec())
    json_format.ParseDict(json_format.MessageToDict(spec.deployment_spec), p.PipelineDeploymentConfig())
    for document in documents[1:]:
        platform = json_format.ParseDict(document, p.PlatformSpec())
        for config in platform.platforms["kubernetes"].deployment_spec.executors.values():
            fields = json_format.MessageToDict(config)
            fields.pop("initContainers", None)
            json_format.ParseDict(fields, k.KubernetesExecutorConfig())
"""


def ask(program: str, given: Any = None) -> str:
    done = subprocess.run(
        [PYTHON, "-c", program], capture_output=True, text=True, input=json.dumps(given), check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_kind_is_known() -> None:
    for name, message in MESSAGES.items():
        for field in message.fields.values():
            kind = field.kind.strip("[]{}")
            assert kind in SCALARS or kind in ENUMS or kind in MESSAGES, f"{name}.{field.name}"
            assert camel(re.sub("([A-Z])", lambda m: "_" + m.group().lower(), field.name)) == field.name
        assert all(name in message.fields for group in message.one_of for name in group)


@on_demand
def test_the_table_is_that_of_the_descriptors() -> None:
    theirs = json.loads(ask(_DESCRIBE))
    by_name: dict[str, Any] = {}
    for full_name, message in theirs["messages"].items():
        for name in (full_name.rpartition(".")[2], ".".join(full_name.split(".")[-2:])):
            by_name.setdefault(name, message)
    assert {name: tuple(values) for name, values in theirs["enums"].items()}.items() <= ENUMS.items()
    compared = 0
    for name, message in MESSAGES.items():
        other = by_name.get(OURS.get(name, name))
        if other is None:
            continue
        compared += 1
        ours = {f.name: (_shape(f.kind), f.deprecated) for f in message.fields.values()}
        known = {n: (_their_shape(kind), deprecated) for n, (kind, deprecated) in other["fields"].items()}
        extra = {f"{name}.{field}" for field in ours.keys() - known.keys()}
        assert extra <= NEWER, extra
        assert {field: ours.get(field) for field in known} == known, name
        assert sorted(map(sorted, message.one_of)) == sorted(map(sorted, other["one_of"])), name
    assert compared >= 60


def _shape(kind: str) -> str:
    """A kind without the names of messages, which are ours."""
    inner = kind.strip("[]{}")
    word = inner if inner in SCALARS else f"enum {inner}" if inner in ENUMS else "message"
    return kind.replace(inner, word)


def _their_shape(kind: str) -> str:
    inner = kind.strip("[]{}")
    word = inner if inner in SCALARS or inner.startswith("enum ") else "message"
    return kind.replace(inner, word)


@on_demand
def test_the_good_pipelines_are_good_for_kfp() -> None:
    ask(_PARSE, [documents(), [minimal()]])
