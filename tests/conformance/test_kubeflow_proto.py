"""KFP's own schema, strictly: every golden pipeline is read with its protobuf classes, no field unknown.

TIDEMILL_KFP_PYTHON names an interpreter that has kfp (or kfp-pipeline-spec) and PyYAML, and perhaps
kfp-kubernetes; without it the tests are skipped, and say so. The backend itself is laxer: it drops what it
does not know of executors.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

PYTHON = os.environ.get("TIDEMILL_KFP_PYTHON", "")
GOLDENS = Path(__file__).parents[1] / "golden" / "kubeflow"
PROGRAM = """
import json, sys, warnings
warnings.simplefilter("ignore")
import yaml
from google.protobuf.json_format import MessageToDict, ParseDict
from kfp.pipeline_spec import pipeline_spec_pb2 as pb
try:
    from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes
except ImportError:
    kubernetes = None
found = {}
for file in sys.argv[1:]:
    with open(file, encoding="utf-8") as opened:
        spec, *others = yaml.safe_load_all(opened)
    ParseDict(spec["deploymentSpec"], pb.PipelineDeploymentConfig())
    back = MessageToDict(ParseDict(spec, pb.PipelineSpec()))
    executors = 0
    for other in others:
        ParseDict(other, pb.PlatformSpec())
        for config in other["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
            executors += 1
            kubernetes and ParseDict(config, kubernetes.KubernetesExecutorConfig())
    found[file] = [len(back["components"]), len(spec["components"]), len(others), executors]
print("RESULT", json.dumps(found))
"""

pytestmark = pytest.mark.skipif(not PYTHON, reason="TIDEMILL_KFP_PYTHON names no interpreter with kfp")


def test_no_field_is_unknown_to_kfp() -> None:
    files = sorted(map(str, GOLDENS.glob("*.yaml")))
    done = subprocess.run([PYTHON, "-c", PROGRAM, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    found = json.loads(line.removeprefix("RESULT "))
    assert [*found] == files
    assert all(read == written for read, written, *_ in found.values())
    documents, executors = found[str(GOLDENS / "platform.yaml")][2:]
    assert documents == 1
    assert executors > 5
