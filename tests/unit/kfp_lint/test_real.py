"""On demand: who refuses, as each rule says it, held against KFP's server and compiler and Argo's validator.

TIDEMILL_KFP_PROGRAM names the Go program of KFP's own code, built from the sources of release 2.17, that
answers `compile` with a workflow or with the stage that refused it.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest
from good_kfp import POD, at, documents, minimal
from mutations import MUTATIONS

from tidemill.runners.kubeflow import rules
from tidemill.runners.kubeflow.rules import RULES

PROGRAM = os.environ.get("TIDEMILL_KFP_PROGRAM", "")
pytestmark = pytest.mark.skipif(not PROGRAM, reason="TIDEMILL_KFP_PROGRAM names no program of KFP's code")

STAGES = {
    rules.SERVER: {"read"}, rules.COMPILER: {"compile"}, rules.ARGO: {"validate"},
    rules.EITHER: {"read", "compile"}, "KFP's compiler or Argo": {"compile", "validate"},
    "API server or driver": {"compile", "accepted"},
}  # fmt: skip
OTHERWISE = {
    "too-deep": "the pipeline that nests so deep is refused for another reason",
    "defaults-too-large": "a warning: only a run that gives them is refused",
    "parameters-too-large": "a PipelineJob, which is refused at once",
    "init-container": "newer than 2.17",
}
NEWER = ("initContainers",)


def older(given: list[Any]) -> list[Any]:
    """Without the fields that 2.17 has not."""
    for document in given:
        try:
            pod = at(document, POD)
        except (KeyError, TypeError):
            continue
        for name in NEWER:
            pod.pop(name, None)
    return given


def test_who_refuses_is_who_the_rule_says() -> None:
    asked = {"good": older(documents()), "minimal": [minimal()]}
    for rule, mutations in MUTATIONS.items():
        for i, mutation in enumerate(mutations):
            given: Any = documents()
            changed = mutation(given)
            text = json.dumps(given if changed is None else changed)
            if "NaN" not in text:  # no JSON
                asked[f"{rule} {i}"] = older(json.loads(text))
    files = [
        {"name": name, "text": "---\n".join(json.dumps(d) + "\n" for d in given), "parameters": {}}
        for name, given in asked.items()
    ]
    run = subprocess.run(
        [PROGRAM, "compile"], input=json.dumps(files), capture_output=True, text=True, check=True
    )
    answers = {answer["name"]: answer for answer in json.loads(run.stdout)}
    if answers["good"]["release"] == "2.3":
        pytest.skip("the program is of release 2.3, which lacks fields that are checked here")
    wrong = []
    for name, answer in answers.items():
        rule = name.partition(" ")[0]
        wanted = STAGES.get(RULES[rule].who, {"accepted"}) if rule in RULES else {"accepted"}
        stage = answer.get("stage", "accepted")
        if stage not in wanted and rule not in OTHERWISE:
            wrong.append(f"{name}: {stage}, not {wanted}: {answer.get('error', '')[:200]}")
    assert wrong == []
