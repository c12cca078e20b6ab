"""What compiling keeps apart: pipelines that share nodes, equal definitions, local names."""

from __future__ import annotations

from typing import Any

import pytest

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.component import Input, Output, Outputs, component
from tidemill.dsl.options import NodeOptions, problems_of
from tidemill.dsl.pipeline import Pipeline, pipeline
from tidemill.dsl.placeholder import run
from tidemill.dsl.resolver import latest, latest_blessed
from tidemill.dsl.schedule import Schedule
from tidemill.errors import DefinitionError
from tidemill.ir import codec
from tidemill.ir.model import Literal, PipelineIR
from tidemill.types.size import bytes_of
from tidemill.types.standard import Examples, Model


@component
def read(examples: Output[Examples], *, settings: dict[str, Any] | None = None) -> None:
    """Rows."""


@component
def train(examples: Input[Examples], champion: Input[Model] | None = None, *, model: Output[Model]) -> float:
    """A model and its loss."""
    return 0.0


@component
def judge(model: Input[Model] | None = None, *, loss: float = 0.0) -> None:
    """What it is worth."""


def ids(ir: PipelineIR) -> list[str]:
    return [node.id for node in ir.nodes]


def test_nodes_can_be_parts_of_several_pipelines_one_after_another() -> None:
    rows = read()
    model = train(rows.outputs.examples)
    alone = Pipeline("alone", nodes=[model])
    inside = Pipeline("inside", nodes=[Pipeline("sub", nodes=[rows, model], options=NodeOptions(retries=3))])
    deep = Pipeline("deep", nodes=[Pipeline("a", nodes=[Pipeline("b", nodes=[model])])])
    first = compile_pipeline(alone)
    assert ids(first) == ["read", "train"]
    assert ids(compile_pipeline(inside)) == ["sub.read", "sub.train"]
    assert ids(compile_pipeline(deep)) == ["read", "a.b.train"]
    assert [node.options.retries for node in compile_pipeline(deep).nodes] == [0, 0]
    assert compile_pipeline(alone) == first


def test_a_pipeline_function_may_be_called_outside_of_any_pipeline() -> None:
    """Its nodes keep its name when their outputs are used in `nodes=[...]`."""

    @pipeline
    def prepare(count: int = 1) -> Any:
        return train(read().outputs.examples).outputs.model

    whole = Pipeline("whole", nodes=[judge(prepare())])
    assert ids(compile_pipeline(whole)) == ["prepare.read", "prepare.train", "judge"]
    outer = Pipeline("outer", nodes=[whole])
    assert ids(compile_pipeline(outer)) == ["prepare.read", "prepare.train", "whole.judge"]
    assert compile_pipeline(whole) == compile_pipeline(whole)


def test_a_pipeline_compiles_the_same_alone_and_after_being_a_part() -> None:
    @pipeline(options=NodeOptions(retries=2))
    def part(loss: float = 0.5) -> None:
        judge(loss=loss)

    @pipeline
    def whole() -> None:
        part(loss=1.0)

    alone = compile_pipeline(part)
    assert ids(compile_pipeline(whole)) == ["part.judge"]
    assert compile_pipeline(whole).nodes[0].options.retries == 2
    assert compile_pipeline(part) == alone
    assert ids(alone) == ["judge"]


def test_a_sub_pipeline_is_used_twice_under_two_names() -> None:
    @pipeline(options=NodeOptions(retries=2))
    def part(loss: float) -> Any:
        return judge(loss=loss)

    @pipeline
    def whole() -> None:
        part(loss=1.0) >> part.with_id("second")(loss=2.0)

    ir = compile_pipeline(whole)
    assert ids(ir) == ["part.judge", "second.judge"]
    assert ir.node("second.judge").after == ("part.judge",)
    assert ir.node("second.judge").options.retries == 2
    inner = Pipeline("inner", nodes=[judge()])
    both = Pipeline("both", nodes=[inner, Pipeline("other", nodes=[judge(loss=1.0)]).with_id("renamed")])
    assert ids(compile_pipeline(both)) == ["inner.judge", "renamed.judge"]


def test_an_earlier_run_of_a_node_is_no_reason_to_wait_but_its_value_is() -> None:
    """The judge is defined first; it may run first unless it needs something of this run."""
    model = train(read().outputs.examples)
    waiting = judge(latest_blessed(model.outputs.model), loss=model.outputs.result)
    ir = compile_pipeline(Pipeline("p", nodes=[waiting, model]))
    assert ids(ir) == ["read", "train", "judge"]
    assert ir.node("judge").upstream() == ("train",)
    free = judge(latest_blessed(model.outputs.model))
    ir = compile_pipeline(Pipeline("p", nodes=[free, model]))
    assert ids(ir) == ["judge", "read", "train"]
    assert ir.node("judge").upstream() == ()


def test_a_cycle_through_a_value_is_found_beside_a_resolver() -> None:
    rows = read()
    model = train(rows.outputs.examples)
    waiting = judge(latest_blessed(model.outputs.model), loss=model.outputs.result)
    waiting >> rows
    with pytest.raises(DefinitionError, match="cycle: judge >> read >> train >> judge"):
        compile_pipeline(Pipeline("p", nodes=[waiting]))


def test_equal_settings_give_equal_irs() -> None:
    """Tuples and lists, and dicts in any order, are the same JSON."""
    one = read(settings={"a": (1, (2,)), "b": {"c": [None]}})
    other = read(settings={"b": {"c": (None,)}, "a": [1, [2]]})
    irs = [compile_pipeline(Pipeline("p", nodes=[node])) for node in (one, other)]
    assert irs[0] == irs[1] == codec.loads(codec.dumps(irs[0]))
    assert irs[0].nodes[0].parameters["settings"] == Literal({"a": [1, [2]], "b": {"c": [None]}})


def test_what_was_passed_may_change_later() -> None:
    settings: dict[str, Any] = {"a": [1], "b": {"c": 1}}
    ir = compile_pipeline(Pipeline("p", nodes=[read(settings=settings)]))
    before = codec.version(ir)
    settings["a"].append(2)
    settings["b"]["c"] = 2
    assert codec.version(ir) == before


def test_components_may_use_names_of_the_function_they_are_made_in() -> None:
    class Local(Examples):
        """Known here only."""

    class LocalOutputs(Outputs):
        rows: Local

    @component(executor="tidemill.components.example_gen.executor:run")
    def make() -> LocalOutputs: ...  # type: ignore[empty-body]  # the executor stands elsewhere

    @pipeline
    def p() -> None:
        train(make().outputs.rows)

    ir = compile_pipeline(p)
    assert [output.type for output in ir.node("make").outputs] == ["Local"]
    assert isinstance(make().outputs, LocalOutputs)


def test_one_place_per_mistake_however_deep_it_lies() -> None:
    @pipeline
    def inner() -> None:
        judge(loss=run.date)  # type: ignore[arg-type]  # the mistake under test

    @pipeline
    def outer() -> None:
        inner()

    with pytest.raises(DefinitionError) as caught:
        compile_pipeline(Pipeline("p", nodes=[outer]))
    [problem] = caught.value.problems
    assert problem.what.startswith("outer.inner.judge: parameter 'loss': expected float, but run.date is str")


def test_a_runtime_parameter_belongs_to_its_pipeline_even_if_another_has_one_of_its_name() -> None:
    made: list[Any] = []

    @pipeline
    def other(rate: float = 0.1) -> None:
        made.append(judge(loss=rate))

    @pipeline
    def case(rate: float = 0.9) -> None:
        made[0] >> read()

    compile_pipeline(other)
    with pytest.raises(DefinitionError, match="judge: runtime parameter 'rate' belongs to another pipeline"):
        compile_pipeline(case)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512", 512),
        ("1K", 1000),
        ("1Ki", 1024),
        ("512Mi", 512 * 2**20),
        ("4GiB", 2**32),
        ("2GB", 2 * 10**9),
        (" 1.5 Gi ", 3 * 2**29),
        ("1T", 10**12),
        (7, 7),
    ],
)
def test_amounts_of_memory(text: int | str, size: int) -> None:
    assert bytes_of(text) == size


def test_good_options_have_no_problems() -> None:
    assert problems_of(NodeOptions()) == []


@pytest.mark.parametrize(
    "cron", ["@daily", "0 0 * * *", "*/15 0-6,22 1 jan-MAR,12 sun", "5/10 4 * * mon-fri/2", "59 23 31 12 7"]
)
def test_good_schedules(cron: str) -> None:
    ir = compile_pipeline(Pipeline("p", nodes=[read()], schedule=Schedule(cron, start="20240229")))
    assert ir.schedule is not None
    assert (ir.schedule.cron, ir.schedule.start) == (cron, "2024-02-29")


def test_a_node_can_take_what_it_made_in_an_earlier_run() -> None:
    @pipeline
    def case() -> None:
        new = train(read().outputs.examples)
        new.with_inputs(champion=latest(new.outputs.model))

    inputs = {item.name: item for item in compile_pipeline(case).node("train").inputs}
    assert "Earlier(" in str(inputs["champion"])
    assert "node='train'" in str(inputs["champion"])


def test_a_node_cannot_take_what_it_makes_now() -> None:
    @pipeline
    def case() -> None:
        new = train(read().outputs.examples)
        new.with_inputs(champion=new.outputs.model)

    with pytest.raises(DefinitionError) as raised:
        compile_pipeline(case)
    assert "a node cannot wait for itself" in str(raised.value.problems)
