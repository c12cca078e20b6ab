"""Which tasks KFP has, in which DAGs, what waits for what, and which of them must fail softly.

A sub-pipeline becomes a DAG of its own unless something outside would then wait for itself; so does the body
of a loop. A DAG is a barrier that the pipeline does not have: KFP starts it when all is there that anything
in it needs, and goes on when all of it has ended. `soft` makes up for what that changes after a failure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from tidemill.errors import DefinitionError
from tidemill.ir.model import NodeIR, PipelineIR
from tidemill.runners.kubeflow import names


@dataclass(slots=True, eq=False)
class Task:
    """A node, or one of the two tasks that only KFP has (`node` is None then)."""

    key: str
    """Its name in the DAG."""
    node: NodeIR | None
    dag: Dag
    after: list[str] = field(default_factory=list)
    """Names of the tasks of the same DAG that it waits for."""
    soft: bool = False
    first: bool = False
    """Nothing is before it: it may be the one that makes the run in the record."""
    own: str = ""
    """Which of ours it is: RUN_END or BODY_END."""

    @property
    def name(self) -> str:
        """The node's id, or what ours is called."""
        return self.own if self.node is None else self.node.id


@dataclass(slots=True, eq=False)
class Dag:
    """A DAG: the body, the exit nodes, a sub-pipeline or what is in a loop."""

    key: str
    """Its name as a task of the DAG around it."""
    path: str
    """What it stands for, as people read it."""
    parent: Dag | None = None
    loop: NodeIR | None = None
    """The loop whose iterations it is run for."""
    prefix: str = ""
    """What ids of nodes in it begin with, that need not be in the names of its tasks."""
    tasks: dict[str, Task | Dag] = field(default_factory=dict)
    after: list[str] = field(default_factory=list)
    taken: names.Names = field(default_factory=names.Names)

    def above(self) -> Iterator[Dag]:
        """It and the DAGs around it, innermost first."""
        dag: Dag | None = self
        while dag is not None:
            yield dag
            dag = dag.parent

    def nodes(self) -> Iterator[Task]:
        """All tasks of nodes in it, however deep."""
        for item in self.tasks.values():
            if isinstance(item, Dag):
                yield from item.nodes()
            else:
                yield item


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything that KFP runs."""

    body: Dag
    exit: Dag
    tasks: dict[str, Task]
    """By node."""


def lay_out(ir: PipelineIR) -> Layout:
    """The tasks of a pipeline. Equal pipelines have equal names everywhere."""
    body = Dag(names.BODY, ir.name)
    exits = Dag(names.EXIT, "exit nodes")
    made = _Builder(ir, body, exits)
    for node in ir.nodes:
        made.add(node)
    made.connect()
    _soften(ir, made.tasks)
    _end(body, names.BODY_END, only_if=not body.tasks or any(t.soft for t in body.nodes()))
    _end(exits, names.RUN_END, only_if=True)
    return Layout(body, exits, made.tasks)


def _end(dag: Dag, name: str, *, only_if: bool) -> None:
    if not only_if:
        return
    followed = {name for item in dag.tasks.values() for name in item.after}
    leaves = [key for key in dag.tasks if key not in followed]
    key = dag.taken.take(name, "-driver")
    dag.tasks[key] = Task(key, None, dag, leaves, first=name == names.RUN_END, own=name)


Level = tuple[str, tuple[str, ...], int]
"""A DAG around a node: its sub-pipeline, empty for that of a loop; the loops around it; the loop's part."""
Unit = tuple[Level | str, ...]
"""A DAG or a node, with the DAGs around it."""


class _Builder:
    def __init__(self, ir: PipelineIR, body: Dag, exits: Dag) -> None:
        self.ir, self.body, self.exits = ir, body, exits
        self.levels = _Levels(ir)
        self.tasks: dict[str, Task] = {}
        self._dags: dict[tuple[bool, Level], Dag] = {}

    def add(self, node: NodeIR) -> None:
        """Put the node's task where it belongs."""
        dag = self._dag_of(node)
        key = dag.taken.take(node.id.removeprefix(dag.prefix), "-driver")
        task = Task(key, node, dag)
        dag.tasks[key] = self.tasks[node.id] = task

    def _dag_of(self, node: NodeIR) -> Dag:
        dag = self.exits if node.on_exit else self.body
        for level in self.levels.of(node):
            known = self._dags.get((node.on_exit, level))
            if known is None:
                known = self._dags[node.on_exit, level] = self._inner(dag, level)
            dag = known
        return dag

    def _inner(self, parent: Dag, level: Level) -> Dag:
        group, loops, _ = level
        loop = None if group else self.ir.node(loops[-1])
        path = loop.id if loop else group
        name = path.removeprefix(parent.prefix) + ("-items" if loop else "")
        key = parent.taken.take(name, "-driver", most=names.MOST_DAG)
        prefix = parent.prefix if loop else f"{group}."
        inner = parent.tasks[key] = Dag(key, path, parent, loop, prefix)
        return inner

    def connect(self) -> None:
        """What waits for what: between two nodes, in the innermost DAG that is around both."""
        waits: dict[Task | Dag, set[str]] = {}
        for task in self.tasks.values():
            assert task.node is not None
            before = [self.tasks[b] for b in task.node.upstream() if b in self.tasks]
            before = [b for b in before if b.node and b.node.on_exit == task.node.on_exit]
            task.first = not before and not task.node.on_exit
            for other in before:
                early, late = _meeting(other, task)
                waits.setdefault(late, set()).add(early.key)
        for item, found in waits.items():
            dag = item.parent if isinstance(item, Dag) else item.dag
            assert dag is not None
            item.after = [key for key in dag.tasks if key in found]


def _meeting(early: Task, late: Task) -> tuple[Task | Dag, Task | Dag]:
    """The two in the innermost DAG that holds both: the tasks themselves, or DAGs around them."""
    around = list(early.dag.above())
    item: Task | Dag = late
    for dag in late.dag.above():
        if dag in around:
            depth = around.index(dag)
            return (around[depth - 1] if depth else early), item
        item = dag
    raise AssertionError(f"{early.key} and {late.key} are in no DAG together")


class _Levels:
    """The DAGs around each node."""

    def __init__(self, ir: PipelineIR) -> None:
        self.ir = ir
        self.parts = _parts(ir)
        self.flat: set[str] = set()
        while found := self._entangled() - self.flat:
            self.flat |= found

    def of(self, node: NodeIR) -> list[Level]:
        """Outermost first, below the body. A loop in a sub-pipeline is in its DAG, and the reverse."""
        found: list[Level] = []
        loops: tuple[str, ...] = ()
        mine, given = _groups(node.id), set(self.flat)
        for loop in (*node.loops, ""):
            # What the loop's own node shares with this one is around the loop; the rest is in it.
            around = _groups(loop) if loop else mine
            for group in around:
                if group in mine and group not in given:
                    given.add(group)
                    found.append((group, loops, 0))
            if loop:
                loops = (*loops, loop)
                found.append(("", loops, self.parts.get((loop, node.id), 0)))
        return found

    def _entangled(self) -> set[str]:
        """Sub-pipelines that cannot be a DAG: something outside waits for a node in it, and is waited for.

        They are taken apart, and then the others are looked at again.
        """
        chains: dict[str, Unit] = {node.id: (*self.of(node), node.id) for node in self.ir.nodes}
        edges: dict[Unit, set[Unit]] = {}
        for node in self.ir.nodes:
            for before in node.upstream():
                if before not in chains:
                    continue
                mine, other = chains[node.id], chains[before]
                same = next(i for i, (a, b) in enumerate(zip(mine, other, strict=False)) if a != b)
                edges.setdefault(other[: same + 1], set()).add(mine[: same + 1])
        return {
            unit[-1][0] for unit in _circular(edges) if isinstance(unit[-1], tuple) and unit[-1][0]
        }  # fmt: skip


def _groups(node_id: str) -> list[str]:
    """The sub-pipelines that a node is in, outermost first: `a`, `a.b` for `a.b.c`."""
    parts = node_id.split(".")[:-1]
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def _parts(ir: PipelineIR) -> dict[tuple[str, str], int]:
    """(loop, node in it) -> the part of the loop's body that it is in, where there is more than one.

    A node outside that needs all iterations of another, and that this one needs, parts them.
    """
    found: dict[tuple[str, str], int] = {}
    for loop in (node.id for node in ir.nodes if node.loop is not None):
        reached: dict[str, int] = {}
        inside = {node.id for node in ir.nodes if loop in node.loops}
        for node in ir.nodes:
            before = [(reached[b], b in inside) for b in node.upstream() if b in reached]
            if node.id in inside:
                reached[node.id] = max((part + (not within) for part, within in before), default=0)
                found[loop, node.id] = reached[node.id]
            elif before:
                reached[node.id] = max(part for part, _ in before)
    return found


def _circular(edges: Mapping[Unit, Collection[Unit]]) -> set[Unit]:
    """What is left of a graph when everything without a way in, or out, has been taken away."""
    entering: dict[Unit, list[Unit]] = {}
    for early, lates in edges.items():
        for late in lates:
            entering.setdefault(late, []).append(early)
    left = {*edges, *entering}
    for forth, back in ((edges, entering), (entering, edges)):
        count = {unit: sum(other in left for other in back.get(unit, ())) for unit in left}
        ready = [unit for unit, ways in count.items() if not ways]
        while ready:
            unit = ready.pop()
            left.discard(unit)
            for other in forth.get(unit, ()):
                if other in left:
                    count[other] -= 1
                    if not count[other]:
                        ready.append(other)
    return left


def _soften(ir: PipelineIR, tasks: dict[str, Task]) -> None:
    """Mark the tasks that must not fail in KFP, since something would not start there that is to start.

    Failing hard keeps KFP from starting whatever waits for the task, or for a DAG around it. That is right
    only where the failure blocks all of these by itself. It keeps nothing else from starting: Argo goes on
    beside a failure (`assessDAGPhase` of argo-workflows waits for all that can start). Exit nodes are always
    soft, since the end of the run is recorded after them.
    """
    number = {node_id: i for i, node_id in enumerate(tasks)}
    blocks = _blocked_by(ir, number)
    held: dict[Task | Dag, int] = {}
    for task in tasks.values():
        assert task.node is not None
        bit = 1 << number[task.node.id]
        items: list[Task | Dag] = [task, *task.dag.above()]
        for item in items:
            held[item] = held.get(item, 0) | bit
    behind: dict[Task | Dag, int] = {}
    for item in held:
        around = item.parent if isinstance(item, Dag) else item.dag
        behind.update(_behind(around, held) if around is not None and item not in behind else {})
    for node_id, task in tasks.items():
        assert task.node is not None
        kept = behind[task]
        for dag in task.dag.above():
            kept |= behind.get(dag, 0)
        task.soft = task.node.on_exit or bool(kept & ~blocks[number[node_id]])


def _behind(dag: Dag, held: dict[Task | Dag, int]) -> dict[Task | Dag, int]:
    """Item of a DAG -> bits of the nodes that KFP does not start there unless it succeeds."""
    found: dict[Task | Dag, int] = {}
    later: dict[str, list[Task | Dag]] = {}
    for item in dag.tasks.values():
        for key in item.after:
            later.setdefault(key, []).append(item)

    for item in _last_first(dag):
        bits = 0
        for other in later.get(item.key, ()):
            bits |= held.get(other, 0) | found[other]
        found[item] = bits
    return found


def _last_first(dag: Dag) -> list[Task | Dag]:
    """The items of a DAG so that what waits for one comes before it."""
    order: list[Task | Dag] = []
    waiting = {key: len(item.after) for key, item in dag.tasks.items()}
    later: dict[str, list[str]] = {}
    for key, item in dag.tasks.items():
        for before in item.after:
            later.setdefault(before, []).append(key)
    ready = [key for key, count in waiting.items() if not count]
    while ready:
        key = ready.pop()
        order.append(dag.tasks[key])
        for other in later.get(key, ()):
            waiting[other] -= 1
            if not waiting[other]:
                ready.append(other)
    if len(order) < len(dag.tasks):
        left = ", ".join(key for key, count in waiting.items() if count)
        raise DefinitionError(
            f"[task-cycle] loops wait for each other, as KFP has them: {left}",
            where=dag.path,
            hint="KFP runs all that is in a loop as one; put what reads the loop's results, and is read by"
            " another node in it, after the loop",
        )
    return order[::-1]


def _blocked_by(ir: PipelineIR, number: dict[str, int]) -> list[int]:
    """By the number of a node: bits of the nodes that can never start once it failed."""
    found = [0] * len(ir.nodes)
    for node in reversed(ir.nodes):
        if node.trigger != "all_success" or node.on_exit:
            continue
        mine = 1 << number[node.id] | found[number[node.id]]
        for before in node.upstream():
            if before in number:
                found[number[before]] |= mine
    return found
