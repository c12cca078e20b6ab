"""Which nodes a partial run does, for pipelines of any shape."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.errors import RunnerError
from tidemill.ir.model import LoopIR, NodeIR, PipelineIR
from tidemill.runtime.plan import make_plan
from tidemill.runtime.select import (
    Selection,
    downstream,
    needed,
    required,
    restrict,
    select,
    select_again,
    upstream,
)


@st.composite
def pipelines(draw: st.DrawFn) -> PipelineIR:
    """Up to 9 nodes in order, with loops one or two deep, exit nodes and trigger rules."""
    count = draw(st.integers(1, 9))
    nodes: list[NodeIR] = []
    loops: list[tuple[str, ...]] = [()]
    for i in range(count):
        name = f"n{i}"
        around = draw(st.sampled_from(loops))
        visible = [n.id for n in nodes if not n.on_exit]
        after = draw(st.lists(st.sampled_from(visible), unique=True, max_size=3)) if visible else []
        kind = draw(st.sampled_from(["component"] * 4 + ["loop"] * (len(around) < 2)))
        on_exit = kind == "component" and not around and draw(st.integers(0, 7)) == 0
        trigger = draw(st.sampled_from(["all_success"] * 3 + ["all_done", "one_success"]))
        nodes.append(
            NodeIR(
                id=name, component="C", executor="m:f", kind=kind, after=tuple(sorted(after)), loops=around,
                loop=LoopIR() if kind == "loop" else None, on_exit=on_exit, trigger=trigger,
            )
        )  # fmt: skip
        if kind == "loop":
            loops.append((*around, name))
    return PipelineIR(name="p", nodes=tuple(nodes))


def names(pipeline: PipelineIR) -> list[str]:
    return [node.id for node in pipeline.nodes]


def paths_down(pipeline: PipelineIR, start: str) -> set[str]:
    """Slowly: all that can be reached by any chain of dependencies."""
    found = {start}
    while True:
        more = {n.id for n in pipeline.nodes if n.id not in found and found & {*n.upstream(), *n.loops}}
        if not more:
            return found
        found |= more


@given(pipeline=pipelines(), data=st.data())
def test_from_and_to_are_what_lies_between(pipeline: PipelineIR, data: st.DataObject) -> None:
    start = data.draw(st.lists(st.sampled_from(names(pipeline)), unique=True, max_size=2))
    end = data.draw(st.lists(st.sampled_from(names(pipeline)), unique=True, max_size=2))
    expected = set(names(pipeline))
    if start:
        expected &= set().union(*(paths_down(pipeline, s) for s in start))
    if end:
        expected &= {n for n in names(pipeline) if paths_down(pipeline, n) & set(end)}
    if not expected:
        with pytest.raises(RunnerError, match="lies between"):
            select(pipeline, start=start, end=end)
        return
    selection = select(pipeline, start=start, end=end)
    assert set(selection.run) == expected
    check(pipeline, selection)


@given(pipeline=pipelines(), data=st.data())
def test_only_is_only(pipeline: PipelineIR, data: st.DataObject) -> None:
    only = data.draw(st.lists(st.sampled_from(names(pipeline)), unique=True, min_size=1))
    selection = select(pipeline, only=only)
    assert set(selection.run) == set(only)
    check(pipeline, selection)


@given(pipeline=pipelines(), data=st.data())
def test_a_retry_leaves_nothing_out(pipeline: PipelineIR, data: st.DataObject) -> None:
    """What failed and what follows runs; the rest is taken; together they are the whole pipeline."""
    succeeded = set(data.draw(st.lists(st.sampled_from(names(pipeline)), unique=True)))
    start = data.draw(st.lists(st.sampled_from(names(pipeline)), unique=True, max_size=1))
    missing = {n.id for n in pipeline.nodes if n.id not in succeeded and not n.on_exit}
    if not missing and not start:
        with pytest.raises(RunnerError, match="nothing to retry"):
            select_again(pipeline, succeeded)
        return
    selection = select_again(pipeline, succeeded, start=start)
    assert {*selection.run, *selection.base} == set(names(pipeline))
    assert not set(selection.run) & set(selection.base)
    again = set().union(*(paths_down(pipeline, n) for n in {*missing, *start}))
    exits = {n.id for n in pipeline.nodes if n.on_exit}
    assert set(selection.run) == again | exits
    assert set(selection.base) <= succeeded
    part = select_again(pipeline, succeeded, start=start, within=selection)
    assert part == selection


def check(pipeline: PipelineIR, selection: Selection) -> None:
    """What holds of every selection: it is enough, no more than enough, and its plan can run."""
    kept = {*selection.run, *selection.base}
    assert not set(selection.run) & set(selection.base)
    assert set(selection.base) == needed(pipeline, set(selection.run))
    assert required(pipeline, selection) <= set(selection.base)
    for node in pipeline.nodes:
        if node.id in selection.run and not node.on_exit:
            assert {*node.upstream(), *node.loops} <= kept
        if node.id in kept and not node.on_exit:
            assert set(node.loops) <= kept
    assert Selection.from_json(selection.to_json()) == selection
    plan = restrict(make_plan(pipeline, {}), selection)
    seen: set[str] = set()
    for step in plan.steps:
        assert set(step.upstream) <= seen
        seen.add(step.node_id)
    assert seen == kept
    assert [step.node_id for step in plan.steps] == [n for n in names(pipeline) if n in kept]


@given(pipeline=pipelines(), data=st.data())
def test_upstream_and_downstream_mirror_each_other(pipeline: PipelineIR, data: st.DataObject) -> None:
    a = data.draw(st.sampled_from(names(pipeline)))
    b = data.draw(st.sampled_from(names(pipeline)))
    assert (b in downstream(pipeline, [a])) == (a in upstream(pipeline, [b]))


def test_unknown_names_are_guessed_at() -> None:
    pipeline = PipelineIR(name="p", nodes=(NodeIR(id="train", component="C", executor="m:f"),))
    for words in ({"start": ["trian"]}, {"end": ["trian"]}, {"only": ["trian"]}):
        with pytest.raises(RunnerError) as caught:
            select(pipeline, **words)  # type: ignore[arg-type]  # one of three keywords
        assert caught.value.hint == "did you mean 'train'?"
    with pytest.raises(RunnerError, match="cannot be combined"):
        select(pipeline, only=["train"], start=["train"])
    part = Selection(run=("other",))
    with pytest.raises(RunnerError, match="did not have"):
        select_again(pipeline, set(), start=["train"], within=part)
