"""Pipelines of any size whose nodes do nothing, as IR: what bench/engine.py runs."""

from __future__ import annotations

from collections.abc import Iterable

from tidemill.ir.model import Literal, LoopIR, LoopItem, NodeIR, OptionsIR, PipelineIR


def nothing() -> None:
    """Do nothing."""


def take(x: int) -> None:
    """Do nothing with an item."""


def pipeline(name: str, nodes: Iterable[NodeIR]) -> PipelineIR:
    """A pipeline of nodes."""
    return PipelineIR(name=name, nodes=tuple(nodes), code={EXECUTOR: "1"})


def node(number: int, after: Iterable[int] = ()) -> NodeIR:
    """A node that does nothing, after others, never cached."""
    return NodeIR(
        id=f"n{number}", component="nothing", executor=EXECUTOR, after=tuple(f"n{i}" for i in after),
        options=OptionsIR(cache=False),
    )  # fmt: skip


def chain(size: int) -> PipelineIR:
    """One after another."""
    return pipeline("chain", (node(i, [i - 1] if i else []) for i in range(size)))


def fan(size: int) -> PipelineIR:
    """One, many after it, one after them all."""
    middle = range(1, size - 1)
    return pipeline("fan", [node(0), *(node(i, [0]) for i in middle), node(size - 1, middle)])


def layers(size: int) -> PipelineIR:
    """Ten side by side, each after three of the layer before it."""
    return pipeline(
        "layers",
        (
            node(i, [(i // 10 - 1) * 10 + (i + j) % 10 for j in range(3)] if i >= 10 else [])
            for i in range(size)
        ),
    )


def loop(items: int) -> PipelineIR:
    """A loop over so many items, of one node, and a node after it."""
    head = NodeIR(
        id="head", component="ForEach", executor="", kind="loop", loop=LoopIR(limit=items),
        parameters={"items": Literal([{"name": f"item{i}", "x": i} for i in range(items)])},
    )  # fmt: skip
    body = NodeIR(
        id="n0", component="take", executor=f"{__name__}:take", loops=("head",),
        parameters={"x": LoopItem("head", ("x",))}, options=OptionsIR(cache=False),
    )  # fmt: skip
    return pipeline("loop", [head, body, node(1, [0])])


EXECUTOR = f"{__name__}:nothing"
