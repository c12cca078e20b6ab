"""On demand: everything that KFP keeps as compiled by its SDK, and TFX's goldens, through the linter.

TIDEMILL_KFP_SOURCES names a checkout of kubeflow/pipelines, TIDEMILL_TFX_SOURCES one of tensorflow/tfx. Each
finding in KFP's own samples was looked at, and stands here with its reason.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tidemill.runners.kubeflow.lint import documents, lint_text, reader, sizes
from tidemill.runners.kubeflow.lint.model import Spec

KFP = Path(os.environ.get("TIDEMILL_KFP_SOURCES", "")) / "test_data"
TFX = Path(os.environ.get("TIDEMILL_TFX_SOURCES", "")) / "tfx/orchestration/kubeflow/v2/testdata"
needs_kfp = pytest.mark.skipif(not KFP.is_dir(), reason="TIDEMILL_KFP_SOURCES names no checkout")
needs_tfx = pytest.mark.skipif(not TFX.is_dir(), reason="TIDEMILL_TFX_SOURCES names no checkout")

TRUE = {
    "artifacts_simple.yaml": {"unknown-placeholder"},  # an artifact without .uri or .path
    "component_with_metadata_fields.yaml": {"root-input"},  # compiled alone: its artifacts are missing
    "components_with_optional_artifacts.yaml": {"command-placeholder"},  # the URI as program
    "container_with_artifact_output.yaml": {"unknown-placeholder"},  # .metadata
    "empty_file.yaml": {"not-a-pipeline"},
    "input_artifact.yaml": {"root-input"},
    "invalid_yaml.yaml": {"unknown-field", "unknown-component"},  # meant to be wrong: components_1
    "no_name.yaml": {"not-a-pipeline"},
    "pipeline_with_metadata_fields.yaml": {"root-input"},
    "pipeline_with_parallelfor_list_artifacts_GH-12033.yaml": {"artifact-iterator"},
    "pipeline_with_various_io_types.yaml": {"root-input", "no-command"},  # arguments, and no command
    "xgboost_sample_pipeline.yaml": {"placeholder-place"},  # IfPresent of an artifact
}  # fmt: skip


def samples() -> list[Path]:
    return sorted(p for p in KFP.glob("sdk_compiled_pipelines/**/*.yaml") if p.is_file())


@needs_kfp
def test_the_samples_of_kfp_have_true_findings_only() -> None:
    found: dict[str, set[str]] = {}
    for path in samples():
        errors = {f.rule.id for f in lint_text(path.read_text(), path.name) if f.rule.severity == "error"}
        if errors:
            found[path.name] = errors
    assert found == TRUE


@needs_kfp
def test_the_estimate_of_a_workflow_is_near_those_that_kfp_keeps() -> None:
    ratios = []
    for path in samples():
        workflow = KFP / "compiled-workflows" / path.name
        if workflow.is_file():
            parts = documents.parts(reader.read(path.read_text(), path.name).documents)
            assert parts.pipeline is not None
            loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
            whole = json.dumps(
                yaml.load(workflow.read_text(), Loader=loader), separators=(",", ":"), default=str
            )
            ratios.append(sizes.estimate(Spec.of(parts.pipeline, parts.executors), parts) / len(whole))
    ratios.sort()
    assert len(ratios) > 100
    assert ratios[0] > 0.85
    assert ratios[-1] < 1.3
    assert abs(ratios[len(ratios) // 2] - 1) < 0.05


@needs_tfx
def test_what_the_open_backend_refuses_of_tfx_is_found() -> None:
    counts: Counter[str] = Counter()
    for path in sorted(TFX.glob("**/*.json")):
        counts.update({f.rule.id for f in lint_text(path.read_text(), path.name)})
    assert counts["pipeline-job"] == 8
    assert counts["unsupported-executor"] == counts["lifecycle"] == 2
    assert counts["schema-version"] == counts["runtime-value"] == 4
