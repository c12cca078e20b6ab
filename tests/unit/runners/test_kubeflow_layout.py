"""DAGs as barriers, and failures that must be soft: KFP, played by Argo's rules, starts what we start.

The model of KFP: a task starts when all it depends on in its DAG succeeded, a DAG succeeds when all in it
did, and nothing stops because of a failure beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from tidemill.errors import DefinitionError
from tidemill.ir.model import LoopIR, NodeIR, PipelineIR
from tidemill.runners.kubeflow import names
from tidemill.runners.kubeflow.layout import Dag, Layout, Task, lay_out

ITEMS = 2
Path = tuple[int, ...]
Place = tuple[str, Path]


@st.composite
def pipelines(draw: st.DrawFn) -> PipelineIR:
    """Nodes in sub-pipelines and loops that hold each other, with any order between them."""
    places: list[tuple[str, tuple[str, ...]]] = [("", ())]
    nodes: list[NodeIR] = []
    for number in range(draw(st.integers(2, 8))):
        prefix, around = draw(st.sampled_from(places))
        kind = draw(st.sampled_from(["node", "node", "loop", "group"]))
        if kind == "group":
            prefix = f"{prefix}g{number}."
            places.append((prefix, around))
        trigger = draw(st.sampled_from(["all_success"] * 3 + ["all_done", "one_success"]))
        before = (
            draw(st.lists(st.sampled_from([n.id for n in nodes]), max_size=3, unique=True)) if nodes else []
        )
        loop = LoopIR(limit=ITEMS) if kind == "loop" else None
        node = NodeIR(
            id=f"{prefix}n{number}", component="c", executor="", kind="loop" if loop else "component",
            after=tuple(before), trigger=trigger, loops=around, loop=loop,
        )  # fmt: skip
        nodes.append(node)
        if loop:
            places.append((prefix, (*around, node.id)))
    return PipelineIR(name="drawn", nodes=tuple(nodes))


@dataclass
class Record:
    """What is known of nodes that started: whether they succeeded."""

    ir: PipelineIR
    failing: frozenset[Place]
    done: dict[Place, bool] = field(default_factory=dict)

    def launch(self, node: NodeIR, path: Path) -> bool:
        """As the launcher does: nothing for a blocked node. Whether it succeeded."""
        if self.blocked(node, path):
            return False
        self.done[node.id, path] = (node.id, path) not in self.failing
        return self.done[node.id, path]

    def blocked(self, node: NodeIR, path: Path) -> bool:
        states = {u: [*self.states(node, u, path)] for u in node.upstream()}
        lost = any(s is not True for found in states.values() for s in found)
        if node.trigger == "all_done" or not lost:
            return False
        return not (node.trigger == "one_success" and any(s for found in states.values() for s in found))

    def states(self, node: NodeIR, before: str, path: Path) -> Iterator[bool | None]:
        other = self.ir.node(before)
        shared = 0
        while shared < min(len(node.loops), len(other.loops)) and node.loops[shared] == other.loops[shared]:
            shared += 1
        yield from self.below(other, path[:shared])

    def below(self, other: NodeIR, path: Path) -> Iterator[bool | None]:
        if len(path) == len(other.loops):
            yield self.done.get((other.id, path))
        elif self.done.get(head := (other.loops[len(path)], path)):
            for item in range(ITEMS):
                yield from self.below(other, (*path, item))
        else:
            yield self.done.get(head)


def ours(ir: PipelineIR, failing: frozenset[Place]) -> Record:
    """Every node when all before it have ended."""
    record = Record(ir, failing)
    for node in ir.nodes:
        paths: list[Path] = [()]
        for loop in node.loops:
            paths = [(*p, i) for p in paths if record.done.get((loop, p)) for i in range(ITEMS)]
        for path in paths:
            record.launch(node, path)
    return record


def in_kfp(dag: Dag, path: Path, record: Record) -> bool:
    """Run a DAG; whether it is green."""
    green: dict[str, bool] = {}
    while len(green) < len(dag.tasks):
        ready = [k for k, item in dag.tasks.items() if k not in green and all(b in green for b in item.after)]
        assert ready, "tasks that wait for each other"
        for key in ready:
            item = dag.tasks[key]
            green[key] = all(green[b] for b in item.after) and started(item, path, record)
    return all(green.values())


def started(item: Task | Dag, path: Path, record: Record) -> bool:
    if isinstance(item, Dag):
        if item.loop is None:
            return in_kfp(item, path, record)
        paths = [(*path, i) for i in range(ITEMS)] if record.done.get((item.loop.id, path)) else []
        return not [inner for inner in paths if not in_kfp(item, inner, record)]
    if item.node is None:
        places = {place for place, succeeded in record.done.items() if not succeeded}
        return not places and record.done.keys() >= everything(record)
    return record.launch(item.node, path) or item.soft


def everything(record: Record) -> set[Place]:
    """Places outside of loops, which must all have succeeded in a run that is COMPLETE."""
    return {(node.id, ()) for node in record.ir.nodes if not node.loops}


@settings(max_examples=150, deadline=None)
@given(pipelines(), st.data())
def test_kfp_starts_what_we_start_whatever_fails(ir: PipelineIR, data: st.DataObject) -> None:
    try:
        layout = lay_out(ir)
    except DefinitionError:  # loops that wait for each other, as KFP has them
        reject()
    places = sorted(ours(ir, frozenset()).done)
    failing = frozenset(data.draw(st.lists(st.sampled_from(places), max_size=3)))
    expected, found = ours(ir, failing), Record(ir, failing)
    green = in_kfp(layout.body, (), found)
    assert found.done == expected.done
    complete = all(found.done.values()) and found.done.keys() >= everything(found)
    assert green == complete, "red exactly when the run is not COMPLETE"


def drawn(*nodes: NodeIR) -> Layout:
    return lay_out(PipelineIR(name="drawn", nodes=nodes))


def node(name: str, *after: str, **fields: object) -> NodeIR:
    return NodeIR(id=name, component="c", executor="", after=after, **fields)  # type: ignore[arg-type]  # any field


def test_failures_are_hard_where_nothing_else_is_to_start() -> None:
    layout = drawn(node("a"), node("b", "a"), node("c", "a"), node("d", "b", "c"))
    assert not any(task.soft for task in layout.tasks.values())
    assert [*layout.body.tasks] == ["a", "b", "c", "d"], "no task of ours is needed to make the run red"
    assert [name for name, task in layout.tasks.items() if task.first] == ["a"]


def test_what_comes_before_a_trigger_rule_fails_softly() -> None:
    layout = drawn(node("a"), node("b", "a"), node("c", "b", trigger="all_done"), node("d", "c"))
    assert [name for name, task in layout.tasks.items() if task.soft] == ["a", "b"]
    assert layout.body.tasks["body-end"].after == ["d"]


def test_a_sub_pipeline_is_a_dag_unless_it_would_wait_for_itself() -> None:
    whole = drawn(node("g.a"), node("g.b", "g.a"), node("c", "g.b"))
    assert [*whole.body.tasks] == ["g", "c"]
    apart = drawn(node("g.a"), node("c", "g.a"), node("g.b", "c"))
    assert [*apart.body.tasks] == ["g-a", "c", "g-b"]


def test_a_loop_whose_results_come_back_is_parted() -> None:
    loop = node("days", kind="loop", loop=LoopIR(limit=3))
    layout = drawn(
        loop,
        node("a", loops=("days",)),
        node("all", "a"),
        node("b", "all", loops=("days",)),
        node("end", "b"),
    )
    assert [*layout.body.tasks] == ["days", "days-items", "all", "days-items-2", "end"]


def test_names_that_kfp_makes_are_not_taken_twice() -> None:
    layout = drawn(
        node("a"), node("a-driver"), node("A"), node("in"), node("_"), node("x" * 128), node("x" * 127)
    )
    keys = [*layout.body.tasks]
    argo = [form for key in keys for form in (key, f"{key}-driver")]
    assert len(set(argo)) == len(argo)
    assert all(names.plain(key) == key and len(key) <= names.MOST for key in keys)
    assert keys[:4] == ["a", "a-driver-2", "a-2", "n-in"]


@pytest.mark.parametrize("name", ["", "9", "-", "Ünïcode", "a.b_c", "true", "a" * 300])
def test_plain_names_are_what_argo_takes(name: str) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", found := names.plain(name))
    assert len(found) <= names.MOST
