"""What only Airflow can be told of a node: its pool, queue, executor, pod. Given beside the pipeline.

A pipeline says nothing of Airflow, so it is the same everywhere; what an installation has to say is kept
here, under patterns of node ids. Nothing here needs Airflow: what is wrong is said when a DAG is compiled.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, get_args

from tidemill.errors import DefinitionError, Problem, did_you_mean
from tidemill.ir.model import NodeIR, PipelineIR
from tidemill.runners.airflow import pod_options
from tidemill.runners.airflow.pod_options import PodOptions, is_json

Wait = Literal["defer", "hold"]
_SECTIONS = ("nodes", "max_map_length")


@dataclass(frozen=True, slots=True, kw_only=True)
class AirflowOptions:
    """How Airflow runs the task of a node. What is left out is Airflow's own default."""

    pool: str = ""
    """Airflow's pool, which must be there; it has nothing to do with tidemill's."""
    pool_slots: int = 1
    """How many of its slots the task takes while it runs."""
    priority_weight: int = 0
    """In place of what the node's own priority says; 0: the node's."""
    queue: str = ""
    """Queue of Celery's or Edge's workers."""
    executor: str = ""
    """Name of the executor, where an installation has several."""
    pod_override: Mapping[str, Any] | None = None
    """A Kubernetes pod as JSON, as the KubernetesExecutor merges it into its own. Given, be it empty, the
    node's resources are requested in it. The container of the task is called `base`."""
    executor_config: Mapping[str, Any] = field(default_factory=dict)
    """What another executor is told, as it documents it."""
    gpu_resource: str = "nvidia.com/gpu"
    """What Kubernetes calls the GPUs that the node asks for."""
    python: str = ""
    """Interpreter, as the workers see its path, that executes the node in place of Airflow's own: one that
    has the libraries of the node's code. It needs neither Airflow nor tidemill."""
    pod: PodOptions | Mapping[str, Any] | None = None
    """The pod that the node runs in, which Airflow's task starts and watches. None: the node runs where the
    task does. Of several patterns, fields of later ones are added to those of earlier ones."""
    wait: Wait = "defer"
    """How the task waits, for the time of a retry, for a tidemill pool, for an approval: `defer` leaves that
    to the triggerer and frees the worker's slot; `hold` keeps it, for where no triggerer runs."""


NAMES = tuple(f.name for f in dataclasses.fields(AirflowOptions))
Given = Mapping[str, "AirflowOptions | Mapping[str, Any]"]
"""Pattern of node ids -> options. Later patterns add to earlier ones, option by option."""


def read_options(file: str | Path) -> tuple[dict[str, dict[str, Any]], int]:
    """The options of a TOML file: a table `[nodes."PATTERN"]` for each pattern, in order. With them the
    installation's `max_map_length`, 0 when the file does not say it.

    DefinitionError when it cannot be read, is no TOML, or has anything else; what the tables hold is checked
    by `options_of`, against the pipeline.
    """
    where = str(file)
    try:
        found = tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise DefinitionError(f"the options cannot be read: {error.strerror}", where=where) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DefinitionError(f"the options are no TOML: {error}", where=where) from None
    for name in found:
        if name not in _SECTIONS:
            hint = did_you_mean(name, _SECTIONS)
            raise DefinitionError(f"{name!r} is no part of Airflow options", where=where, hint=hint)
    nodes = found.get("nodes", {})
    for pattern, table in nodes.items() if isinstance(nodes, dict) else [("nodes", nodes)]:
        if not isinstance(table, dict):
            raise DefinitionError(
                f"{pattern!r} is {table!r}, not a table", where=where, hint='write [nodes."PATTERN"]'
            )
    most = found.get("max_map_length", 0)
    if not isinstance(most, int) or isinstance(most, bool) or most < 0:
        raise DefinitionError(
            f"max_map_length is {most!r}", where=where, hint="write what the installation has, a number"
        )
    return dict(nodes), most


def options_of(ir: PipelineIR, given: Given) -> dict[str, AirflowOptions]:
    """Node id -> its options, for nodes that some pattern names.

    Patterns are those of shells: `*`, `?`, `[...]`. DefinitionError lists every pattern that names no node,
    every option that is unknown, and every value that cannot be.
    """
    plain = {pattern: plain_of(options) for pattern, options in given.items()}
    problems = [p for pattern, options in plain.items() for p in _problems(ir, pattern, options)]
    if problems:
        raise DefinitionError.of(f"the Airflow options of pipeline {ir.name!r}", problems)
    found: dict[str, dict[str, Any]] = {}
    for pattern, options in plain.items():
        for node in ir.nodes:
            if fnmatchcase(node.id, pattern):
                before = found.get(node.id, {})
                found[node.id] = before | options
                if "pod" in before and "pod" in options:
                    found[node.id]["pod"] = pod_options.merged(before["pod"], options["pod"])
    if problems := [p for node_id, options in found.items() for p in _together(ir, node_id, options)]:
        raise DefinitionError.of(f"the Airflow options of pipeline {ir.name!r}", problems)
    return {node_id: AirflowOptions(**_typed(options)) for node_id, options in found.items()}


def in_pod(node: NodeIR, options: AirflowOptions) -> bool:
    """Whether the node runs in a pod of its own: only components execute anything."""
    return options.pod is not None and node.kind == "component"


def check_places(
    ir: PipelineIR, of_nodes: Mapping[str, AirflowOptions], *, metadata: str = "", root: str = ""
) -> None:
    """DefinitionError that lists the nodes whose pods would not find the record or the pipeline root; both
    as all tasks have them, empty where only the workers know."""
    found = [
        problem
        for node_id, options in of_nodes.items()
        if in_pod(ir.node(node_id), options) and isinstance(options.pod, PodOptions)
        for problem in pod_options.places(options.pod, node_id, metadata, root)
    ]
    if found:
        raise DefinitionError.of(f"the pods of pipeline {ir.name!r}", found)


def plain_of(options: AirflowOptions | Mapping[str, Any]) -> dict[str, Any]:
    """Options as plain values; of AirflowOptions those that differ from the defaults, in their order."""
    if isinstance(options, AirflowOptions):
        default = AirflowOptions()
        given = {n: value for n in NAMES if (value := getattr(options, n)) != getattr(default, n)}
    else:
        given = dict(options)
    if isinstance(given.get("pod"), PodOptions):
        given["pod"] = pod_options.plain_of(given["pod"])
    return given


def _typed(options: Mapping[str, Any]) -> dict[str, Any]:
    return {n: PodOptions(**value) if n == "pod" else value for n, value in options.items()}


def _together(ir: PipelineIR, node_id: str, options: Mapping[str, Any]) -> Iterator[Problem]:
    """What cannot be of a node once all its patterns are put together."""
    if "pod" not in options:
        return
    if options.get("pod_override") is not None:
        yield Problem(
            "pod and pod_override are both given", node_id,
            "pod runs the node in a pod of its own, pod_override changes the one that the KubernetesExecutor "
            "runs the task in: leave one out",
        )  # fmt: skip
    yield from pod_options.of_node(ir.node(node_id), options["pod"])


def _problems(ir: PipelineIR, pattern: str, options: Mapping[str, Any]) -> Iterator[Problem]:
    ids = [node.id for node in ir.nodes]
    if not any(fnmatchcase(node_id, pattern) for node_id in ids):
        yield Problem(f"{pattern!r} names no node", ir.name, did_you_mean(pattern, ids))
    for name, value in options.items():
        if name not in NAMES:
            yield Problem(f"{name!r} is no option", pattern, did_you_mean(name, NAMES))
        elif name == "pod":
            yield from pod_options.problems(value, pattern)
        elif why := _wrong(name, value):
            yield Problem(f"{name} is {value!r}", pattern, why)
    if options.get("executor_config") and options.get("pod_override") is not None:
        yield Problem(
            "executor_config and pod_override are both given", pattern, "pod_override is the config of one"
        )
    for node in ir.nodes if options.get("python") else ():
        if fnmatchcase(node.id, pattern) and node.options.environment is not None:
            yield Problem(
                f"node {node.id!r} has an environment of its own, and python names another one", pattern,
                "leave one of them out",
            )  # fmt: skip


def _wrong(name: str, value: Any) -> str:
    """What is wrong with a value, as what to write instead; empty when nothing is."""
    match name:
        case "pool_slots" | "priority_weight":
            whole = isinstance(value, int) and not isinstance(value, bool)
            return "" if whole and value >= 1 else "write a whole number, 1 or more"
        case "wait":
            return "" if value in get_args(Wait) else f"write one of {', '.join(get_args(Wait))}"
        case "pod_override" | "executor_config":
            return _wrong_table(name, value)
        case "python":
            absolute = isinstance(value, str) and value.startswith("/") and "\0" not in value
            return "" if absolute else "write the interpreter's absolute path on the workers"
    return "" if isinstance(value, str) and value.strip() == value != "" else "write a name"


def _wrong_table(name: str, value: Any) -> str:
    if not isinstance(value, Mapping):
        return "write a table (a dict)"
    if not is_json(value):
        return "it must be JSON: texts, numbers, true or false, lists and tables of these"
    return pod_options.wrong_pod(value) if name == "pod_override" else ""
