"""The launcher around a container: folders before, ExecutorOutput and uploads after.

Source: `backend/src/v2/component/launcher_v2.go`. The bucket is a folder of this machine.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidemill.testing.kubeflow.document import Json

_FIELDS = {
    "name": str, "type": dict, "uri": str, "properties": dict, "customProperties": dict, "metadata": dict,
    "customPath": str,
}  # fmt: skip
_BUCKETS = ("gs://", "s3://", "minio://", "mem://")
"""What ParseBucketConfigForArtifactURI takes."""


class LauncherFailed(Exception):
    """The launcher ended with an error, and with it the task's try."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """KFP's object store, as a folder."""

    folder: Path

    def of(self, uri: str) -> Path:
        """Where an object lies."""
        return self.folder / uri.replace("://", "/")

    def fetch(self, message: Mapping[str, Any]) -> None:
        """Bring input artifacts to their places (downloadArtifacts). One without an object brings nothing."""
        for name, listed in message["inputs"].get("artifacts", {}).items():
            for artifact in listed["artifacts"]:
                uri = artifact["uri"]
                if not uri.startswith(_BUCKETS):
                    raise LauncherFailed(
                        f"failed to fetch non default buckets: {name!r}: unsupported Cloud bucket {uri!r}"
                    )
                if self.of(uri).exists() and "customPath" in artifact:
                    _copy(self.of(uri), Path(artifact["customPath"]))

    def keep(self, local: Path, uri: str) -> bool:
        """Upload a file or a folder; False when there is nothing, which is only a warning."""
        if not local.exists():
            return False
        _copy(local, self.of(uri))
        return True


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)


def prepare(message: Mapping[str, Any]) -> None:
    """Make the folders that outputs go into, not the outputs (prepareOutputFolders)."""
    for path in _output_paths(message):
        path.parent.mkdir(parents=True, exist_ok=True)


def _output_paths(message: Mapping[str, Any]) -> Iterator[Path]:
    outputs = message["outputs"]
    for slot in outputs.get("parameters", {}).values():
        yield Path(slot["outputFile"])
    for listed in outputs["artifacts"].values():
        if "customPath" in listed["artifacts"][0]:
            yield Path(listed["artifacts"][0]["customPath"])


@dataclass(slots=True)
class Published:
    """What KFP has on record of a task that succeeded."""

    parameters: Json = field(default_factory=dict)
    artifacts: dict[str, list[Json]] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    """What the container told and nobody keeps: outputs that are not declared, fields that cannot change."""


def collect(message: Mapping[str, Any], component: Mapping[str, Any], bucket: Bucket) -> Published:
    """Read ExecutorOutput, strictly, collect output parameters, upload artifacts. LauncherFailed says why."""
    outputs = message["outputs"]
    file = Path(outputs["outputFile"])
    told = read_output(file.read_text(encoding="utf-8")) if file.exists() else {}
    found = Published(parameters=dict(told.get("parameterValues", {})))
    declared = component.get("outputDefinitions", {}).get("parameters", {})
    for name, slot in outputs.get("parameters", {}).items():
        if name not in found.parameters:
            kind = declared[name].get("parameterType", "")
            found.parameters[name] = _parameter(name, Path(slot["outputFile"]), kind)
    found.ignored += [f"parameter {n}" for n in found.parameters if n not in declared]
    artifacts = told.get("artifacts", {})
    found.ignored += [f"artifact {n}" for n in artifacts if n not in outputs["artifacts"]]
    for name, listed in outputs["artifacts"].items():
        slot = dict(listed["artifacts"][0])
        if name != "executor-logs" and artifacts.get(name, {}).get("artifacts"):
            _merge(slot, artifacts[name]["artifacts"][0], found.ignored)
        _upload(slot, outputs["artifacts"]["executor-logs"]["artifacts"][0]["uri"], bucket)
        slot.pop("customPath", None)
        found.artifacts[name] = [slot]
    return found


def _merge(slot: Json, told: Mapping[str, Any], ignored: list[str]) -> None:
    """mergeRuntimeArtifacts: the URI, metadata by key, a custom path; nothing else."""
    if told.get("uri") and told["uri"] != slot["uri"]:
        slot["uri"] = told["uri"]
        slot.pop("customPath", None)
    if "metadata" in told:
        slot["metadata"] = {**slot.get("metadata", {}), **told["metadata"]}
    if told.get("customPath"):
        slot["customPath"] = told["customPath"]
    ignored += [f"{slot['name']}.{n}" for n in told if n in ("type", "properties", "customProperties")]
    for name, value in slot.get("metadata", {}).items():
        if value is None:
            raise LauncherFailed(f"unable to produce MLMD artifact: metadata {name!r} is null")


def _upload(slot: Mapping[str, Any], beside: str, bucket: Bucket) -> None:
    uri, root = slot["uri"], beside.split("/", 3)[:3]
    if not uri.startswith(("gs://", "s3://", "minio://")):
        return  # "does not have a recognized storage URI": a warning
    if uri.split("/", 3)[:3] != root:
        raise LauncherFailed(f"failed to upload: URI {uri!r} does not have expected bucket prefix")
    if "customPath" in slot:
        bucket.keep(Path(slot["customPath"]), uri)


def _parameter(name: str, file: Path, kind: str) -> Any:
    """The text of a file as a value (TextToPbValue in metadata/converter.go)."""
    try:
        text = file.read_text(encoding="utf-8")
        if kind == "STRING":
            return text
        if kind == "NUMBER_INTEGER":
            return float(int(text.strip()))
        if kind == "NUMBER_DOUBLE":
            return float(text.strip())
        value = json.loads(text)
        if isinstance(value, {"BOOLEAN": bool, "LIST": list, "STRUCT": dict}[kind]):
            return value
    except (OSError, ValueError, KeyError) as error:
        raise LauncherFailed(
            f"failed to read output parameter name={name!r} type={kind!r}: {error}"
        ) from None
    raise LauncherFailed(f"failed to read output parameter name={name!r} type={kind!r}: unexpected type")


def read_output(text: str) -> Json:
    """ExecutorOutput as strict protojson reads it; LauncherFailed for one key too many, or twice."""

    def unique(pairs: list[tuple[str, Any]]) -> Json:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise LauncherFailed("failed to unmarshall ExecutorOutput: duplicate key")
        return found

    def no_constant(word: str) -> Any:
        raise LauncherFailed(f"failed to unmarshall ExecutorOutput: {word} is no JSON")

    try:
        found = json.loads(text, object_pairs_hook=unique, parse_constant=no_constant)
    except ValueError as error:
        raise LauncherFailed(f"failed to unmarshall ExecutorOutput: {error}") from None
    _message(found, {"parameterValues": dict, "artifacts": dict}, "")
    for name, listed in found.get("artifacts", {}).items():
        _message(listed, {"artifacts": list}, name)
        for artifact in listed.get("artifacts", []):
            _message(artifact, _FIELDS, name)
    result: Json = found
    return result


def _message(value: Any, fields: Mapping[str, type], where: str) -> None:
    if not isinstance(value, dict):
        raise LauncherFailed(f"failed to unmarshall ExecutorOutput: {where or 'it'} is no object")
    for name, content in value.items():
        if name not in fields:
            raise LauncherFailed(f"failed to unmarshall ExecutorOutput: unknown field {name!r} in {where!r}")
        if not isinstance(content, fields[name]):
            raise LauncherFailed(f"failed to unmarshall ExecutorOutput: {where}.{name}: {content!r}")
