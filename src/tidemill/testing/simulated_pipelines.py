"""Random pipelines that compute numbers, and the executors that do it.

What a pipeline puts out depends on its seed alone: whatever order things happen in, and however often they
are tried, the lineage in the end must be the same.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from tidemill.ir import model as ir

TYPES = (
    ir.ArtifactTypeIR(name="Integer", python="tidemill.types.standard:Integer"),
    ir.ArtifactTypeIR(name="JsonValue", python="tidemill.types.standard:JsonValue"),
)
WORK = f"{__name__}:work"
LIST = f"{__name__}:numbers"


def work(**given: Any) -> int:
    """The sum of everything that was given: inputs, parameters, and lists of either."""
    return sum(_number(value) for value in given.values())


def numbers(**given: Any) -> list[int]:
    """A list as long as `count`; what else was given is in its numbers."""
    count = int(given.pop("count"))
    return [work(**given) * 10 + i for i in range(count)]


def _number(value: Any) -> int:
    value = getattr(value, "value", value)
    if isinstance(value, (list, tuple)):
        return sum(_number(item) for item in value)
    return value if isinstance(value, int) else len(str(value or ""))


class PipelineMaker:
    """Makes one pipeline of a seed."""

    def __init__(self, seed: int, most: int = 9) -> None:
        self.luck = random.Random(f"pipeline {seed}")
        self.most = most
        self.nodes: list[ir.NodeIR] = []
        self.lists: list[str] = []
        """Nodes that put out lists."""

    def make(self) -> ir.PipelineIR:
        """The pipeline."""
        for _ in range(self.luck.randint(2, 4)):
            self._add(())
        for i in range(self.luck.choice([0, 0, 1])):
            self.nodes.append(self._exit(f"exit{i}"))
        return ir.PipelineIR(
            name="simulated", nodes=tuple(self.nodes), artifact_types=TYPES, code={WORK: "1", LIST: "1"}
        )

    def _add(self, loops: tuple[str, ...]) -> None:
        name = f"n{len(self.nodes)}"
        if len(loops) < 2 and len(self.nodes) < self.most - 2 and self.luck.random() < 0.35:
            self.nodes.append(self._head(name, loops))
            for _ in range(self.luck.randint(1, 2)):
                self._add((*loops, name))
            return
        kind = self.luck.choice(["work", "work", "work", "list"])
        self.nodes.append(self._node(name, loops, as_list=kind == "list"))

    def _head(self, name: str, loops: tuple[str, ...]) -> ir.NodeIR:
        """A loop over literals, over a list of another node, or over nothing."""
        lists = [n for n in self.lists if self._seen(n, loops)]
        items: ir.Value = ir.Literal([f"{name}{c}" for c in "abc"[: self.luck.randint(0, 3)]])
        if lists and self.luck.random() < 0.5:
            items = ir.OutputValue(self.luck.choice(lists), "result")
        return ir.NodeIR(
            id=name, component="ForEach", executor="", kind="loop", parameters={"items": items}, loops=loops,
            loop=ir.LoopIR(parallelism=self.luck.choice([0, 1, 2]), limit=20),
            when=self._when(loops),
        )  # fmt: skip

    def _seen(self, node_id: str, loops: tuple[str, ...]) -> bool:
        """Whether a node has one output as seen from within these loops."""
        other = self._by_id(node_id).loops
        return loops[: len(other)] == other

    def _by_id(self, node_id: str) -> ir.NodeIR:
        return next(node for node in self.nodes if node.id == node_id)

    def _outputs(self, kind: str = "Integer") -> list[str]:
        return [node.id for node in self.nodes if node.outputs and node.outputs[0].type == kind]

    def _node(self, name: str, loops: tuple[str, ...], *, as_list: bool) -> ir.NodeIR:
        trigger = self.luck.choice(["all_success"] * 4 + ["all_done", "one_success"])
        optional = trigger != "all_success"
        known = self._outputs()
        chosen = self.luck.sample(known, min(len(known), self.luck.choice([0, 1, 1, 2])))
        inputs = tuple(self._input(f"in{i}", n, loops, optional) for i, n in enumerate(chosen))
        parameters: dict[str, ir.Value] = {"own": ir.Literal(f"{name}{'.' * self.luck.randint(0, 5)}")}
        parameters |= {f"item{i}": ir.LoopItem(loop) for i, loop in enumerate(loops)}
        if as_list:
            parameters["count"] = ir.Literal(self.luck.randint(0, 3))
            self.lists.append(name)
        others = [n.id for n in self.nodes if n.id not in chosen and n.loops == loops and n.kind != "loop"]
        after = tuple(self.luck.sample(others, 1)) if others and self.luck.random() < 0.3 else ()
        made = ir.OutputIR(name="result", type="JsonValue" if as_list else "Integer", returned=True)
        return ir.NodeIR(
            id=name, component="simulated", executor=LIST if as_list else WORK, inputs=inputs,
            outputs=(made,), parameters=parameters, after=after, trigger=trigger, loops=loops,
            when=None if optional else self._when(loops),
            options=ir.OptionsIR(
                retries=4, backoff=0.5, resources=ir.ResourcesIR(cpu=float(self.luck.choice([0, 1, 2])))
            ),
        )  # fmt: skip

    def _input(self, name: str, node_id: str, loops: tuple[str, ...], optional: bool) -> ir.InputIR:
        if self._seen(node_id, loops):
            source: ir.Source = ir.OutputRef(node_id, "result")
            others = [n for n in self._outputs() if n != node_id and self._seen(n, loops)]
            if others and self.luck.random() < 0.2:
                source = ir.FirstOf((source, ir.OutputRef(self.luck.choice(others), "result")))
            may_miss = optional or self.luck.random() < 0.2
            return ir.InputIR(name=name, type="Integer", sources=(source,), optional=may_miss)
        return ir.InputIR(
            name=name,
            type="Integer",
            sources=(ir.Collected(node_id, "result"),),
            many=True,
            optional=optional,
        )

    def _when(self, loops: tuple[str, ...]) -> ir.Value | None:
        known = [n for n in self._outputs() if self._seen(n, loops)]
        if not known or self.luck.random() < 0.7:
            return None
        value = ir.OutputValue(self.luck.choice(known), "result")
        return ir.Compare(self.luck.choice(["<", ">="]), value, ir.Literal(self.luck.randint(0, 30)))

    def _exit(self, name: str) -> ir.NodeIR:
        made = self._node(name, (), as_list=False)
        inputs = tuple(replace(inp, optional=True) for inp in made.inputs)
        return replace(
            made, inputs=inputs, after=(), when=None, trigger="all_success", on_exit=True,
            parameters={**made.parameters, "state": ir.RunField("state")},
        )  # fmt: skip
