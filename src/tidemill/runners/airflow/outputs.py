"""Which outputs of a pipeline are assets in Airflow. Said by names; it needs no Airflow."""

from __future__ import annotations

from collections.abc import Sequence

from tidemill.errors import DefinitionError, Problem, did_you_mean
from tidemill.ir.model import NodeIR, PipelineIR, nodes_in, nodes_of
from tidemill.runners.airflow.defaults import ALL, NONE, RESULTS


def chosen(ir: PipelineIR, wanted: str | Sequence[str] = RESULTS) -> dict[str, tuple[str, ...]]:
    """Node -> names of its outputs that are assets, in the order of definition.

    results: the outputs of nodes outside of loops that no other node takes anything from; all; none; or
    names, `NODE.OUTPUT` and `NODE` for all of a node. DefinitionError that lists the names there are not.
    """
    names = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    if names == (NONE,):
        return {}
    every = {node.id: tuple(output.name for output in node.outputs) for node in ir.nodes}
    if names == (ALL,):
        return {node: outputs for node, outputs in every.items() if outputs}
    if names == (RESULTS,):
        taken = {before for node in ir.nodes for before in _taken(node)}
        return {
            node.id: every[node.id]
            for node in ir.nodes
            if every[node.id] and not node.loops and node.id not in taken
        }
    known = {node: (node, outputs) for node, outputs in every.items() if outputs}
    known |= {f"{node}.{output}": (node, (output,)) for node, outputs in every.items() for output in outputs}
    problems = [
        Problem(
            f"assets: there is no output {name!r}",
            ir.name,
            did_you_mean(name, known) or f"write NODE.OUTPUT, or one of {RESULTS}, {ALL}, {NONE}",
        )
        for name in names
        if name not in known
    ]
    if problems:
        raise DefinitionError.of(f"pipeline {ir.name!r}", problems)
    found = {output for name in names for output in ((known[name][0], o) for o in known[name][1])}
    return {
        node: kept
        for node, outputs in every.items()
        if (kept := tuple(output for output in outputs if (node, output) in found))
    }


def _taken(node: NodeIR) -> set[str]:
    """The nodes whose outputs go into a node."""
    found = {before for given in node.inputs for source in given.sources for before in nodes_of(source)}
    for value in (*node.parameters.values(), *([] if node.when is None else [node.when])):
        found |= nodes_in(value)
    return found
