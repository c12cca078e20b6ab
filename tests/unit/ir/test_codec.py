"""The IR survives JSON whole, equal IRs have equal versions, and nothing unknown is read silently."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.errors import DefinitionError
from tidemill.ir import codec, model
from tidemill.ir.model import PipelineIR

# --- every IR there can be ------------------------------------------------------------------------

names = st.text(max_size=6)
numbers = st.floats(min_value=0, max_value=1e12)
keys = st.sampled_from(["$literal", "$run", "$object", "$", "a", "ключ"]) | names
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=5,
)
values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.builds(model.Literal, plain),
        st.builds(model.ParameterRef, names),
        st.builds(model.RunField, names),
        st.builds(model.Environment, names, st.none() | names),
        st.builds(model.OutputValue, names, names),
        st.builds(model.OutputProperty, names, names, names),
        st.builds(model.Function, names),
        st.builds(model.LoopItem, names, st.lists(names | st.integers(0, 9), max_size=2).map(tuple)),
        st.builds(model.CollectedValues, names, names),
    ),
    lambda inner: st.one_of(
        st.builds(model.FirstValue, st.lists(inner, max_size=3).map(tuple)),
        st.builds(model.Compare, names, inner, inner),
        st.builds(model.AllOf, st.lists(inner, max_size=3).map(tuple)),
        st.builds(model.AnyOf, st.lists(inner, max_size=3).map(tuple)),
        st.builds(model.Not, inner),
        st.builds(model.Files, inner, st.none() | inner, st.none() | inner, st.integers(1, 99)),
        st.builds(model.Concat, st.lists(inner, max_size=3).map(tuple)),
        st.builds(model.Array, st.lists(inner, max_size=3).map(tuple)),
        st.builds(model.Object, st.dictionaries(keys, inner, max_size=3)),
    ),
    max_leaves=4,
)
sources: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.builds(model.OutputRef, names, names),
        st.builds(model.LatestBlessed, names, names),
        st.builds(model.Window, names, names, st.integers(1, 99), names),
        st.builds(model.Collected, names, names),
        st.builds(model.LoopArtifact, names),
        st.builds(model.Stored, st.integers(1, 99), names),
        st.builds(
            model.Earlier,
            node=names, output=names, pipeline=names, limit=st.integers(0, 9),
            properties=st.dictionaries(keys, values, max_size=1),
            spans=st.lists(values, max_size=2).map(tuple), complete=st.booleans(), choose=names,
        ),
    ),
    lambda inner: st.builds(model.FirstOf, st.lists(inner, max_size=2).map(tuple)),
    max_leaves=2,
)  # fmt: skip
inputs = st.builds(
    model.InputIR,
    name=names, type=names, sources=st.lists(sources, max_size=2).map(tuple),
    many=st.booleans(), optional=st.booleans(),
)  # fmt: skip
sizes = st.integers(min_value=0)
resources = st.builds(
    model.ResourcesIR, cpu=numbers, memory=sizes, gpu=st.integers(0, 8), memory_max=sizes
)  # fmt: skip
rules = st.builds(model.RuleIR, exception=names, match=names, treat=names, backoff=numbers)
budgets = st.integers(0, 9)
retries = st.builds(
    model.RetryIR,
    user=budgets, transient=budgets, timeout=budgets, memory=budgets, infrastructure=budgets,
    backoff=numbers, factor=numbers, cap=numbers,
    rules=st.lists(rules, max_size=2).map(tuple), no_retry_on=st.lists(names, max_size=2).map(tuple),
)  # fmt: skip
environments = st.builds(
    model.EnvironmentIR,
    requirements=st.lists(names, max_size=2).map(tuple), python=names, image=names,
    env=st.lists(names, max_size=2).map(tuple), mounts=st.lists(names, max_size=2).map(tuple),
)  # fmt: skip
options = st.builds(
    model.OptionsIR,
    retries=budgets, backoff=numbers, retry=st.none() | retries, timeout=numbers, queue_timeout=numbers,
    start_timeout=numbers, total_timeout=numbers, heartbeat=numbers, log_limit=sizes,
    resources=resources, cache=st.booleans(),
    cache_max_age=numbers, owner=names, labels=st.dictionaries(keys, names, max_size=2),
    environment=st.none() | environments, isolation=names,
)  # fmt: skip
arrivals = st.recursive(
    st.builds(model.ArtifactArrival, names, names, names)
    | st.builds(model.AssetArrival, names, names)
    | st.builds(model.FilesArrival, names, numbers, names),
    lambda inner: st.lists(inner, max_size=2).map(tuple).flatmap(
        lambda members: st.sampled_from((model.AllArrivals(members), model.AnyArrival(members)))
    ),
    max_leaves=3,
)  # fmt: skip
nodes = st.builds(
    model.NodeIR,
    id=names, component=names, executor=names,
    inputs=st.lists(inputs, max_size=2).map(tuple),
    outputs=st.lists(
        st.builds(model.OutputIR, name=names, type=names, returned=st.booleans()), max_size=2
    ).map(tuple),
    parameters=st.dictionaries(keys, values, max_size=3),
    after=st.lists(names, max_size=2).map(tuple),
    kind=names, when=st.none() | values, trigger=names, loops=st.lists(names, max_size=2).map(tuple),
    loop=st.none() | st.builds(model.LoopIR, parallelism=st.integers(0, 9), limit=st.integers(1, 9)),
    on_exit=st.booleans(),
    options=options,
)  # fmt: skip
pipelines = st.builds(
    PipelineIR,
    name=names,
    nodes=st.lists(nodes, max_size=2).map(tuple),
    parameters=st.lists(
        st.builds(
            model.ParameterIR, name=names, type=names, required=st.booleans(), default=plain,
            schema=st.dictionaries(keys, plain, max_size=1),
        ),
        max_size=2,
    ).map(tuple),
    artifact_types=st.lists(
        st.builds(
            model.ArtifactTypeIR, name=names, python=names, base_type=names,
            properties=st.dictionaries(keys, names, max_size=2),
        ),
        max_size=2,
    ).map(tuple),
    code=st.dictionaries(keys, names, max_size=2),
    schedule=st.none() | st.builds(
        model.ScheduleIR, cron=names, start=names, timezone=names, catch_up=st.booleans(),
        on=st.none() | arrivals, deadline=numbers,
    ),
    description=names,
)  # fmt: skip


@settings(max_examples=150)
@given(pipelines)
def test_an_ir_survives_data_and_text(ir: PipelineIR) -> None:
    assert codec.decode(codec.encode(ir)) == ir
    again = codec.loads(codec.dumps(ir))
    assert again == ir
    assert codec.version(again) == codec.version(ir)
    assert codec.loads(codec.dumps(ir).encode()) == ir


@settings(max_examples=100)
@given(values)
def test_a_value_keeps_its_kind_and_types(value: Any) -> None:
    """`==` takes 1, 1.0 and True for the same; `repr` does not."""
    node = model.NodeIR(id="n", component="c", executor="e", parameters={"p": value})
    again = codec.loads(codec.dumps(PipelineIR(name="p", nodes=(node,))))
    assert repr(again.nodes[0].parameters["p"]) == repr(value)


@settings(max_examples=100)
@given(pipelines)
def test_order_of_keys_and_white_space_do_not_matter(ir: PipelineIR) -> None:
    spelled = json.dumps(backwards(codec.encode(ir)), indent=7, ensure_ascii=True)
    assert codec.loads(spelled) == ir
    assert codec.version(codec.loads(spelled)) == codec.version(ir)


def backwards(data: Any) -> Any:
    """The same JSON with the keys of every object in reverse order."""
    if isinstance(data, dict):
        return {key: backwards(value) for key, value in reversed(data.items())}
    return [backwards(item) for item in data] if isinstance(data, list) else data


def test_whole_numbers_where_floats_belong_are_the_same_pipeline() -> None:
    def pipeline(one: float, zero: float) -> PipelineIR:
        options = model.OptionsIR(backoff=one, timeout=zero, resources=model.ResourcesIR(cpu=one))
        return PipelineIR(
            name="p", nodes=(model.NodeIR(id="n", component="c", executor="e", options=options),)
        )

    assert pipeline(1, 0) == pipeline(1.0, 0.0)
    assert codec.version(pipeline(1, 0)) == codec.version(pipeline(1.0, 0.0))


# --- one IR with everything in it -----------------------------------------------------------------

SAMPLE = PipelineIR(
    name="sample",
    description="All there is.",
    nodes=(
        model.NodeIR(
            id="group.train",
            component="train",
            executor="project.work:train",
            inputs=(
                model.InputIR(
                    name="examples",
                    type="Examples",
                    sources=(
                        model.OutputRef("read", "examples"),
                        model.Window("read", "examples", 7, "check"),
                        model.LatestBlessed("read", "examples"),
                    ),
                    many=True,
                    optional=True,
                ),
            ),
            outputs=(model.OutputIR(name="loss", type="Float", returned=True),),
            parameters={
                "literal": model.Literal({"$run": [1, 2.5, None, True, "ø"]}),
                "parameter": model.ParameterRef("rate"),
                "run": model.RunField("date"),
                "env": model.Environment("STAGE", "dev"),
                "value": model.OutputValue("read", "count"),
                "property": model.OutputProperty("read", "examples", "span"),
                "function": model.Function("project.work:loss"),
                "files": model.Files(model.Literal("{SPAN}.csv"), model.Literal(None), model.Literal(3), 2),
                "text": model.Concat((model.Literal("day "), model.RunField("date"))),
                "list": model.Array((model.Literal(1), model.ParameterRef("rate"))),
                "dict": model.Object({"$a": model.RunField("id")}),
            },
            after=("prepare",),
            options=model.OptionsIR(
                retries=2,
                backoff=3.0,
                retry=model.RetryIR(
                    user=1,
                    transient=2,
                    timeout=3,
                    memory=4,
                    infrastructure=5,
                    backoff=0.5,
                    factor=3.0,
                    cap=60.0,
                    no_retry_on=("ValueError",),
                    rules=(model.RuleIR(exception="HTTPError", match="503", treat="permanent", backoff=2.0),),
                ),
                timeout=60.0,
                queue_timeout=1.0,
                start_timeout=2.0,
                total_timeout=3.0,
                heartbeat=4.0,
                log_limit=5,
                resources=model.ResourcesIR(cpu=0.5, memory=2**30, gpu=1, memory_max=2**31),
                cache=False,
                cache_max_age=3600.0,
                owner="ann",
                labels={"team": "ranking"},
            ),
        ),
    ),
    parameters=(model.ParameterIR(name="rate", type="float", required=True, default=0.5),),
    artifact_types=(
        model.ArtifactTypeIR(
            name="Examples",
            python="tidemill.types.standard:Examples",
            base_type="Dataset",
            properties={"span": "INT"},
        ),
    ),
    code={"project.work:train": "0123"},
    schedule=model.ScheduleIR(cron="@daily", start="2024-01-01", timezone="Europe/Berlin", catch_up=True),
)
PINNED = "6056f72059966b420909740d9d25bf38530ab779807d5f15dfcb4075c247089b"


def test_the_version_of_a_known_pipeline() -> None:
    """If this fails, the canonical form changed: every pipeline in every store would get a new version."""
    assert codec.version(SAMPLE) == PINNED


CONTROLLED = dataclasses.replace(
    SAMPLE,
    parameters=(
        model.ParameterIR(name="rate", type="float", required=True, default=0.5, schema={"minimum": 0}),
    ),
    schedule=model.ScheduleIR(
        on=model.AnyArrival(
            (
                model.AllArrivals(
                    (model.ArtifactArrival("ingest", "gen", "examples"), model.AssetArrival("s3://x", "x"))
                ),
                model.FilesArrival("{SPAN}.csv", 5.0, "span"),
            )
        ),
        deadline=60.0,
    ),
    nodes=(
        *SAMPLE.nodes,
        model.NodeIR(
            id="each", component="ForEach", executor="", kind="loop",
            loop=model.LoopIR(parallelism=2, limit=9),
        ),
        model.NodeIR(
            id="compare",
            component="compare",
            executor="project.work:compare",
            inputs=(
                model.InputIR(
                    name="models",
                    type="Model",
                    sources=(
                        model.Collected("group.train", "model"),
                        model.LoopArtifact("each"),
                        model.Stored(7, "/m"),
                        model.FirstOf((model.OutputRef("a", "model"), model.OutputRef("b", "model"))),
                        model.Earlier(
                            node="a", output="model", pipeline="other", limit=3,
                            properties={"span": model.RunField("date")}, spans=(model.Literal(1),),
                            complete=True, choose="project.work:pick",
                        ),
                    ),
                    many=True,
                ),
            ),
            parameters={
                "item": model.LoopItem("each", ("rate", 0)),
                "losses": model.CollectedValues("group.train", "loss"),
                "first": model.FirstValue((model.OutputValue("a", "loss"), model.Literal(0.5))),
            },
            when=model.AllOf(
                (
                    model.Compare("<", model.ParameterRef("rate"), model.Literal(1)),
                    model.AnyOf((model.Not(model.OutputValue("read", "ok")), model.Literal(True))),
                )
            ),
            trigger="all_done",
            options=model.OptionsIR(
                isolation="fresh",
                environment=model.EnvironmentIR(
                    requirements=("numpy==2",), python="3.12", image="trainer:1", env=("TOKEN",),
                    mounts=("/srv",),
                ),
            ),
            loops=("each",),
            on_exit=True,
        ),
    ),
)  # fmt: skip


def test_any_change_of_any_field_is_another_version() -> None:
    seen, touched = {codec.version(CONTROLLED): "no change"}, set()
    for path, ir in changed(CONTROLLED):
        version = codec.version(ir)
        assert version not in seen, f"{path} has the version of {seen.get(version)}"
        seen[version] = str(path)
        touched.update(path)
    assert touched >= {
        f"{cls.__name__}.{f.name}" for cls in records() for f in dataclasses.fields(cls) if f.init
    }


def records() -> list[Any]:
    """Every dataclass of the model."""
    return [cls for cls in vars(model).values() if isinstance(cls, type) and dataclasses.is_dataclass(cls)]


def changed(value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """`value` with one thing changed, in every place; and the way to the change."""
    match value:
        case bool():
            yield (), not value
        case int() | float():
            yield (), value + 1
        case str():
            yield (), value + "x"
        case None:
            yield (), "x"
        case tuple() | list():
            yield ("without the last",), value[:-1] if value else ("x",)
            for i, item in enumerate(value):
                for path, other in changed(item):
                    yield (f"[{i}]", *path), type(value)([*value[:i], other, *value[i + 1 :]])
        case Mapping():
            for key, item in value.items():
                rest = {k: v for k, v in value.items() if k != key}
                yield (f"without {key}",), rest
                yield (f"{key} renamed",), {**rest, key + "x": item}
                for path, other in changed(item):
                    yield (f".{key}", *path), {**rest, key: other}
        case _:
            for f in [f for f in dataclasses.fields(value) if f.init]:
                for path, other in changed(getattr(value, f.name)):
                    here = f"{type(value).__name__}.{f.name}"
                    yield (here, *path), dataclasses.replace(value, **{f.name: other})


# --- strictness -----------------------------------------------------------------------------------

WRONG = [
    ("schema_version", 2, "schema version 2; this tidemill reads 1", "compile the pipeline again"),
    ("schema_version", None, "schema version None", "compile the pipeline again"),
    ("nam", "x", "pipeline has an unknown field 'nam'", "did you mean 'name'?"),
    ("name", 3, "pipeline.name must be str, got int", ""),
    ("nodes", {}, "pipeline.nodes must be a list, got dict", ""),
    ("nodes.0", "x", "pipeline.nodes[0] must be an object, got str", ""),
    ("nodes.0.retires", 1, "pipeline.nodes[0] has an unknown field 'retires'", "known: after, "),
    ("nodes.0.id", None, "pipeline.nodes[0].id must be str, got NoneType", ""),
    ("nodes.0.options.retires", 1, "pipeline.nodes[0].options has an unknown", "did you mean 'retries'?"),
    ("nodes.0.options.retries", True, "pipeline.nodes[0].options.retries must be int, got bool", ""),
    ("nodes.0.options.retries", 1.0, "pipeline.nodes[0].options.retries must be int, got float", ""),
    ("nodes.0.options.cache", 0, "pipeline.nodes[0].options.cache must be bool, got int", ""),
    ("nodes.0.options.timeout", "1", "pipeline.nodes[0].options.timeout must be float, got str", ""),
    ("nodes.0.options.labels.team", 1, "pipeline.nodes[0].options.labels.team must be str, got int", ""),
    ("nodes.0.inputs.0.sources.0", {"outptu": {}}, "sources[0] has an unknown kind 'outptu'", "'output'?"),
    ("nodes.0.inputs.0.sources.0", [], "inputs[0].sources[0] must be an object with one of", ""),
    ("nodes.0.inputs.0.sources.0.output.nod", 1, "sources[0].output has an unknown field 'nod'", "'node'?"),
    ("nodes.0.parameters.run", {"$rnu": "id"}, "parameters.run has an unknown kind '$rnu'", "'$run'?"),
    ("nodes.0.parameters.run", {"$run": 1}, "parameters.run.$run must be str, got int", ""),
    ("nodes.0.parameters.run", {"$run": "id", "x": 1}, "parameters.run must be an object with one of", ""),
    ("nodes.0.parameters.env", {"$env": {"default": "x"}}, "parameters.env.$env is incomplete", ""),
    ("nodes.0.parameters.list", {"$array": 1}, "parameters.list.$array must be a list, got int", ""),
    ("nodes.0.parameters.files.$files.window", "2", "files.$files.window must be int, got str", ""),
    ("schedule", "@daily", "pipeline.schedule must be an object, got str", ""),
    ("schedule.on", {"flies": {}}, "pipeline.schedule.on has an unknown kind 'flies'", "'files'?"),
    ("schedule.on", {"files": {"every": 5}}, "pipeline.schedule.on.files is incomplete", ""),
]


@pytest.mark.parametrize(
    ("path", "value", "message", "hint"), WRONG, ids=[f"{path}={value!r}" for path, value, *_ in WRONG]
)
def test_what_is_not_an_ir_is_refused_with_its_place(path: str, value: Any, message: str, hint: str) -> None:
    data = codec.encode(SAMPLE)
    at: Any = data
    *above, last = path.split(".")
    for part in above:
        at = at[int(part) if isinstance(at, list) else part]
    at[int(last) if isinstance(at, list) else last] = value
    with pytest.raises(DefinitionError) as caught:
        codec.loads(json.dumps(data))
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert bool(hint) == bool(caught.value.hint)


@pytest.mark.parametrize("field", ["name", "nodes"])
def test_a_field_that_must_be_there(field: str) -> None:
    data = codec.encode(SAMPLE)
    del data[field]
    with pytest.raises(DefinitionError, match=f"pipeline is incomplete: .*'{field}'"):
        codec.decode(data)


@given(st.data())
@settings(max_examples=30)
def test_truncated_json_is_refused(data: st.DataObject) -> None:
    text = codec.dumps(SAMPLE).rstrip()
    cut = data.draw(st.integers(0, len(text) - 1))
    with pytest.raises(DefinitionError, match=r"the IR is not JSON: .*\(char \d+\)"):
        codec.loads(text[:cut])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"\xff\xfe{", "the IR is not JSON"),
        ("[]", "the IR is not a JSON object"),
        ('{"name": NaN}', "the IR is not JSON: NaN is not a JSON number"),
        ('{"name": -Infinity}', "the IR is not JSON: -Infinity is not a JSON number"),
    ],
)
def test_other_bytes_are_refused(text: str | bytes, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        codec.loads(text)


def test_the_text_is_made_to_be_read_and_compared() -> None:
    minimal = PipelineIR(name="p", nodes=(model.NodeIR(id="ø", component="c", executor="m:f"),))
    assert codec.dumps(minimal) == (
        '{\n  "schema_version": 1,\n  "name": "p",\n  "nodes": [\n    {\n      "id": "ø",\n'
        '      "component": "c",\n      "executor": "m:f"\n    }\n  ]\n}\n'
    )
