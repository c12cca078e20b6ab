"""Which part of a pipeline a run does: the nodes it runs, and those whose results come from another run.

Pure functions on the IR. A node that is selected gets everything it waits for: what is not selected itself
is taken from the base run. Loops belong together: who is inside one needs the loops around it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tidemill.errors import RunnerError, did_you_mean
from tidemill.ir.model import NodeIR, PipelineIR
from tidemill.runtime.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Nodes to run and nodes to take from a base run, each in the order of the pipeline."""

    run: tuple[str, ...]
    base: tuple[str, ...] = ()

    def to_json(self) -> dict[str, list[str]]:
        """As the settings of a run keep it."""
        return {"run": [*self.run], "base": [*self.base]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Selection:
        """Inverse of `to_json`."""
        return cls(run=tuple(data["run"]), base=tuple(data["base"]))


def select(
    pipeline: PipelineIR, *, start: Collection[str] = (), end: Collection[str] = (),
    only: Collection[str] = (),
) -> Selection:  # fmt: skip
    """The nodes from `start` on, as far as they lead to `end`; or `only` these.

    Nothing given means everything. RunnerError for a node that is unknown, or when nothing is left.
    """
    check_known(pipeline, [*start, *end, *only])
    if only and (start or end):
        raise RunnerError(
            "--only cannot be combined with --from and --to", hint="name every node with --only"
        )
    chosen = {node.id for node in pipeline.nodes}
    if start:
        chosen &= downstream(pipeline, start)
    if end:
        chosen &= upstream(pipeline, end)
    if only:
        chosen = set(only)
    if not chosen:
        raise RunnerError(
            f"no node lies between {', '.join(start)} and {', '.join(end)}",
            hint="the nodes of --from must come before those of --to; see: tidemill explain",
        )
    return _ordered(pipeline, chosen, needed(pipeline, chosen))


def select_again(
    pipeline: PipelineIR, succeeded: Collection[str], *, start: Collection[str] = (),
    within: Selection | None = None,
) -> Selection:  # fmt: skip
    """What a retry runs: all that did not succeed, all from `start` on, and all that comes after either.

    Everything else is taken from the run that is retried, which did `within` if it was no whole run. Exit
    nodes run again: they tell how the run ended. RunnerError when nothing is left to run.
    """
    check_known(pipeline, start)
    known = {*within.run, *within.base} if within else {node.id for node in pipeline.nodes}
    if strange := [name for name in start if name not in known]:
        raise RunnerError(
            f"the run did not have the node {strange[0]!r}", hint=did_you_mean(strange[0], known)
        )
    missing = {node.id for node in pipeline.nodes if node.id not in succeeded and not node.on_exit} & known
    chosen = downstream(pipeline, {*missing, *start}) & known
    if not chosen:
        raise RunnerError(
            "every node of the run succeeded: there is nothing to retry",
            hint="name the node to start from: --from NODE",
        )
    chosen |= {node.id for node in pipeline.nodes if node.on_exit and node.id in known}
    return _ordered(pipeline, chosen, known)


def needed(pipeline: PipelineIR, chosen: Collection[str]) -> set[str]:
    """What the chosen nodes wait for, and the loops around them. Exit nodes wait for nothing."""
    found: set[str] = set()
    for node in pipeline.nodes:
        if node.id in chosen and not node.on_exit:
            found |= {*node.upstream(), *node.loops}
    for node_id in list(found):  # the iterations of a node are known by the loops around it
        found.update(pipeline.node(node_id).loops)
    return found - set(chosen)


def required(pipeline: PipelineIR, selection: Selection) -> set[str]:
    """Those of the base's nodes that must have succeeded there: some selected node fails without them."""
    strict = {node.id for node in _nodes(pipeline, selection.run) if node.trigger == "all_success"}
    return needed(pipeline, strict) & set(selection.base)


def downstream(pipeline: PipelineIR, start: Collection[str]) -> set[str]:
    """The nodes themselves and all that wait for them, however far away."""
    found = set(start)
    for node in pipeline.nodes:  # in order, so that one pass is enough
        if found & {*node.upstream(), *node.loops}:
            found.add(node.id)
    return found


def upstream(pipeline: PipelineIR, end: Collection[str]) -> set[str]:
    """The nodes themselves and all that they wait for, however far away."""
    found = set(end)
    for node in reversed(pipeline.nodes):
        if node.id in found:
            found |= {*node.upstream(), *node.loops}
    return found


def restrict(plan: Plan, selection: Selection) -> Plan:
    """The plan with these nodes alone."""
    kept = {*selection.run, *selection.base}
    base = set(selection.base)
    steps = []
    for step in plan.steps:
        if step.node_id in kept:
            waits = () if step.node_id in base and not step.loops else step.upstream
            steps.append(replace(step, upstream=tuple(u for u in waits if u in kept)))
    return replace(plan, steps=tuple(steps))


def check_known(pipeline: PipelineIR, names: Iterable[str]) -> None:
    """RunnerError for a name that no node has."""
    known = [node.id for node in pipeline.nodes]
    for name in names:
        if name not in known:
            raise RunnerError(
                f"pipeline {pipeline.name!r} has no node {name!r}", hint=did_you_mean(name, known)
            )


def _nodes(pipeline: PipelineIR, names: Collection[str]) -> list[NodeIR]:
    return [node for node in pipeline.nodes if node.id in names]


def _ordered(pipeline: PipelineIR, run: Collection[str], kept: Collection[str]) -> Selection:
    return Selection(
        run=tuple(node.id for node in pipeline.nodes if node.id in run),
        base=tuple(node.id for node in pipeline.nodes if node.id in kept and node.id not in run),
    )
