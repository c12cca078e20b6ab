"""What a file is made of: one pipeline, at most one platform document, and wrappers around them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tidemill.runners.kubeflow.lint.finding import Finding, Json, Path, broken, dig
from tidemill.runners.kubeflow.lint.shape import DEEPEST, Shape, depth
from tidemill.runners.kubeflow.rules import RULES

_PIPELINE_KEYS = {"root", "pipelineInfo", "pipeline_info", "deploymentSpec", "deployment_spec", "components",
                  "schemaVersion", "schema_version", "sdkVersion", "sdk_version"}  # fmt: skip
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
PARAMETER_BYTES = 10_000


@dataclass(slots=True)
class Parts:
    """The clean parts of a file, and where in it each was."""

    found: list[Finding] = field(default_factory=list)
    pipeline: Json | None = None
    pipeline_at: tuple[int, Path] = (0, ())
    executors: Json = field(default_factory=dict)
    platform: Json | None = None
    platform_at: tuple[int, Path] = (0, ())
    platform_executors: Json = field(default_factory=dict)


def parts(documents: list[Any]) -> Parts:
    """Sorts the documents of a file, and holds each against its schema."""
    result = Parts()
    for number, document in enumerate(documents):
        if document is None:
            continue
        if depth(document) > DEEPEST:
            _say(result, "too-deep", number, (), "lists and objects nest more than 100 deep", "flatten it")
            continue
        _document(result, number, document)
    if result.pipeline is None and not result.found:
        _say(
            result,
            "not-a-pipeline",
            0,
            (),
            "there is no pipeline in here",
            "give the compiled pipeline: it has pipelineInfo, components, deploymentSpec and root",
        )
    return result


def _document(result: Parts, number: int, document: Any) -> None:
    if not isinstance(document, dict):
        return _say(result, "ignored-document", number, (), "the document is no object", "take it out")
    kind = document.get("kind")
    if isinstance(kind, str) and "apiVersion" in document:
        return _resource(result, number, document, kind)
    for key in ("pipelineSpec", "pipeline_spec"):
        if key in document:
            return _job(result, number, document, key)
    if "platforms" in document:
        return _platform(result, number, document, ())
    if _PIPELINE_KEYS & document.keys():
        return _pipeline(result, number, document, ())
    return _say(
        result,
        "ignored-document",
        number,
        (),
        "the document is neither a pipeline nor platforms",
        "take it out",
    )


def _resource(result: Parts, number: int, document: Json, kind: str) -> None:
    """A custom resource for kubectl: a PipelineVersion holds the pipeline, a Pipeline only its name."""
    if kind == "PipelineVersion":
        spec = document.get("spec")
        spec = spec if isinstance(spec, dict) else {}
        _pipeline(result, number, spec.get("pipelineSpec"), ("spec", "pipelineSpec"))
        if spec.get("platformSpec") is not None:
            _platform(result, number, spec["platformSpec"], ("spec", "platformSpec"))
    elif kind != "Pipeline":
        _say(
            result,
            "not-a-pipeline",
            number,
            ("kind",),
            f"a {kind} is no pipeline of KFP 2",
            "compile the pipeline with version 2 of the SDK, or with tidemill",
        )


def _job(result: Parts, number: int, document: Json, key: str) -> None:
    _say(
        result,
        "pipeline-job",
        number,
        (key,),
        "this is a PipelineJob with the pipeline inside",
        f"upload what is under {key} as a file of its own",
    )
    shape = Shape()
    job = shape.message(document, "PipelineJob")
    result.found += _at(shape.found, number, ())
    _pipeline(result, number, job.get("pipelineSpec", {}), (key,))
    given = dig(job, "runtimeConfig", "parameterValues")
    if (size := json_size(given)) > PARAMETER_BYTES:
        _say(
            result,
            "parameters-too-large",
            number,
            ("runtimeConfig", "parameterValues"),
            f"the parameters have {size:,} bytes",
            "hand large values over in a file or an artifact",
        )


def _pipeline(result: Parts, number: int, value: Any, path: Path) -> None:
    if result.pipeline is not None:
        return _say(
            result,
            "several-documents",
            number,
            path,
            "this is a second pipeline",
            "put it into a file of its own",
        )
    shape = Shape()
    result.pipeline = shape.message(value, "PipelineSpec")
    result.pipeline_at = (number, path)
    result.found += _at(shape.found, number, path)
    inner = Shape("unknown-executor-field")
    deployment = inner.message(
        result.pipeline.get("deploymentSpec", {}), "PipelineDeploymentConfig", ("deploymentSpec",)
    )
    result.executors = dig(deployment, "executors")
    result.found += _at(inner.found, number, path)
    result.found += _at(_head(result.pipeline), number, path)
    return None


def _platform(result: Parts, number: int, value: Any, path: Path) -> None:
    if result.platform is not None:
        return _say(
            result, "several-documents", number, path, "this is a second platform document", "merge the two"
        )
    shape = Shape()
    result.platform = shape.message(value, "PlatformSpec")
    result.platform_at = (number, path)
    if shape.found:
        _say(
            result,
            "ignored-document",
            number,
            path,
            "KFP passes the whole document over, because of what else is said of it",
            "mend that",
        )
    result.found += _at(shape.found, number, path)
    place: Path = ("platforms", "kubernetes", "deploymentSpec", "executors")
    for label, config in dig(result.platform, *map(str, place)).items():
        inner = Shape("unknown-platform-field")
        result.platform_executors[label] = inner.message(config, "KubernetesExecutorConfig", (*place, label))
        result.found += _at(inner.found, number, path)
    return None


def _head(spec: Json) -> Iterator[Finding]:
    """Name, version and root."""
    name = dig(spec, "pipelineInfo").get("name", "")
    if not name:
        yield Finding(
            RULES["not-a-pipeline"], ("pipelineInfo", "name"), "the pipeline has no name", "name it"
        )
    elif not _NAME.fullmatch(name) or len(name) > 128:
        better = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:128].strip("-")
        yield broken(
            "pipeline-name",
            ("pipelineInfo", "name"),
            f"{name[:140]!r} is no name for a workflow",
            f"call it {better!r}" if better else "use lower case letters, digits and -",
        )
    if "root" not in spec:
        yield broken("not-a-pipeline", (), "the pipeline has no root", "give it a root with a dag")
    if (version := spec.get("schemaVersion", "")) != "2.1.0":
        yield broken(
            "schema-version",
            ("schemaVersion",),
            f"the schema version is {version!r}",
            "write schemaVersion: 2.1.0; TFX does with use_pipeline_spec_2_1=True",
        )
    inputs = dig(spec, "root", "inputDefinitions", "parameters")
    defaults = {n: p["defaultValue"] for n, p in inputs.items() if p.get("defaultValue") is not None}
    if (size := json_size(defaults)) > PARAMETER_BYTES:
        yield broken(
            "defaults-too-large",
            ("root", "inputDefinitions", "parameters"),
            f"the defaults have {size:,} bytes together",
            "hand large values over in a file",
        )


def json_size(value: Any) -> int:
    """Bytes of a value as KFP writes it: compact JSON."""
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace"))


def _at(found: Iterator[Finding] | list[Finding], number: int, path: Path) -> Iterator[Finding]:
    """The same, as seen from the top of the file."""
    return (Finding(f.rule, (*path, *f.path), f.what, f.fix, number) for f in found)


def _say(result: Parts, rule: str, number: int, path: Path, what: str, fix: str) -> None:
    result.found.append(broken(rule, path, what, fix, number))
