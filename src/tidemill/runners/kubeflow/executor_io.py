"""KFP's contract with a container: ExecutorInput as it comes in, ExecutorOutput as it goes out.

The shapes are those of `api/v2alpha1/pipeline_spec.proto` (messages ExecutorInput and ExecutorOutput) in
protojson, and what is said here of paths follows `backend/src/v2/component/launcher_v2.go`. This module knows
nothing of pipelines: it reads and writes JSON, and finds places.

Keys of ExecutorInput that are not known are left alone, for a newer server may send more; what is known must
have its type. ExecutorOutput is the other way round: for one unknown key KFP's launcher fails the task.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tidemill.errors import RunnerError

LOGS = "executor-logs"
"""An output that KFP's driver adds to every task for the launcher itself: nobody else writes it."""
_SCHEMES = {"gs://": "/gcs/", "s3://": "/s3/", "minio://": "/minio/"}
"""Schemes that KFP's launcher moves files of -> the folder where they lie in a container."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSlot:
    """Where an output artifact is to be written."""

    name: str
    type: str
    """Its schema title: `tidemill.Model`, `system.HTML`; empty when the server does not say."""
    uri: str
    path: Path | None
    """The file or folder in this container whose content KFP keeps under `uri`; None when it keeps none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorInput:
    """What KFP hands to the container of a task."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Inputs by name, as JSON. Every number is a float here: KFP has no other kind."""
    artifacts: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    """Input artifacts by name: `name`, `uri`, `metadata`, `type`."""
    parameter_files: Mapping[str, Path] = field(default_factory=dict)
    """Output parameters: file that the value may be written to as text."""
    slots: Mapping[str, OutputSlot] = field(default_factory=dict)
    output_file: Path | None = None
    """Where ExecutorOutput goes; None when nobody will read it."""


def parse(text: str) -> ExecutorInput:
    """The ExecutorInput of a JSON text. RunnerError says what in it is not as KFP has it."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise RunnerError(
            f"--executor_input is not JSON: {error}",
            where=_shown(text),
            hint="it is the placeholder {{$}} in the task's args, which KFP replaces; was it quoted or cut?",
        ) from None
    top = _typed(data, dict, "the executor input")
    inputs = _part(top, "inputs")
    outputs = _part(top, "outputs")
    file = _typed(outputs.get("outputFile", ""), str, "outputs.outputFile")
    return ExecutorInput(
        parameters=_part(inputs, "parameterValues"),
        artifacts={
            name: tuple(_artifacts(listed, f"inputs.artifacts.{name}"))
            for name, listed in _part(inputs, "artifacts").items()
        },
        parameter_files={
            name: Path(_text(_typed(slot, dict, f"outputs.parameters.{name}"), "outputFile", name))
            for name, slot in _part(outputs, "parameters").items()
        },
        slots={
            name: _slot(name, listed) for name, listed in _part(outputs, "artifacts").items() if name != LOGS
        },
        output_file=Path(file) if file else None,
    )


def _slot(name: str, listed: Any) -> OutputSlot:
    where = f"outputs.artifacts.{name}"
    found = _artifacts(listed, where)
    if not found:
        raise RunnerError(f"{where} lists no artifact", hint="KFP gives each output one")
    artifact = found[0]
    uri = _text(artifact, "uri", where)
    custom = _typed(artifact.get("customPath", ""), str, f"{where}.customPath")
    kind = _typed(artifact.get("type", {}), dict, f"{where}.type")
    title = _typed(kind.get("schemaTitle", ""), str, f"{where}.type.schemaTitle")
    return OutputSlot(name=name, type=title, uri=uri, path=Path(custom) if custom else local_path(uri))


def local_path(uri: str) -> Path | None:
    """Where the files of a URI lie in the container; None for a scheme that KFP moves no files of.

    Source: LocalPathForURI in launcher_v2.go. A path without a scheme is itself: kfp.local gives such.
    """
    for scheme, folder in _SCHEMES.items():
        if uri.startswith(scheme):
            return Path(folder + uri.removeprefix(scheme))
    return None if "://" in uri else Path(uri)


# --- out ------------------------------------------------------------------------------------------


@dataclass(slots=True)
class ExecutorOutput:
    """What the task made. Filled while it works, written once."""

    parameters: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Output -> `name`, `uri` and `metadata`, of which KFP takes the last two."""

    def add(self, slot: OutputSlot, metadata: Mapping[str, Any]) -> None:
        """Record an artifact at its place. What KFP cannot keep is left out: null, and numbers beyond all."""
        kept = {name: value for name, value in sorted(metadata.items()) if _can_be_kept(value)}
        self.artifacts[slot.name] = {"name": slot.name, "uri": slot.uri, "metadata": kept}

    def to_json(self) -> dict[str, Any]:
        """The message, with nothing in it that is empty."""
        found: dict[str, Any] = {}
        if self.parameters:
            found["parameterValues"] = dict(sorted(self.parameters.items()))
        if self.artifacts:
            found["artifacts"] = {n: {"artifacts": [a]} for n, a in sorted(self.artifacts.items())}
        return found

    def write(self, given: ExecutorInput) -> None:
        """Write it where `given` says, whole or not at all. RunnerError for an output that KFP did not ask
        for, which would fail the task later, and for a file that cannot be written."""
        for kind, made, asked in (
            ("parameter", self.parameters, given.parameter_files), ("artifact", self.artifacts, given.slots),
        ):  # fmt: skip
            for name in made:
                if name not in asked:
                    raise RunnerError(f"KFP did not ask for the output {kind} {name!r}")
        if given.output_file is None:
            return
        path = given.output_file
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_name(path.name + ".part")
            beside.write_text(json.dumps(self.to_json(), allow_nan=False), encoding="utf-8")
            beside.replace(path)
        except OSError as error:
            raise RunnerError(f"the executor output cannot be written: {error}", where=str(path)) from None


def _can_be_kept(value: Any) -> bool:
    return isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value))


# --- reading --------------------------------------------------------------------------------------


def _part(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A map of the message; protojson leaves empty ones out."""
    return _typed(data.get(name, {}), dict, name)


def _artifacts(listed: Any, where: str) -> list[dict[str, Any]]:
    found = _typed(_typed(listed, dict, where).get("artifacts", []), list, f"{where}.artifacts")
    return [_typed(artifact, dict, f"{where}.artifacts[{i}]") for i, artifact in enumerate(found)]


def _text(data: Mapping[str, Any], name: str, where: str) -> str:
    found = _typed(data.get(name), str, f"{where}.{name}")
    if not found:
        raise RunnerError(f"the executor input has no {where}.{name}", hint="this is not what KFP sends")
    return found


def _typed(value: Any, wanted: type[T], where: str) -> T:
    if not isinstance(value, wanted):
        raise RunnerError(
            f"{where} should be {_NAMES[wanted]}, and is {_shown(json.dumps(value))}",
            hint="is this image older than the server, or the file not compiled by tidemill?",
        )
    return value


_NAMES: dict[type, str] = {dict: "an object", list: "a list", str: "a text"}
_MOST = 80


def _shown(text: str) -> str:
    return text if len(text) <= _MOST else f"{text[:_MOST]}..."
