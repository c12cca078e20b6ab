"""What KFP's backend, Argo or Kubernetes would refuse later is refused here, each with the rule it breaks.

Rules that are those of the linter have its ids (`tidemill lint-kfp`); the others know what no compiled file
shows: what the pipeline reads, and where its secrets are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from tidemill.errors import DefinitionError, Problem
from tidemill.ir import model
from tidemill.ir.model import NodeIR, PipelineIR
from tidemill.runners.kubeflow import check_platform, names
from tidemill.runners.kubeflow import lint as linter
from tidemill.runners.kubeflow.check_platform import is_mounted
from tidemill.runners.kubeflow.component_spec import kubernetes_of, parameters_of
from tidemill.runners.kubeflow.lint import documents, sizes
from tidemill.runners.kubeflow.lint.model import Spec
from tidemill.runners.kubeflow.spec import Compiled
from tidemill.runners.kubeflow.target import Target

MOST_PARAMETERS = 10_000
"""Bytes of a run's parameters together that the API server takes, unless MAX_PARAMETER_BYTES allows more."""
MOST_WORD = 128 * 1024 - 1
"""Bytes of one word of a command line that Linux takes."""
_EXACT = 2**53 - 1
"""KFP's numbers are doubles: integers beyond are not exact."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HOST = re.compile(r"(localhost|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(?=:))(:\d{1,5})?")
_PART = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_KFP_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,126}[a-z0-9])?")


def check(ir: PipelineIR, target: Target, compiled: Compiled, text: str) -> None:
    """DefinitionError that lists everything that would be refused later, or would not do what it says."""
    problems = [
        *_names(ir, target),
        *_places(ir, target),
        *_images(ir, target),
        *_parameters(ir),
        *_schedule(ir),
        *_environment(ir, target),
        *check_platform.problems(ir, target),
        *_sizes(ir, compiled, text),
    ]
    if problems:
        raise DefinitionError.of(f"Kubeflow Pipelines cannot take pipeline {ir.name!r}", problems)


def lint(ir: PipelineIR, compiled: Compiled) -> None:
    """DefinitionError when the linter finds errors in what was compiled, whatever the reason."""
    found = linter.lint([compiled.pipeline, compiled.kubernetes or None])
    problems = [
        Problem(f"[{f.rule.id}] {f.what}", f.where, f.fix) for f in found if f.rule.severity == "error"
    ]
    if problems:
        raise DefinitionError.of(f"Kubeflow Pipelines cannot take pipeline {ir.name!r}", problems)


def notes(ir: PipelineIR, target: Target, compiled: Compiled) -> list[str]:
    """What is no mistake, and may be one all the same, in whole sentences."""
    found = []
    bare, folder = [], target.root.removeprefix("file://")
    if folder.startswith("/"):
        tasks = [(node_id, kubernetes_of(node, node_id, target)) for node_id, node in _everything(ir)]
        bare = [node_id for node_id, options in tasks if not is_mounted(folder, options)]
    if bare:
        found.append(
            f"The compiled file mounts no volume at the root {target.root} in {len(bare)} of the tasks"
            f" ({bare[0]}, ...): what they put there is lost with the pod, unless the cluster adds one."
            f" Mount one with --volume CLAIM:{target.root}."
        )
    if not compiled.carries_ir:
        found.append(
            "The pipeline is too large to travel in the compiled file: put this version into the metadata"
            " store before a run starts, with tidemill submit."
        )
    return found


def _names(ir: PipelineIR, target: Target) -> Iterator[Problem]:
    if target.name and not _KFP_NAME.fullmatch(target.name):
        yield Problem(
            f"[pipeline-name] {target.name!r} is no name of a pipeline in KFP",
            ir.name,
            f"lower case letters, digits and hyphens, 128 at most: {names.pipeline_name(target.name)!r}",
        )
    if target.namespace and not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", target.namespace):
        yield Problem(
            f"[object-name] {target.namespace!r} is no name of a namespace",
            ir.name,
            "lower case letters, digits and hyphens, 63 at most",
        )
    for node in ir.nodes:
        if node.id in (names.RUN_END, names.BODY_END):
            yield Problem(
                f"[reserved-name] node {node.id!r} has the name of a task of tidemill's own",
                node.id,
                "give it another one: .with_id()",
            )
    for parameter in ir.parameters:
        if parameter.name.startswith(names.RESERVED):
            yield Problem(
                f"[reserved-name] the runtime parameter {parameter.name!r} begins as those of tidemill do",
                ir.name,
                "give it another name",
            )


def _places(ir: PipelineIR, target: Target) -> Iterator[Problem]:
    """The metadata store and the root must be known to every task, and hold nothing secret here."""
    if urlsplit(target.metadata).password is not None:
        yield Problem(
            "[secret-value] the metadata URL holds a password, which all who see the pipeline would read",
            ir.name,
            'put the URL into a secret; the platform file: secret_env = { TIDEMILL_METADATA = "SECRET/KEY" }',
        )
    if target.root and not target.root.startswith("/") and "://" not in target.root:
        yield Problem(
            f"[root-place] the root {target.root!r} is relative, and pods share no working folder",
            ir.name,
            "name a folder of a mounted volume, such as /data/tidemill, or a URI such as s3://bucket/tidemill",
        )
    asked = (
        (names.METADATA_URL, target.metadata, "--metadata URL"),
        (names.ROOT, target.root, "--root DIR|URI"),
    )
    for variable, given, option in asked:
        if given:
            continue
        for node_id, node in _everything(ir):
            if variable not in kubernetes_of(node, node_id, target).names():
                yield Problem(
                    f"[missing-secret] nothing says {variable} to the task {node_id!r}",
                    node_id,
                    f'pass {option}, or name it for the nodes "*" in the platform file: '
                    f'secret_env = {{ {variable} = "SECRET/KEY" }}',
                )
                break


def _everything(ir: PipelineIR) -> Iterator[tuple[str, NodeIR | None]]:
    yield names.RUN_END, None
    for node in ir.nodes:
        yield node.id, node


def _images(ir: PipelineIR, target: Target) -> Iterator[Problem]:
    yield from _image(target.image, target, ir.name)
    for node in ir.nodes:
        environment = node.options.environment
        if environment is not None and environment.image not in ("", target.image):
            yield from _image(environment.image, target, node.id)


def _image(image: str, target: Target, where: str) -> Iterator[Problem]:
    example = "--image registry.example/team/pipeline@sha256:<64 hex digits>"
    if not image:
        yield Problem("[no-image] no image is named", where, f"pass one: {example}")
        return
    name, at, digest = image.partition("@")
    if why := _misspelled(name) or (
        "the digest is no sha256" if at and not _DIGEST.fullmatch(digest) else ""
    ):
        yield Problem(f"[image-name] {image!r} is no image: {why}", where, f"write it so: {example}")
    elif not at and not target.allow_tag:
        yield Problem(
            f"[image-digest] {image!r} has no digest: it may be another image tomorrow, and the cache would"
            " not notice",
            where,
            f"write it so: {example} (`tidemill image` prints the digest), or pass --allow-tag",
        )


def _misspelled(name: str) -> str:
    """Why this is no name of an image, with or without tag; empty when it is.

    The grammar is that of distribution/reference.
    """
    path, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    if colon and not _TAG.fullmatch(tag):
        return f"the tag {tag!r} has other characters than letters, digits, _, . and -, or too many"
    whole = f"{path}{slash}{last}"
    parts = whole.split("/")
    if len(parts) > 1 and _HOST.fullmatch(parts[0]):
        parts = parts[1:]
    for part in parts:
        if not _PART.fullmatch(part):
            return f"{part!r} is not made of lower case letters, digits, and single . _ or - between them"
    return "it is longer than 255 characters" if len(whole) > 255 else ""


def _parameters(ir: PipelineIR) -> Iterator[Problem]:
    given = {
        name: spec["defaultValue"] for name, spec in parameters_of(ir).items() if "defaultValue" in spec
    }  # fmt: skip
    size = len(json.dumps(given, ensure_ascii=False).encode())
    if size > MOST_PARAMETERS:
        large = max(given, key=lambda name: len(json.dumps(given[name])))
        yield Problem(
            f"[parameters-too-large] the runtime parameters have {size} bytes together, {large!r} the most;"
            f" KFP takes {MOST_PARAMETERS} for a run",
            ir.name,
            "pass the path of a file, or make it a parameter of the node",
        )
    for parameter in ir.parameters:
        if (
            parameter.type == "int"
            and not parameter.required
            and isinstance(parameter.default, int)
            and abs(parameter.default) > _EXACT
        ):
            yield Problem(
                f"[parameter-type] {parameter.name!r} is {parameter.default}; KFP's integers are doubles,"
                " exact up to 2**53",
                ir.name,
                "make it a str parameter",
            )
        if parameter.required and ir.schedule is not None:
            yield Problem(
                f"[required-parameter] the runtime parameter {parameter.name!r} has no default, and scheduled"
                " runs are given none",
                ir.name,
                "give it a default, or leave the schedule out",
            )


def _schedule(ir: PipelineIR) -> Iterator[Problem]:
    if ir.schedule is not None and ir.schedule.on is not None:
        yield Problem(
            "[data-trigger] the schedule waits for data, and nothing in KFP starts runs when data arrives",
            ir.name,
            "give it a cron expression alone here, or start runs with `tidemill kubeflow run`",
        )


def _environment(ir: PipelineIR, target: Target) -> Iterator[Problem]:
    """Variables that a node reads must be provided: what the machine of the compiler has is not there."""
    for node in ir.nodes:
        options = kubernetes_of(node, node.id, target)
        wanted = _variables(node)
        folders: tuple[str, ...] = ()
        if node.options.environment is not None:
            wanted |= set(node.options.environment.env)
            folders = node.options.environment.mounts
        for name in sorted(wanted - options.names() - target.environment().keys()):
            yield Problem(
                f"[missing-secret] the node reads the environment variable {name}; its pod will not have it",
                node.id,
                f'say in the platform file whence it comes: secret_env = {{ {name} = "SECRET/KEY" }}, or env',
            )
        for folder in folders:
            if not is_mounted(folder, options):
                yield Problem(
                    f"[missing-volume] the node's environment mounts {folder}; its pod has no volume there",
                    node.id,
                    f'name one in the platform file: volumes = [{{ claim = "...", path = "{folder}" }}]',
                )


def _variables(value: Any) -> set[str]:
    """Environment variables without default that a value, or anything in it, asks for."""
    if isinstance(value, model.Environment):
        return {value.name} if value.default is None else set()
    found: set[str] = set()
    for part in getattr(value, "__dataclass_fields__", ()):
        inner = getattr(value, part)
        items = (
            inner.values() if isinstance(inner, Mapping) else inner if isinstance(inner, tuple) else (inner,)
        )
        for item in items:
            if getattr(item, "__dataclass_fields__", None):
                found |= _variables(item)
    return found


def _sizes(ir: PipelineIR, compiled: Compiled, text: str) -> Iterator[Problem]:
    if len(text) > 32 * 2**20:
        yield Problem(f"[file-too-large] the file has {len(text)} bytes; KFP reads 32 MiB", ir.name, _SMALLER)
    words = {f"the component {n!r}": c for n, c in compiled.pipeline["components"].items()}
    words["the pipeline itself"] = compiled.pipeline["root"]
    for what, word in words.items():
        if (size := _size(word)) > MOST_WORD:
            yield Problem(
                f"[component-too-large] {what} has {size} bytes as JSON; KFP passes it as one word of a"
                f" command line, of which Linux takes {MOST_WORD}",
                ir.name,
                _SMALLER,
            )
    if (size := workflow_size(compiled)) > sizes.WORKFLOW:
        yield Problem(
            f"[workflow-too-large] the workflow will have about {size} bytes; etcd stores {sizes.WORKFLOW}",
            ir.name,
            _SMALLER,
        )


_SMALLER = "put parts into sub-pipelines or loops, or make several pipelines that read each other's artifacts"


def workflow_size(compiled: Compiled) -> int:
    """About how many bytes Argo's workflow will have."""
    parts = documents.parts([compiled.pipeline, compiled.kubernetes or None])
    return sizes.estimate(Spec.of(compiled.pipeline, parts.executors), parts)


def _size(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())
