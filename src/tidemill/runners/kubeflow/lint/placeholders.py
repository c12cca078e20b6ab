"""`{{$...}}` in commands, arguments and values: which of them the driver and the launcher replace, and where.

From `driver/util.go`, `driver/resolve.go` and `getPlaceholders` of `component/launcher_v2.go`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from tidemill.errors import did_you_mean
from tidemill.runners.kubeflow.lint.finding import Finding, Json, Path, broken, dig
from tidemill.runners.kubeflow.lint.model import Component, Spec
from tidemill.runners.kubeflow.lint.shape import texts
from tidemill.runners.kubeflow.rules import RULES

_ANY = re.compile(r"\{\{\$.*?\}\}", re.DOTALL)
_KNOWN = re.compile(
    r"\{\{\$(?:\.(inputs)\.(parameters)\['([^']+)'\]|\.(inputs|outputs)\.(artifacts)\['([^']+)'\]\.(?:uri|path)"
    r"|\.(outputs)\.(parameters)\['([^']+)'\]\.output_file)?\}\}"
)
_RUN = {f"{{{{$.{name}}}}}" for name in (
    "pipeline_job_name", "pipeline_job_resource_name", "pipeline_job_uuid", "pipeline_task_name",
    "pipeline_task_uuid", "pipeline_job_create_time_utc", "pipeline_job_schedule_time_utc",
)}  # fmt: skip
"""Replaced where they are the whole value of a constant."""
_WORKSPACE = "{{$.workspace_path}}"


class _User:
    """A component, and what its tasks give it."""

    def __init__(self, component: Component, spec: Spec) -> None:
        self.component = component
        self.tasks = [task for _, task in spec.used[component.name]]

    def known(self, side: str, kind: str) -> set[str]:
        """Names that can be replaced: declared ones, and inputs that every task gives besides."""
        if side == "outputs":
            return set(self.component.outputs(kind))
        given = [set(task.inputs(kind)) for task in self.tasks]
        return set(self.component.inputs(kind)).union(set.intersection(*given) if given else ())


def check(spec: Spec) -> Iterator[Finding]:
    """All rules about placeholders."""
    for label, executor in spec.executors.items():
        container = executor.get("container")
        users = [_User(c, spec) for c in spec.of_executor(label) if spec.used.get(c.name)]
        if container is not None:
            yield from _container(container, users, ("deploymentSpec", "executors", label, "container"))
    for dag in spec.dags:
        for task in dag.tasks.values():
            for name, given in task.inputs("parameters").items():
                constant = dig(given, "runtimeValue").get("constant")
                path = (*task.path, "inputs", "parameters", name, "runtimeValue", "constant")
                for where, text in texts(constant):
                    yield from _constant(text, task.inputs("parameters"), (*path, *where))


def _container(container: Json, users: list[_User], path: Path) -> Iterator[Finding]:
    for i, text in enumerate(container.get("command", [])):
        yield from _text(text, users, (*path, "command", i))
        if i == 0:
            lost = [
                p for p in _ANY.findall(text) if p != "{{$}}" and not p.startswith("{{$.inputs.parameters[")
            ]
            if lost:
                yield broken(
                    "command-placeholder",
                    (*path, "command", 0),
                    f"{lost[0]} is not replaced here",
                    "move it into args",
                )
    for i, text in enumerate(container.get("args", [])):
        yield from _argument(text, users, (*path, "args", i))
    places: list[tuple[Path, str]] = [(("image",), container.get("image", ""))]
    places += texts(dig(container, "resources"), ("resources",))
    for where, text in places:
        yield from _text(text, users, (*path, *where), only="inputs.parameters")
    for i, variable in enumerate(container.get("env", [])):
        if found := _ANY.search(variable.get("value", "")):
            yield broken(
                "placeholder-place",
                (*path, "env", i, "value"),
                f"{found.group()} is not replaced in an environment variable",
                "hand it over as an argument",
            )


def _argument(text: str, users: list[_User], path: Path) -> Iterator[Finding]:
    """An argument; those that IfPresent makes of it count each."""
    if not text.lstrip().startswith('{"IfPresent":'):
        yield from _text(text, users, path)
        return
    try:
        body = dig({"it": json.loads(text)}, "it", "IfPresent")
    except (ValueError, RecursionError):
        body = {}
    name = body.get("InputName")
    if not isinstance(name, str):
        yield Finding(
            RULES["unknown-placeholder"], path, "this IfPresent is no JSON with an InputName", "mend it"
        )
        return
    if any(name in user.component.inputs("artifacts") for user in users):
        yield broken(
            "placeholder-place",
            path,
            f"IfPresent looks among parameters only, and {name!r} is an artifact",
            "let the program look whether the file is there",
        )
    else:
        yield from _declared("inputs", "parameters", name, users, path)
    for _, inner in texts([body.get("Then"), body.get("Else")]):
        yield from _text(inner, users, path)


def _text(text: str, users: list[_User], path: Path, only: str = "") -> Iterator[Finding]:
    for placeholder in dict.fromkeys(_ANY.findall(text)):
        match = _KNOWN.fullmatch(placeholder)
        if match is None:
            yield Finding(
                RULES["unknown-placeholder"],
                path,
                f"{placeholder[:100]} is replaced by nobody",
                _instead(placeholder),
            )
            continue
        side, kind, name = (*filter(None, match.groups()), "", "", "")[:3]
        if only and f"{side}.{kind}" != only:
            yield broken(
                "placeholder-place",
                path,
                f"{placeholder} is not replaced here",
                "only {{$.inputs.parameters['NAME']}} is",
            )
        elif side:
            yield from _declared(side, kind, name, users, path)


def _declared(side: str, kind: str, name: str, users: list[_User], path: Path) -> Iterator[Finding]:
    for user in users:
        known = user.known(side, kind)
        if name not in known:
            yield broken(
                "placeholder-name",
                path,
                f"{user.component.name!r} has no {side}.{kind} {name!r}",
                did_you_mean(name, known),
            )
            return


def _instead(placeholder: str) -> str:
    if placeholder in _RUN or placeholder == _WORKSPACE:
        return "make it the constant value of an input, and name that input here"
    if ".value" in placeholder:
        return "the value of an artifact is not handed over: read the file at its .path, or use a parameter"
    if "output_file" in placeholder:
        return "take outputFile out of {{$}}, which is the whole ExecutorInput"
    return "write {{$}}, {{$.inputs.parameters['NAME']}}, {{$.inputs.artifacts['NAME'].path}} or the like"


def _constant(text: str, inputs: Json, path: Path) -> Iterator[Finding]:
    """A value that a task is given: the driver knows the run's placeholders there, the launcher inputs."""
    for placeholder in dict.fromkeys(_ANY.findall(text)):
        match = _KNOWN.fullmatch(placeholder)
        if placeholder in _RUN:
            if text != placeholder:
                yield broken(
                    "placeholder-place",
                    path,
                    f"{placeholder} is not the whole value",
                    "make it an input of its own, and put the text together in the container",
                )
        elif match is not None:
            name = match.group(3)
            if name and name not in inputs:
                yield Finding(
                    RULES["placeholder-name"],
                    path,
                    f"the task has no input {name!r}",
                    did_you_mean(name, inputs),
                )
        elif placeholder != _WORKSPACE:
            yield broken(
                "unknown-placeholder",
                path,
                f"{placeholder[:100]} is replaced by nobody",
                did_you_mean(placeholder, _RUN),
            )
