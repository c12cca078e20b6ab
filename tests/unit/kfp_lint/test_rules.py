"""Every rule of the linter: a good pipeline with one mutation breaks it, and nothing else."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
from good_kfp import documents, minimal, platform, spec
from mutations import ALSO, MUTATIONS

from tidemill.runners import kubeflow
from tidemill.runners.kubeflow.lint import lint, lint_text
from tidemill.runners.kubeflow.rules import ALL, FOUND, RULES

IN_TEXT = {"duplicate-key", "file-too-large"}
"""Rules of what only a text can break; test_reader.py breaks them."""
CASES = [(rule, i) for rule, mutations in MUTATIONS.items() for i in range(len(mutations))]


def found(given: list[object]) -> set[str]:
    return {finding.rule.id for finding in lint(given)}


def test_good_pipelines_break_none() -> None:
    assert lint(documents()) == []
    assert lint([spec()]) == []
    assert lint([platform(), None, spec()]) == []
    assert lint([minimal()]) == []


def test_snake_case_is_as_good() -> None:
    whole = minimal()
    whole["pipeline_info"] = whole.pop("pipelineInfo")
    whole["schema_version"] = whole.pop("schemaVersion")
    assert lint([whole]) == []


def test_a_resource_for_kubectl_is_as_good() -> None:
    version: dict[str, Any] = {
        "apiVersion": "pipelines.kubeflow.org/v2beta1", "kind": "PipelineVersion",
        "spec": {"pipelineName": "p", "pipelineSpec": spec(), "platformSpec": platform()},
    }  # fmt: skip
    pipeline = {"apiVersion": "pipelines.kubeflow.org/v2beta1", "kind": "Pipeline", "metadata": {"name": "p"}}
    assert lint([pipeline, version]) == []
    del version["spec"]["pipelineSpec"]["schemaVersion"]
    (finding,) = lint([pipeline, version])
    assert (finding.where, finding.document) == ("spec.pipelineSpec.schemaVersion", 1)


def test_what_is_inside_of_a_job_is_looked_at_too() -> None:
    inside = spec()
    inside["deploymentSpec"]["executors"]["exec-train"] = {"resolver": {}}
    inside["schemaVersion"] = "2.0.0"
    assert found([{"pipelineSpec": inside, "runtimeConfig": {"gcsOutputDirectory": "gs://b"}}]) == {
        "pipeline-job", "schema-version", "unsupported-executor",
    }  # fmt: skip


def test_consequences_are_left_out() -> None:
    wrong = spec()
    wrong["components"]["comp-train"] = {"executorLabel": "exec-trian", "inputDefinitions": []}
    assert "unused-executor" not in found([wrong])
    wrong = minimal()
    wrong["deploymentSpec"]["executors"]["exec-a"]["container"]["image"] = 5
    assert found([wrong]) == {"wrong-type"}


def test_every_rule_is_broken_by_a_mutation() -> None:
    assert MUTATIONS.keys() | IN_TEXT == {rule.id for rule in FOUND}
    assert len(ALL) == len(RULES)


def test_what_the_compiler_refuses_is_in_the_table() -> None:
    folder = Path(kubeflow.__file__).parent
    named = {
        rule for path in folder.glob("check*.py")
        for rule in re.findall(r"""f?"\[([a-z]+(?:-[a-z]+)+)\] """, path.read_text(encoding="utf-8"))
    }  # fmt: skip
    assert named
    assert named <= RULES.keys()
    assert {rule.id for rule in ALL if rule not in FOUND} <= named | {"secret-value"}


@pytest.mark.parametrize(("rule", "i"), CASES)
def test_a_mutation_breaks_its_rule_and_no_other(rule: str, i: int) -> None:
    given = documents()
    changed = MUTATIONS[rule][i](given)
    given = given if changed is None else changed
    findings = lint(copy.deepcopy(given))
    assert {f.rule.id for f in findings} - ALSO.get(rule, set()) == {rule}, "\n".join(map(str, findings))
    for finding in findings:
        assert finding.what
        assert finding.fix
        assert finding.rule.who
        assert str(finding).startswith(f"{finding.rule.severity} [{finding.rule.id}] {finding.where}: ")


def test_a_finding_says_where_and_how_to_mend_it() -> None:
    text = (
        "pipelineInfo: {name: p}\nschemaVersion: 2.1.0\ncomponents:\n  comp-a:\n    executorLable: exec-a\n"
        "root: {dag: {tasks: {a: {taskInfo: {name: a}, componentRef: {name: comp-a}}}}}\n"
    )
    finding = lint_text(text, "x.yaml")[0]
    assert (finding.rule.id, finding.line, finding.where) == (
        "unknown-field", 5, "components.comp-a.executorLable",
    )  # fmt: skip
    assert "executorLabel" in finding.fix
