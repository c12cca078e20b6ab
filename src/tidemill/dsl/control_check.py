"""What loops, exit nodes and trigger rules ask of the wiring; found before a pipeline is compiled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tidemill.dsl.channel import Channel
from tidemill.dsl.node import Node
from tidemill.dsl.options import TRIGGERS
from tidemill.dsl.pipeline import Pipeline, loops_of, options_of, references
from tidemill.dsl.placeholder import ArtifactProperty, Placeholder
from tidemill.dsl.resolver import RollingWindow
from tidemill.errors import Problem


def problems_of_control(nodes: list[Node[Any]], pipeline: Pipeline) -> Iterator[Problem]:
    """Every mistake, at the node that makes it."""
    for node in nodes:
        yield from _loop_problems(node)
        yield from _exit_problems(node)
        yield from _trigger_problems(node, options_of(node, pipeline).trigger)


def _loop_problems(node: Node[Any]) -> Iterator[Problem]:
    own = loops_of(node)
    for found, collected in references(node, earlier_runs=False):
        theirs = loops_of(found)
        if found in node.order_after and not collected:
            continue  # `a >> b` waits for every iteration
        if found.loop is not None:
            if found.loop not in own:
                what = f"{node.id} uses an item of {found.id} outside the loop's block"
                yield Problem(what, node.where, "put the node into the block")
            continue
        outside = [loop for loop in theirs if loop not in own]
        if collected and not outside:
            what = f"{node.id}: collect() of {found.id}, which runs once as seen from here"
            yield Problem(what, node.where, "pass the output itself")
        elif outside and not collected:
            what = f"{node.id} uses an output of {found.id}, which runs once for each item of a loop"
            yield Problem(
                what, node.where, "write collect(...) to get all of them, or move the node into the loop"
            )


def _exit_problems(node: Node[Any]) -> Iterator[Problem]:
    if node.on_exit and loops_of(node):
        yield Problem(f"{node.id}: an exit node cannot stand in a loop", node.where)
    for found, _ in references(node, earlier_runs=False):
        if found.on_exit and not node.on_exit:
            what = f"{node.id} waits for {found.id}, which runs when all others have ended"
            yield Problem(what, node.where, f"make it an exit node too: on_exit({node.name})")


def _trigger_problems(node: Node[Any], trigger: str) -> Iterator[Problem]:
    """A node that runs although something before it did not succeed must be able to do without it."""
    if trigger == TRIGGERS[0] and not node.on_exit:
        return
    why = f"it runs on {trigger}" if trigger != TRIGGERS[0] else "it is an exit node"
    signature = node.component.signature
    for name, spec in signature.inputs.items():
        for item in node.bound.get(name, []):
            if isinstance(item, Channel | RollingWindow) and not spec.optional:
                what = f"{node.id}: {why}, but input {name!r} is required"
                hint = f"declare it as Input[{spec.type.TYPE_NAME}] | None = None"
                yield Problem(what, node.where, hint)
    for name in signature.parameters:
        value = node.bound.get(name)
        if isinstance(value, Channel | ArtifactProperty):
            assert isinstance(value, Placeholder)
            what = f"{node.id}: {why}, but parameter {name!r} needs {value.describe()}"
            yield Problem(what, node.where, "give it a default: one_of(output, default)")
