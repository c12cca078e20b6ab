"""A pod for a node of its own: how it is described, what is refused, and the pod that it comes to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tidemill.errors import DefinitionError
from tidemill.ir.model import EnvironmentIR, NodeIR, OptionsIR, PipelineIR, ResourcesIR
from tidemill.runners.airflow import AirflowOptions, PodOptions, names
from tidemill.runners.airflow.files import dag_files
from tidemill.runners.airflow.options import check_places, options_of, plain_of
from tidemill.runners.airflow.pods import OVERHEAD, pod_of_node

GIB = 2**30
IMAGE = "registry.example/mill@sha256:" + "0" * 64
OWN = OptionsIR(environment=EnvironmentIR(image=IMAGE, python="python"))
IR = PipelineIR(
    name="mine",
    nodes=(
        NodeIR(id="give", component="c", executor="m:f"),
        NodeIR(id="own", component="c", executor="m:f", options=OWN),
        NodeIR(id="gate", component="approval", executor="", kind="approval"),
    ),
)
SHARED = {"spec": {"containers": [{"name": "base", "volumeMounts": [{"name": "d", "mountPath": "/data"}]}]}}
TOLD = {"name": "A_TOKEN", "value": "x"}


def test_fields_of_patterns_add_up_in_both_forms() -> None:
    found = options_of(
        IR,
        {
            "*": {"pod": {"image": "i:1", "namespace": "mill", "env": {"A": "1", "B": "1"}}},
            "give": AirflowOptions(pod=PodOptions(service_account_name="big", env={"B": "2"})),
            "own": {"pod": {"image": IMAGE}},
        },
    )
    assert found["give"].pod == PodOptions(
        image="i:1", namespace="mill", service_account_name="big", env={"A": "1", "B": "2"}
    )
    text = dag_files(IR, options={"give": AirflowOptions(pod=PodOptions(image="i:1", deferrable=True))})
    assert (
        '"pod": {\n                "image": "i:1",\n                "deferrable": True,'
        in text["mine_dag.py"]
    )
    assert plain_of(AirflowOptions(pod=PodOptions(image="i"))) == {"pod": {"image": "i"}}


@pytest.mark.parametrize(
    ("pattern", "pod", "what", "hint"),
    [
        ("give", {"imge": "i"}, "pod has no 'imge'", "did you mean 'image'?"),
        ("give", 3, "pod is 3", "write a table"),
        ("give", {}, "the pod has no image", "tidemill image"),
        ("give", {"image": "two words"}, "pod.image is", "write a name"),
        ("give", {"image": "i", "namespace": "Team_A"}, "pod.namespace is 'Team_A'", "small letters"),
        ("give", {"image": "i", "service_account_name": "A"}, "pod.service_account_name", "small letters"),
        (
            "give", {"image": "i", "on_finish_action": "delete_pods"}, "pod.on_finish_action is",
            "did you mean 'delete_pod'?",
        ),
        ("give", {"image": "i", "startup_timeout_seconds": True}, "is True", "whole number of seconds"),
        ("give", {"image": "i", "deferrable": 1}, "pod.deferrable is 1", "true or false"),
        ("give", {"image": "i", "env": ["A=1"]}, "pod.env is", "environment variable = text"),
        ("give", {"image": "i", "env": {"A-B": "1"}}, "'A-B' is no variable", "letters, digits"),
        ("give", {"image": "i", "env": {"A": 1}}, "pod.env.A is 1", "in quotes"),
        ("give", {"image": "i", "env": {"DB_PASSWORD": "x"}}, "DB_PASSWORD is a secret", "secret_env"),
        ("give", {"image": "i", "env": {"AWS_SECRET_ACCESS_KEY": "x"}}, "is a secret", "SECRET/KEY"),
        ("give", {"image": "i", "env": {"DB": "postgresql://me:x@h/d"}}, "DB is a secret", "SECRET/KEY"),
        ("give", {"image": "i", "secret_env": {"TOKEN": "hunter2"}}, "pod.secret_env.TOKEN", "SECRET/KEY"),
        (
            "give", {"image": "i", "env": {"A": "1"}, "secret_env": {"A": "s/k"}}, "A stands in pod.env and",
            "leave one",
        ),
        ("give", {"image": "i", "template": {"specs": {}}}, "pod.template is", "did you mean 'spec'?"),
        ("give", {"image": "i", "template": {"spec": {"containers": [{"env": 3}]}}}, "template is", "env of"),
        (
            "give",
            {"image": "i", "template": {"spec": {"containers": [{"env": [TOLD]}]}}},
            "pod.template is", "A_TOKEN is a secret",
        ),
        ("own", {"image": "i"}, "has Container(", "leave pod.image out"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_what_to_write(pattern: str, pod: Any, what: str, hint: str) -> None:
    with pytest.raises(DefinitionError) as error:
        dag_files(IR, options={pattern: {"pod": pod}})
    (problem,) = error.value.problems
    assert what in problem.what
    assert hint in problem.hint


def test_a_pod_of_its_own_and_the_executors_pod_are_two_things() -> None:
    with pytest.raises(DefinitionError, match="both given"):
        options_of(IR, {"*": {"pod_override": {}}, "give": {"pod": {"image": "i"}}})


@pytest.mark.parametrize(
    ("metadata", "root", "more", "what"),
    [
        ("airflow://records", "s3://b/r", {}, "an Airflow connection, which no pod can ask for"),
        ("postgresql://me:x@h/d", "s3://b/r", {}, "holds a password"),
        ("sqlite:////data/m.db", "s3://b/r", {}, "a SQLite file"),
        ("http://h:1", "/data/root", {}, "no volume of the pod is mounted there"),
        ("http://h:1", "/database", {"template": SHARED}, "no volume of the pod is mounted there"),
        ("http://h:1", "/data/root", {"template": SHARED}, ""),
        ("airflow://records", "s3://b/r", {"secret_env": {"TIDEMILL_METADATA": "records/url"}}, ""),
        ("http://h:1", "s3://b/r", {}, ""),
        ("", "", {}, ""),
    ],
)
def test_a_pod_must_find_the_record_and_the_root(
    metadata: str, root: str, more: dict[str, Any], what: str
) -> None:
    found = options_of(IR, {"give": {"pod": {"image": "i", **more}}})
    if not what:
        check_places(IR, found, metadata=metadata, root=root)
        return
    with pytest.raises(DefinitionError, match=what):
        check_places(IR, found, metadata=metadata, root=root)
    gate = options_of(IR, {"gate": {"pod": {"image": "i"}}})
    check_places(IR, gate, metadata=metadata, root=root)  # nothing of it runs in a pod


def test_the_pod_has_image_variables_and_resources_and_no_secret() -> None:
    resources = ResourcesIR(cpu=2, memory=GIB, gpu=1)
    node = NodeIR(id="n", component="c", executor="m:f", options=OptionsIR(resources=resources))
    side = {"name": "proxy", "image": "p:1"}
    base = {"name": "base", "env": [{"name": "B", "value": "old"}], "resources": {"limits": {"cpu": "9"}}}
    template: dict[str, Any] = {
        "metadata": {"labels": {"team": "a"}},
        "spec": {"containers": [side, base], "priority": 3},
    }
    options = PodOptions(
        image="i:1", service_account_name="mill", env={"B": "new"}, template=template,
        secret_env={"TIDEMILL_TOKEN": "records/token", "EXTRA": "records/extra?"},
    )  # fmt: skip
    pod = pod_of_node(node, options, "http://h:1", "example.com/gpu")
    assert pod["metadata"] == {"labels": {"team": "a"}}
    first, second = pod["spec"]["containers"]
    assert (pod["spec"]["priority"], pod["spec"]["serviceAccountName"], second) == (3, "mill", side)
    amount = str(GIB + OVERHEAD)
    assert first == {
        "name": "base", "image": "i:1",
        "env": [
            {"name": "B", "value": "new"}, {"name": "TIDEMILL_METADATA", "value": "http://h:1"},
            {
                "name": "EXTRA",
                "valueFrom": {"secretKeyRef": {"name": "records", "key": "extra", "optional": True}},
            },
            {"name": "TIDEMILL_TOKEN", "valueFrom": {"secretKeyRef": {"name": "records", "key": "token"}}},
        ],
        "resources": {
            "limits": {"cpu": "9", "memory": amount, "example.com/gpu": "1"},
            "requests": {"cpu": "2000m", "memory": amount},
        },
    }  # fmt: skip
    assert template["spec"]["containers"] == [side, base], "what was given stays as it is"


def test_a_secret_that_names_the_record_leaves_the_url_out() -> None:
    secret = {"TIDEMILL_METADATA": "records/url"}
    for options in (
        PodOptions(image="i", secret_env=secret),
        PodOptions(
            image="i",
            template={
                "spec": {
                    "containers": [{"name": "base", "env": [{"name": "TIDEMILL_METADATA", "valueFrom": {}}]}]
                }
            },
        ),
    ):
        assert "airflow://" not in json.dumps(pod_of_node(IR.nodes[0], options, "airflow://records"))


def test_the_image_of_a_nodes_own_container_is_its_pods() -> None:
    pod = pod_of_node(IR.node("own"), PodOptions(), "http://h:1")
    (base,) = pod["spec"]["containers"]
    assert base["image"] == IMAGE
    assert {"name": "TIDEMILL_INSIDE_IMAGE", "value": IMAGE} in base["env"]


def test_names_of_pods_are_what_kubernetes_takes() -> None:
    assert names.pod_name("Daily_Run", "features.fit") == "daily-run-features-fit"
    assert names.pod_name("_", "_") == "node"
    assert len(names.pod_name("p" * 300, "n")) <= 200
