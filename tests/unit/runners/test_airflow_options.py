"""What only Airflow is told of nodes: by patterns, from Python or a TOML file, and refused at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tidemill.errors import DefinitionError
from tidemill.ir.model import EnvironmentIR, LoopIR, NodeIR, OptionsIR, PipelineIR, ResourcesIR
from tidemill.runners.airflow.files import dag_files
from tidemill.runners.airflow.options import AirflowOptions, options_of, plain_of, read_options
from tidemill.runners.airflow.pods import OVERHEAD, pod_of, requests

GIB = 2**30
OWN = OptionsIR(environment=EnvironmentIR(requirements=("numpy",)))
IR = PipelineIR(
    name="mine",
    nodes=(
        NodeIR(id="give", component="c", executor="m:f"),
        NodeIR(id="train.fit", component="c", executor="m:f"),
        NodeIR(id="train.own", component="c", executor="m:f", options=OWN),
    ),
)


def test_patterns_add_up_in_their_order() -> None:
    found = options_of(
        IR, {"*": AirflowOptions(queue="small", pool="p"), "train.*": {"queue": "large", "pool_slots": 2}}
    )
    assert found == {
        "give": AirflowOptions(queue="small", pool="p"),
        "train.fit": AirflowOptions(queue="large", pool="p", pool_slots=2),
        "train.own": AirflowOptions(queue="large", pool="p", pool_slots=2),
    }
    assert options_of(IR, {}) == {}
    assert plain_of(AirflowOptions(wait="hold", pool="p")) == {"pool": "p", "wait": "hold"}


@pytest.mark.parametrize(
    ("pattern", "options", "what", "hint"),
    [
        ("trian.fit", {}, "names no node", "did you mean 'train.fit'?"),
        ("give", {"que": "x"}, "'que' is no option", "did you mean 'queue'?"),
        ("give", {"pool_slots": 0}, "pool_slots is 0", "1 or more"),
        ("give", {"pool_slots": True}, "pool_slots is True", "1 or more"),
        ("give", {"pool": ""}, "pool is ''", "write a name"),
        ("give", {"queue": 3}, "queue is 3", "write a name"),
        ("give", {"wait": "sleep"}, "wait is 'sleep'", "defer, hold"),
        ("give", {"python": "bin/python"}, "python is 'bin/python'", "absolute path"),
        ("give", {"pod_override": {"specs": {}}}, "pod_override is", "did you mean 'spec'?"),
        ("give", {"pod_override": []}, "pod_override is []", "table"),
        ("give", {"pod_override": {"spec": 3}}, "pod_override is", "spec is a table"),
        ("give", {"pod_override": {"spec": {"containers": {}}}}, "pod_override is", "list of tables"),
        (
            "give",
            {"pod_override": {"spec": {"containers": [{"resources": {"limits": 1}}]}}},
            "pod_override is",
            "limits in them",
        ),
        ("give", {"executor_config": {"x": object}}, "executor_config is", "JSON"),
        ("give", {"executor_config": {"x": float("nan")}}, "executor_config is", "JSON"),
        ("give", {"executor_config": {"x": 1}, "pod_override": {}}, "both given", "pod_override"),
        ("train.*", {"python": "/opt/python"}, "has an environment of its own", "leave one"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_write(
    pattern: str, options: dict[str, Any], what: str, hint: str
) -> None:
    with pytest.raises(DefinitionError) as error:
        options_of(IR, {pattern: options})
    (problem,) = error.value.problems
    assert what in problem.what
    assert hint in problem.hint
    with pytest.raises(DefinitionError):
        dag_files(IR, options={pattern: options})


def test_a_file_is_read_and_stands_in_the_dag_file(tmp_path: Path) -> None:
    file = tmp_path / "airflow.toml"
    file.write_text(
        '[nodes."*"]\nqueue = "small"\n[nodes."train.fit"]\npool = "gpus"\npool_slots = 2\n'
        '[nodes."train.fit".pod_override.spec]\nnodeSelector = { gpu = "yes" }\nhostNetwork = true\n',
        encoding="utf-8",
    )
    options, _ = read_options(file)
    assert options["*"] == {"queue": "small"}
    text = dag_files(IR, options=options)["mine_dag.py"]
    assert text == dag_files(IR, options=read_options(file)[0])["mine_dag.py"], "the same bytes"
    scope: dict[str, Any] = {}
    call = text[text.index("options=") + len("options=") : text.rindex(",\n)")]
    exec(f"found = {call}", scope)
    assert scope["found"] == options
    assert [*scope["found"]] == ["*", "train.fit"], "later patterns win, so their order is kept"
    assert "options" not in dag_files(IR)["mine_dag.py"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[node.x]", "did you mean 'nodes'?"),
        ("nodes = 3", "not a table"),
        ("[nodes]\nx = 3", "not a table"),
        ("[nodes", "no TOML"),
        ("max_map_length = true", "max_map_length is True"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_is_none_is_named(tmp_path: Path, text: str | None, why: str) -> None:
    file = tmp_path / "airflow.toml"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(DefinitionError) as error:
        read_options(file)
    assert why in str(error.value)
    assert str(file) in str(error.value)


def test_a_loop_may_have_as_many_iterations_as_airflow_maps(tmp_path: Path) -> None:
    loop = NodeIR(id="items", component="c", executor="", kind="loop", loop=LoopIR(limit=5000))
    ir = PipelineIR(name="looping", nodes=(loop,))
    (tmp_path / "airflow.toml").write_text("max_map_length = 5000", encoding="utf-8")
    _, most = read_options(tmp_path / "airflow.toml")
    assert "    max_map_length=5000,\n" in dag_files(ir, max_map_length=most)["looping_dag.py"]
    with pytest.raises(DefinitionError, match="1024"):
        dag_files(ir)


def test_a_pod_asks_for_what_the_node_does_and_keeps_what_was_given() -> None:
    resources = ResourcesIR(cpu=1.5, memory=2 * GIB, memory_max=4 * GIB, gpu=1)
    asked = {
        "requests": {"cpu": "1500m", "memory": str(2 * GIB + OVERHEAD)},
        "limits": {"cpu": "1500m", "memory": str(4 * GIB + OVERHEAD), "nvidia.com/gpu": "1"},
    }
    assert requests(resources) == asked
    assert requests(ResourcesIR()) == {}
    node = NodeIR(id="n", component="c", executor="m:f", options=OptionsIR(resources=resources))
    assert pod_of(node, AirflowOptions(pod_override={})) == {
        "spec": {"containers": [{"name": "base", "resources": asked}]}
    }
    side = {"name": "proxy", "image": "p:1"}
    mine = {"name": "base", "image": "i:1", "resources": {"limits": {"cpu": "9"}, "claims": []}}
    given = {"spec": {"containers": [side, mine]}}
    made = pod_of(node, AirflowOptions(pod_override=given))
    base, second = made["spec"]["containers"]
    assert (second, base["image"]) == (side, "i:1"), "Airflow runs the task in the first one"
    assert base["resources"]["limits"]["cpu"] == "9", "what was given wins"
    assert base["resources"]["requests"] == asked["requests"]
    assert given["spec"]["containers"][1]["resources"] == {"limits": {"cpu": "9"}, "claims": []}
    assert pod_of(IR.nodes[0], AirflowOptions(pod_override={})) == {}, "nothing is asked for"
    beside = AirflowOptions(pod_override={"spec": {"containers": [side]}})
    assert pod_of(IR.nodes[0], beside) == {"spec": {"containers": [{"name": "base"}, side]}}
