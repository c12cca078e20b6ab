"""dsl -> IR, the whole pipeline; compile_node.py does the single node.

Every mistake of a pipeline is found before anything is raised: one DefinitionError lists them all.
"""

from __future__ import annotations

import dataclasses
import heapq
import json
import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any

from tidemill.dsl import arrival as arrivals
from tidemill.dsl import options as node_options
from tidemill.dsl import schedule as schedules
from tidemill.dsl.code import digest_of, files_of, sources_of
from tidemill.dsl.compile_node import NodeCompiler, artifact_type
from tidemill.dsl.control_check import problems_of_control
from tidemill.dsl.node import Node
from tidemill.dsl.options import NodeOptions
from tidemill.dsl.pipeline import Pipeline, waits_for
from tidemill.dsl.placeholder import (
    RuntimeParameter,
)
from tidemill.errors import DefinitionError, Problem
from tidemill.ir import codec, model
from tidemill.types.json import canonical

_NODE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")
_PIPELINE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")


def compile_pipeline(pipeline: Pipeline, *, live: bool = False) -> model.PipelineIR:
    """The IR of a pipeline; DefinitionError with every problem found.

    `live`: the run takes place in this very process, so code that no file holds is welcome.
    """
    return _Compiler(pipeline, live=live).compile()


def compile_to_json(pipeline: Pipeline) -> dict[str, Any]:
    """The IR of a pipeline as plain JSON data, to hand to another process."""
    return codec.encode(compile_pipeline(pipeline))


def code_digests(refs: Iterable[str]) -> dict[str, str]:
    """Digest of the code behind each `module:qualname` as it is now, without those that are not found."""
    found = {}
    for ref in refs:
        with suppress(LookupError, SyntaxError, ValueError):
            found[ref] = digest_of(ref)
    return found


def code_files(ref: str) -> dict[str, Path]:
    """The source files of that code, by module; none when it is not found."""
    try:
        return files_of(ref)
    except (LookupError, SyntaxError, ValueError):
        return {}


def sources(modules: Iterable[str]) -> tuple[dict[str, Path], set[str]]:
    """The user's source files that `modules` need, by module, and the names they import of libraries."""
    return sources_of(modules)


class _Compiler:
    """Compiles one pipeline, collecting problems, artifact types and code digests on the way."""

    def __init__(self, pipeline: Pipeline, *, live: bool = False) -> None:
        self.pipeline = pipeline
        self.live = live
        self.problems: list[Problem] = []
        self.nodes = NodeCompiler(pipeline, self.problems, live=live)

    def compile(self) -> model.PipelineIR:
        nodes = self._collect()
        self._check_pipelines(nodes)
        self._check_nodes(nodes)
        self.problems.extend(problems_of_control(nodes, self.pipeline))
        ordered = self._order(nodes)
        compiled = tuple(self.nodes.compile(node) for node in ordered)
        if self.problems:
            unique = dict.fromkeys(self.problems)
            raise DefinitionError.of(f"pipeline {self.pipeline.name!r}", unique)
        return model.PipelineIR(
            name=self.pipeline.name,
            description=self.pipeline.description,
            nodes=compiled,
            parameters=tuple(_parameter(p) for p in self.pipeline.parameters),
            artifact_types=tuple(artifact_type(found) for _, found in sorted(self.nodes.types.items())),
            code=dict(sorted(self.nodes.code.items())),
            schedule=_schedule(self.pipeline.schedule),
            max_active_runs=self.pipeline.max_active_runs,
        )

    def _collect(self) -> list[Node[Any]]:
        nodes = self.pipeline.collect()
        self.problems.extend(self.pipeline.problems)
        if not nodes and not self.problems:
            hint = "call components inside the pipeline function, or pass nodes=[...]"
            self.problems.append(Problem("the pipeline has no nodes", self.pipeline.where, hint))
        return nodes

    # --- checks -----------------------------------------------------------------------------------

    def _check_pipelines(self, nodes: list[Node[Any]]) -> None:
        where = self.pipeline.where
        for pipeline in dict.fromkeys([self.pipeline, *(p for node in nodes for p in node.within)]):
            if not _PIPELINE_NAME.fullmatch(pipeline.name):
                hint = "use letters, digits, _ . and -, and start with a letter"
                self.problems.append(Problem(f"bad pipeline name {pipeline.name!r}", pipeline.where, hint))
            for what in node_options.problems_of(pipeline.options or NodeOptions()):
                self.problems.append(Problem(f"options: {what}", pipeline.where))
        most: object = self.pipeline.max_active_runs
        if isinstance(most, bool) or not isinstance(most, int) or most < 0:
            hint = "write how many runs may be under way at once; 0 means no limit"
            self.problems.append(Problem(f"max_active_runs is {most!r}", where, hint))
        if self.pipeline.schedule is not None:
            names = [p.name for p in self.pipeline.parameters]
            found = schedules.problems_of(self.pipeline.schedule, names)
            self.problems.extend(Problem(what, where) for what in found)

    def _check_nodes(self, nodes: list[Node[Any]]) -> None:
        first: dict[str, Node[Any]] = {}
        for node in nodes:
            self.problems.extend(node.component.signature.problems)
            for found in node.problems:
                self.problems.append(dataclasses.replace(found, what=f"{node.id}: {found.what}"))
            if not _NODE_NAME.fullmatch(node.name):
                hint = "use letters, digits, _ and -, and start with a letter"
                self.problems.append(Problem(f"bad node name {node.name!r}", node.where, hint))
            if node.id in first:
                what = f"duplicate node {node.id!r}; the other one is at {first[node.id].where}"
                hint = f'name one of them: {node.component.name}(...).with_id("{node.name}_2")'
                self.problems.append(Problem(what, node.where, hint))
            first.setdefault(node.id, node)
            for what in node_options.problems_of(node.node_options or NodeOptions()):
                self.problems.append(Problem(f"{node.id}: {what}", node.where))

    def _order(self, nodes: list[Node[Any]]) -> list[Node[Any]]:
        """Nodes so that each follows what it needs, otherwise in order of definition."""
        position = {id(node): i for i, node in enumerate(nodes)}
        needs = {i: {position[id(u)] for u in waits_for(node)} for i, node in enumerate(nodes)}
        ready = [i for i, upstream in needs.items() if not upstream]
        heapq.heapify(ready)
        users: dict[int, list[int]] = {}
        for i, upstream in needs.items():
            for u in upstream:
                users.setdefault(u, []).append(i)
        ordered = []
        while ready:
            done = heapq.heappop(ready)
            ordered.append(nodes[done])
            for i in users.get(done, ()):
                needs[i].discard(done)
                if not needs[i]:
                    heapq.heappush(ready, i)
        left = {i: upstream for i, upstream in needs.items() if upstream}
        if left:
            cycle = _cycle(left)
            names = " >> ".join(nodes[i].id for i in [*cycle, cycle[0]])
            hint = "remove one of these dependencies; a node cannot wait for itself"
            self.problems.append(Problem(f"cycle: {names}", nodes[cycle[0]].where, hint))
        return ordered if not left else nodes


def _cycle(needs: dict[int, set[int]]) -> list[int]:
    """One cycle among nodes that all wait for each other, in running order, smallest index first."""
    path: list[int] = []
    at = min(needs)
    while at not in path:
        path.append(at)
        at = min(needs[at] & needs.keys())
    cycle = path[path.index(at) :][::-1]
    start = cycle.index(min(cycle))
    return cycle[start:] + cycle[:start]


def _parameter(p: RuntimeParameter) -> model.ParameterIR:
    default = json.loads(canonical(p.default))  # tuples and the like as JSON has them
    return model.ParameterIR(
        name=p.name, type=p.type, required=p.required, default=default, schema=dict(p.schema)
    )


def _schedule(schedule: schedules.Schedule | None) -> model.ScheduleIR | None:
    if schedule is None:
        return None
    start = schedule.start or ""
    if isinstance(start, str):
        start = date.fromisoformat(start) if start else ""
    elif isinstance(start, datetime):
        start = start.date()
    return model.ScheduleIR(
        cron=schedule.cron,
        start=str(start),
        timezone=schedule.timezone,
        catch_up=schedule.catch_up,
        on=None if schedule.on is None else _arrival(schedule.on),
        deadline=float(schedule.deadline),
    )


def _arrival(found: arrivals.Arrival) -> model.Arrival:
    """The same in the IR. What is no arrival was found to be a problem before."""
    match found:
        case arrivals.OnArtifact(pipeline, node, output):
            return model.ArtifactArrival(pipeline, node, output)
        case arrivals.OnAsset(uri, name):
            return model.AssetArrival(uri, name)
        case arrivals.OnFiles(pattern, every, parameter):
            return model.FilesArrival(pattern, float(every), parameter)
        case arrivals.AllOf(members):
            return model.AllArrivals(tuple(_arrival(member) for member in members))
        case arrivals.AnyOf(members):
            return model.AnyArrival(tuple(_arrival(member) for member in members))
    raise AssertionError(f"{found!r} is no arrival")
