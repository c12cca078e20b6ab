"""The driver: what a task's inputs are, and the ExecutorInput that its container gets.

Source: `backend/src/v2/driver/resolve.go` and `provisionOutputs` in `driver.go`.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from tidemill.testing.kubeflow.document import Json, Refused

_INPUT = re.compile(r"\{\{\$\.inputs\.parameters\['(.+?)'\]\}\}")
_TEMPORARY = "/" + "tmp"
"""In a container, whatever this machine has for temporary files."""
_OUTPUTS = f"{_TEMPORARY}/kfp/outputs"
_KINDS: dict[str, tuple[type, ...]] = {
    "STRING": (str,), "NUMBER_INTEGER": (int, float), "NUMBER_DOUBLE": (int, float), "BOOLEAN": (bool,),
    "LIST": (list,), "STRUCT": (dict,), "TASK_FINAL_STATUS": (dict,),
}  # fmt: skip


class DriverFailed(Exception):
    """The driver of a task ended with an error, so its container never starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What placeholders in constants stand for."""

    run_id: str
    name: str
    created: str
    due: str = ""
    root: str = "s3://bucket/pipelines"
    """KFP's own pipeline root, in which it keeps what launchers upload."""


@dataclass(slots=True, kw_only=True)
class Values:
    """Inputs, or outputs, of a task or of a DAG."""

    parameters: Json = field(default_factory=dict)
    artifacts: dict[str, list[Json]] = field(default_factory=dict)


Produced = Callable[[str, str, bool], Any]
"""Task, output, whether it is an artifact -> the value, or the list of artifacts."""


def resolve(
    task: Mapping[str, Any], name: str, component: Mapping[str, Any], parent: Values, produced: Produced,
    facts: RunFacts, final_status: Callable[[], Json],
) -> Values:  # fmt: skip
    """The inputs of a task inside of a DAG. DriverFailed says what has no value or the wrong type."""
    found = Values()
    declared = component.get("inputDefinitions", {}).get("parameters", {})
    nulls: set[str] = set()
    if "dag" in component:
        for key, spec in declared.items():
            if spec.get("isOptional") and key not in task.get("inputs", {}).get("parameters", {}):
                found.parameters[key] = spec.get("defaultValue")
                nulls.update({key} if spec.get("defaultValue") is None else ())
    for key, given in task.get("inputs", {}).get("parameters", {}).items():
        if "runtimeValue" in given:
            value = _constant(given["runtimeValue"]["constant"], name, facts)
        elif "componentInputParameter" in given:
            source = given["componentInputParameter"]
            if source not in parent.parameters:
                raise DriverFailed(f"{name}: parent DAG does not have input parameter {source}")
            value = parent.parameters[source]
            if value is None:
                if declared.get(key, {}).get("isOptional"):
                    continue
                raise DriverFailed(f"{name}: the resolved input parameter is null: {source}")
        elif "taskOutputParameter" in given:
            source = given["taskOutputParameter"]
            value = produced(source["producerTask"], source["outputParameterKey"], False)
        elif "taskFinalStatus" in given:
            value = final_status()
        else:
            raise Refused(f"parameter {key!r} of task {name!r}: {sorted(given)} is not emulated")
        found.parameters[key] = copy.deepcopy(value)
    for key, given in task.get("inputs", {}).get("artifacts", {}).items():
        if "componentInputArtifact" in given:
            source = given["componentInputArtifact"]
            if source not in parent.artifacts:
                raise DriverFailed(f"{name}: parent DAG does not have input artifact {source}")
            found.artifacts[key] = copy.deepcopy(parent.artifacts[source])
        else:
            source = given["taskOutputArtifact"]
            found.artifacts[key] = copy.deepcopy(
                produced(source["producerTask"], source["outputArtifactKey"], True)
            )
    iterator = task.get("parameterIterator", {})
    check_types(found, name, component, nulls, without=iterator.get("itemInput", ""))
    return found


def check_types(
    found: Values, name: str, component: Mapping[str, Any], nulls: set[str], *, without: str = ""
) -> None:
    """Convert to text what is declared as text; DriverFailed for other differences.

    `without` is an input that is not there yet, or no more: of a loop the item, of an iteration the items.
    """
    for key, spec in component.get("inputDefinitions", {}).get("parameters", {}).items():
        if key == without:
            continue
        if key not in found.parameters:
            if not spec.get("isOptional") and "defaultValue" not in spec:
                raise DriverFailed(f"{name}: neither value nor default value for parameter {key!r}")
            continue
        value, kind = found.parameters[key], spec.get("parameterType", "")
        if key in nulls:
            continue
        if kind == "STRING" and not isinstance(value, str):
            found.parameters[key] = _text(value)
        elif isinstance(value, bool) != (kind == "BOOLEAN") or not isinstance(value, _KINDS[kind]):
            raise DriverFailed(f"{name}: input parameter {key!r}: expect {kind}, got {value!r}")


def _constant(value: Any, task: str, facts: RunFacts) -> Any:
    """A constant; placeholders count only when they are all of it."""
    known = {
        "{{$.pipeline_job_name}}": facts.name, "{{$.pipeline_job_resource_name}}": facts.name,
        "{{$.pipeline_job_uuid}}": facts.run_id, "{{$.pipeline_task_name}}": task,
        "{{$.pipeline_job_create_time_utc}}": facts.created,
        "{{$.pipeline_job_schedule_time_utc}}": facts.due or facts.created,
    }  # fmt: skip
    return known.get(value, value) if isinstance(value, str) else value


def items_of(task: Mapping[str, Any], inputs: Values) -> list[Any]:
    """What a loop iterates over (getItems in util.go)."""
    iterator = task["parameterIterator"]
    items = iterator["items"]
    found = json.loads(items["raw"]) if "raw" in items else inputs.parameters.get(items["inputParameter"])
    if isinstance(found, str):
        found = json.loads(found)
    if not isinstance(found, list):
        raise DriverFailed(f"value of type {type(found).__name__} cannot be iterated")
    return found


def of_iteration(task: Mapping[str, Any], inputs: Values, item: Any) -> Values:
    """The inputs of one iteration: those of the loop, with the item in place of the items."""
    found = copy.deepcopy(inputs)
    iterator = task["parameterIterator"]
    found.parameters.pop(iterator["items"].get("inputParameter", iterator["itemInput"]), None)
    found.parameters[iterator["itemInput"]] = item
    return found


# --- for the container ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Places:
    """Where a container finds what KFP's launcher puts to fixed places, `/s3/...` and the like.

    `base` is empty in a real container. A process of this machine gets a folder of its own instead, and is
    told by `customPath`, which goes before the usual place (retrieveArtifactPath in launcher_v2.go).
    """

    base: str = ""

    def of_uri(self, uri: str) -> Path | None:
        """The local path of a URI; None for a scheme that the launcher does not know."""
        for scheme in ("gs", "s3", "minio"):
            if uri.startswith(f"{scheme}://"):
                usual = f"/{scheme if scheme != 'gs' else 'gcs'}/{uri.removeprefix(f'{scheme}://')}"
                return Path(self.base + usual)
        return None

    def of_path(self, usual: str) -> Path:
        """A fixed place."""
        return Path(self.base + usual)


def executor_input(
    inputs: Values, name: str, component: Mapping[str, Any], facts: RunFacts, places: Places, index: str
) -> Json:
    """The message, without the maps that would be empty. `index` is that of the try, for the log's name."""
    outputs = component.get("outputDefinitions", {})
    remote = f"{facts.root.rstrip('/')}/{facts.name}/{facts.run_id}/{name}/{uuid4()}"
    declared = dict(outputs.get("artifacts", {}))
    declared["executor-logs"] = {"artifactType": {"schemaTitle": "system.Artifact"}}
    artifacts: Json = {}
    for key, spec in declared.items():
        uri = f"{remote}/{key}" + (f"-{index or 0}" if key == "executor-logs" else "")
        slot = {"name": key, "uri": uri, "type": spec["artifactType"]}
        if spec.get("metadata"):
            slot["metadata"] = spec["metadata"]
        artifacts[key] = {"artifacts": [_placed(slot, places)]}
    made: Json = {"artifacts": artifacts}
    if outputs.get("parameters"):
        made["parameters"] = {
            key: {"outputFile": str(places.of_path(f"{_OUTPUTS}/{key}"))} for key in outputs["parameters"]
        }
    file = places.of_uri(remote)
    made["outputFile"] = str(
        file / "output_metadata.json" if file else f"{_TEMPORARY}/kfp_outputs/output_metadata.json"
    )
    defaults = {
        key: spec["defaultValue"]
        for key, spec in component.get("inputDefinitions", {}).get("parameters", {}).items()
        if "defaultValue" in spec
    }
    given: Json = {}
    if parameters := {**defaults, **inputs.parameters}:
        given["parameterValues"] = {k: _number(v) for k, v in parameters.items()}
    if inputs.artifacts:
        given["artifacts"] = {
            key: {"artifacts": [_placed(a, places) for a in listed]}
            for key, listed in inputs.artifacts.items()
        }
    return {"inputs": given, "outputs": made} if given else {"inputs": {}, "outputs": made}


def log_uri(message: Mapping[str, Any]) -> str:
    """Where a try's output is kept."""
    return str(message["outputs"]["artifacts"]["executor-logs"]["artifacts"][0]["uri"])


def _placed(artifact: Mapping[str, Any], places: Places) -> Json:
    found = dict(artifact)
    path = places.of_uri(str(artifact["uri"]))
    if places.base and path is not None:
        found["customPath"] = str(path)
    return found


def _number(value: Any) -> Any:
    """A value as it comes through structpb: every number is a double."""
    match value:
        case bool():
            return value
        case int():
            return float(value)
        case list():
            return [_number(item) for item in value]
        case dict():
            return {key: _number(item) for key, item in value.items()}
    return value


def _text(value: Any) -> str:
    """PbValueToText in metadata/converter.go."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return json.dumps(value)
    return f"{value:g}" if value != int(value) else str(int(value))


def words_of(container: Mapping[str, Any], message: Mapping[str, Any]) -> list[str]:
    """Command and arguments with every placeholder replaced, first by the driver, then by the launcher."""
    values = message["inputs"].get("parameterValues", {})

    def by_driver(word: str) -> str:
        if "$.outputs" in word:
            return word
        if word.strip().startswith('{"IfPresent":') or word.strip().startswith('{"Concat":'):
            raise Refused("placeholders made of JSON are not emulated")
        return _INPUT.sub(lambda match: _text_of(values, match[1]), word)

    command = [by_driver(word) for word in [*container.get("command", []), *container.get("args", [])]]
    whole = json.dumps(message, separators=(",", ":"))
    found = [word.replace("{{$}}", whole) for word in command]
    return [found[0], *(_by_launcher(word, message) for word in found[1:])]


def _text_of(values: Mapping[str, Any], name: str) -> str:
    if name not in values:
        raise DriverFailed(f"parameter {name!r} not found in executor input")
    value = values[name]
    return value if isinstance(value, str) else _text(value)


def _by_launcher(word: str, message: Mapping[str, Any]) -> str:
    if "{{$." not in word:
        return word
    for name, slot in message["outputs"].get("parameters", {}).items():
        word = word.replace(f"{{{{$.outputs.parameters['{name}'].output_file}}}}", slot["outputFile"])
    for side in ("inputs", "outputs"):
        for name, listed in message[side].get("artifacts", {}).items():
            artifact = listed["artifacts"][0]
            word = word.replace(f"{{{{$.{side}.artifacts['{name}'].uri}}}}", artifact["uri"])
            path = artifact.get("customPath", "")
            word = word.replace(f"{{{{$.{side}.artifacts['{name}'].path}}}}", path)
    return word
