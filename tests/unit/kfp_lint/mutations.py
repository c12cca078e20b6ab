"""One way or more to break each rule of the linter: changes of the good pipeline, by rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from good_kfp import BODY, COMP, EXECUTORS, IMAGE, POD, TASKS, at, minimal, platform, spec

Documents = list[Any]
Mutation = Callable[[Documents], Documents | None]
"""Changes documents in place, or gives others."""


def put(*path: Any, of: int = 0) -> Mutation:
    """Sets what is under a path to the last argument."""

    def change(documents: Documents) -> None:
        *way, key, value = path
        target = at(documents[of], tuple(way))
        if isinstance(target, list) and key == len(target):
            target.append(value)
        else:
            target[key] = value

    return change


def cut(*path: Any, of: int = 0) -> Mutation:
    """Takes out what is under a path."""

    def change(documents: Documents) -> None:
        del at(documents[of], path[:-1])[path[-1]]

    return change


def pod(*path: Any) -> Mutation:
    """Sets a field of the Kubernetes executor."""
    return put(*POD, *path, of=1)


def both(*mutations: Mutation) -> Mutation:
    """One after another."""

    def change(documents: Documents) -> None:
        for mutation in mutations:
            assert mutation(documents) is None

    return change


def others(make: Callable[[], Documents]) -> Mutation:
    """Other documents altogether."""
    return lambda documents: make()


def _without(key: str) -> Documents:
    whole = spec()
    del whole[key]
    return [whole, platform()]


def _nested() -> Documents:
    deep: Any = {}
    for _ in range(150):
        deep = {"a": deep}
    return [{**minimal(), "deploymentSpec": {"executors": {}, "x": deep}}]


def _job(**more: Any) -> Documents:
    return [{"pipelineSpec": minimal(), **more}]


def _large() -> Documents:
    """Many tasks with a component each, so that the workflow grows and no part of it is large."""
    whole = minimal()
    for i in range(700):
        whole["components"][f"comp-{i}"] = {"executorLabel": f"exec-{i}"}
        whole["deploymentSpec"]["executors"][f"exec-{i}"] = {
            "container": {"image": IMAGE, "command": ["python", "x" * 1500, str(i)]}
        }
        whole["root"]["dag"]["tasks"][f"t-{i}"] = {
            "componentRef": {"name": f"comp-{i}"},
            "taskInfo": {"name": "t"},
        }
    return [whole]


def _shared() -> Documents:
    whole = minimal()
    whole["components"]["comp-b"] = {
        "executorLabel": "exec-b", "outputDefinitions": {"parameters": {"x": {"parameterType": "STRING"}}},
    }  # fmt: skip
    whole["deploymentSpec"]["executors"]["exec-b"] = whole["deploymentSpec"]["executors"]["exec-a"]
    whole["root"]["dag"]["tasks"]["b"] = {"componentRef": {"name": "comp-b"}, "taskInfo": {"name": "b"}}
    return [whole]


def _recursive() -> Documents:
    whole = minimal()
    again = {"componentRef": {"name": "comp-loop"}, "taskInfo": {"name": "again"}}
    whole["components"]["comp-loop"] = {"dag": {"tasks": {"again": dict(again)}}}
    whole["root"]["dag"]["tasks"]["b"] = dict(again)
    return [whole]


def _exit_pair() -> Mutation:
    second = {**spec()["root"]["dag"]["tasks"]["notify"], "inputs": {}}
    return put(*TASKS, "zeal", second)


_CONTAINER = (*EXECUTORS, "exec-train", "container")
_IMPORTER = (*EXECUTORS, "exec-give", "importer")
_TRAIN, _EACH, _GIVE = (*BODY, "train"), (*BODY, "each"), (*BODY, "give")
_TRAIN_INPUTS = (*_TRAIN, "inputs", "parameters")
_NOTIFY = (*TASKS, "notify")
_PARAMETERS = (*COMP, "comp-train", "inputDefinitions", "parameters")
_ROOT_IN = ("root", "inputDefinitions")
_CONDITION = (*_TRAIN, "triggerPolicy", "condition")
_WORKSPACE = ("platforms", "kubernetes", "pipelineConfig", "workspace")
_CONST = {"runtimeValue": {"constant": "x"}}
_WS = {"runtimeValue": {"constant": "{{$.workspace_path}}/x"}}
_LONG = "x" * 200_000

MUTATIONS: dict[str, list[Mutation]] = {
    "not-a-pipeline": [
        others(list), cut("root"), cut("pipelineInfo"), put("pipelineInfo", "name", ""),
        others(lambda: [{"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow"}]),
    ],
    "several-documents": [
        others(lambda: [spec(), platform(), spec()]), others(lambda: [spec(), platform(), platform()]),
    ],
    "ignored-document": [others(lambda: [spec(), platform(), {"note": 1}]), others(lambda: [spec(),
        platform(), 7])],
    "pipeline-job": [others(_job)],
    "too-deep": [others(_nested)],
    "unknown-field": [
        put("component", {}), put(*TASKS, "body", "cachingOption", {}), put(*COMP, "comp-give", "executor",
            "x"),
        put("root", "dag", "task", {}),
    ],
    "unknown-executor-field": [
        put(*_CONTAINER, "comand", ["x"]), put("deploymentSpec", "executor", {}),
        put(*_CONTAINER, "resources", "resourceCpuLimits", "1"),
    ],
    "unknown-platform-field": [pod("nodeSelectors", {}), pod("securityContext", "privileged", True)],
    "wrong-type": [
        put(*TASKS, "body", "inputs", []), put(*_CONTAINER, "args", 0, 5), put(*_TRAIN, "dependentTasks", {}),
        put(*_TRAIN, "retryPolicy", "maxRetryCount", 1.5), put("sdkVersion", 2),
        put(*_TRAIN, "cachingOptions", {"enableCache": "yes"}), pod("activeDeadlineSeconds", "soon"),
        put("pipelineInfo", "displayName", float("nan")), put("pipeline_info", {"name": "acme"}),
    ],
    "unknown-value": [
        put(*_NOTIFY, "triggerPolicy", "strategy", "ALL_UPSTREAM_TASKS_SUCEEDED"),
        put(*_ROOT_IN, "parameters", "uri", "parameterType", "TEXT"),
    ],
    "bad-duration": [put(*_TRAIN, "retryPolicy", "backoffDuration", "5m")],
    "two-of-one": [
        put(*_TRAIN_INPUTS, "steps", "runtimeValue", {"constant": 3}),
        put(*_CONTAINER[:-1], "importer", {"artifactUri": {"constant": "s3://b/k"}}),
    ],
    "schema-version": [put("schemaVersion", "2.0.0"), cut("schemaVersion")],
    "pipeline-name": [put("pipelineInfo", "name", "My Pipeline"), put("pipelineInfo", "name", "a" * 129)],
    "workflow-too-large": [others(_large)],
    "parameters-too-large": [
        others(lambda: _job(runtimeConfig={"parameterValues": {"a": "x" * 10_001}})),
    ],
    "defaults-too-large": [put(*_ROOT_IN, "parameters", "uri", "defaultValue", "s3://" + "x" * 10_000)],
    "unknown-component": [put(*_GIVE, "componentRef", "name", "comp-giev"), cut(*_GIVE, "componentRef")],
    "unknown-executor": [put(*COMP, "comp-train", "executorLabel", "exec-trian")],
    "no-implementation": [cut(*COMP, "comp-report", "executorLabel")],
    "unused-component": [put(*COMP, "comp-old", {"executorLabel": "exec-train"})],
    "unused-executor": [put(*EXECUTORS, "exec-old", {"container": {"image": IMAGE, "command": ["a"]}})],
    "component-cycle": [others(_recursive)],
    "same-container": [others(_shared)],
    "no-tasks": [put(*COMP, "comp-each", "dag", "tasks", {}), cut(*COMP, "comp-each", "dag", "tasks")],
    "task-name": [put(*TASKS, "my_task", {"componentRef": {"name": "comp-notify"},
        "taskInfo": {"name": "t"}}),
                  put(*TASKS, "1st", {"componentRef": {"name": "comp-notify"}, "taskInfo": {"name": "t"}}),
                  put(*TASKS, "t" * 125, {"componentRef": {"name": "comp-notify"},
                      "taskInfo": {"name": "t"}})],
    "dag-name": [
        both(put(*COMP, "comp.body", spec()["components"]["comp-body"]), cut(*COMP, "comp-body"),
             put(*TASKS, "body", "componentRef", "name", "comp.body")),
        both(put(*BODY, "e" * 120, spec()["components"]["comp-body"]["dag"]["tasks"]["each"]), cut(*_EACH)),
    ],
    "name-collision": [
        put(*TASKS, "body-driver", {"componentRef": {"name": "comp-notify"}, "taskInfo": {"name": "t"}}),
        both(put(*COMP, "entrypoint", spec()["components"]["comp-report"]), cut(*COMP, "comp-report"),
             put(*COMP, "comp-each", "dag", "tasks", "report", "componentRef", "name", "entrypoint")),
    ],
    "no-display-name": [cut(*_GIVE, "taskInfo"), put(*_GIVE, "taskInfo", "name", "")],
    "unknown-task": [put(*_TRAIN, "dependentTasks", 1, "giev")],
    "unknown-producer": [
        put(*_TRAIN, "inputs", "artifacts", "rows", "taskOutputArtifact", "producerTask", "giev"),
    ],
    "task-cycle": [put(*_GIVE, "dependentTasks", ["train"]), put(*_GIVE, "dependentTasks", ["give"])],
    "unknown-output": [
        put(*_TRAIN, "inputs", "artifacts", "rows", "taskOutputArtifact", "outputArtifactKey", "row"),
        put(*_EACH, "inputs", "parameters", "names", "taskOutputParameter", "outputParameterKey", "name"),
    ],
    "unknown-parent-input": [
        put(*_TRAIN_INPUTS, "steps", "componentInputParameter", "step"),
        put(*COMP, "comp-each", "dag", "tasks", "report", "inputs", "artifacts", "model",
            "componentInputArtifact", "modle"),
    ],
    "unknown-input": [put(*_TRAIN_INPUTS, "stepz", _CONST)],
    "empty-input": [put(*_TRAIN_INPUTS, "run", {}), put(*_TRAIN, "inputs", "artifacts", "rows", {})],
    "missing-input": [
        cut(*TASKS, "body", "inputs", "parameters", "uri"), put(*COMP, "comp-train", "inputDefinitions",
            "artifacts", "more",
                                          {"artifactType": {"schemaTitle": "acme.Rows"}}),
    ],
    "parameter-type": [
        put(*_TRAIN_INPUTS, "steps", {"runtimeValue": {"constant": "many"}}),
        put(*_TRAIN_INPUTS, "steps", {"runtimeValue": {"constant": 2.5}}),
        put(*COMP, "comp-train", "outputDefinitions", "parameters", "names", "parameterType", "STRUCT"),
        put(*_PARAMETERS, "steps", "parameterType", "BOOLEAN"),
        put(*COMP, "comp-give", "inputDefinitions", "parameters", "count",
            {"parameterType": "NUMBER_INTEGER", "defaultValue": "1"}),
    ],
    "no-parameter-type": [
        cut(*_ROOT_IN, "parameters", "uri", "parameterType"),
        put(*COMP, "comp-train", "outputDefinitions", "parameters", "score", {"type": "DOUBLE"}),
    ],
    "literal": [put(*_TRAIN_INPUTS, "mode", _CONST), put(*_ROOT_IN, "parameters", "steps", "defaultValue",
        4)],
    "root-input": [
        put(*_ROOT_IN, "parameters", "status", {"parameterType": "TASK_FINAL_STATUS"}),
        put(*_ROOT_IN, "artifacts", {"rows": {"artifactType": {"schemaTitle": "acme.Rows"}}}),
    ],
    "artifact-type": [
        put(*COMP, "comp-train", "inputDefinitions", "artifacts", "rows", "artifactType", "schemaTitle",
            "acme.Row"),
        put(*COMP, "comp-train", "inputDefinitions", "artifacts", "rows", "artifactType",
            {"instanceSchema": "title: tfx.Examples\ntype: object\n"}),
    ],
    "artifact-schema": [
        put(*COMP, "comp-give", "outputDefinitions", "artifacts", "rows", "artifactType",
            {"schemaUri": "gs://x"}),
        cut(*_IMPORTER, "typeSchema"),
    ],
    "artifact-list-output": [
        put(*COMP, "comp-train", "outputDefinitions", "artifacts", "model", "isArtifactList", True),
    ],
    "runtime-value": [
        put(*_TRAIN_INPUTS, "run", {"runtimeValue": {"constantValue": {"stringValue": "a"}}}),
        put(*_TRAIN_INPUTS, "run", {"runtimeValue": {"runtimeParameter": "uri"}}),
    ],
    "dag-output": [
        put(*COMP, "comp-body", "dag", "outputs", "parameters", "score", "valueFromParameter",
            "producerSubtask", "t"),
        put(*COMP, "comp-body", "dag", "outputs", "parameters", "score", "valueFromParameter",
            "outputParameterKey", "scores"),
        cut(*COMP, "comp-body", "outputDefinitions"), cut(*COMP, "comp-body", "dag", "outputs"),
    ],
    "exit-no-dependency": [both(cut(*_NOTIFY, "dependentTasks"), cut(*_NOTIFY, "inputs"))],
    "exit-several-dependencies": [
        both(put(*TASKS, "more", {"componentRef": {"name": "comp-notify"}, "taskInfo": {"name": "m"}}),
             put(*_NOTIFY, "dependentTasks", ["body", "more"])),
    ],
    "exit-dependency": [
        put(*BODY, "after", {"componentRef": {"name": "comp-notify"}, "taskInfo": {"name": "after"},
                             "dependentTasks": [name],
                             "triggerPolicy": {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}})
        for name in ("each", "give")
    ],
    "two-exit-tasks": [_exit_pair()],
    "after-exit-task": [
        put(*TASKS, "last", {"componentRef": {"name": "comp-notify"}, "taskInfo": {"name": "l"},
                             "dependentTasks": ["notify"]}),
    ],
    "final-status": [
        cut(*_NOTIFY, "triggerPolicy"),
        put(*_NOTIFY, "inputs", "parameters", "status", "taskFinalStatus", "producerTask", "bodi"),
    ],
    "artifact-iterator": [
        both(cut(*_EACH, "parameterIterator"), cut(*COMP, "comp-each", "inputDefinitions", "parameters",
            "names"),
             cut(*_EACH, "inputs", "parameters"),
             put(*COMP, "comp-each", "inputDefinitions", "parameters", "name", "isOptional", True),
             put(*_EACH, "artifactIterator", {"items": {"inputArtifact": "model"}, "itemInput": "m"})),
    ],
    "iterator-items": [
        put(*_EACH, "parameterIterator", "items", {"raw": "1, 2"}), put(*_EACH, "parameterIterator",
            "items", {}),
        put(*_EACH, "parameterIterator", "items", "inputParameter", "nams"),
        both(put(*_EACH, "parameterIterator", "itemInput", "nam"),
             put(*COMP, "comp-each", "inputDefinitions", "parameters", "name", "isOptional", True)),
    ],
    "iterator-component": [put(*BODY, "again", spec()["components"]["comp-body"]["dag"]["tasks"]["each"])],
    "bad-count": [
        put(*_TRAIN, "retryPolicy", "maxRetryCount", -1), put(*_EACH, "iteratorPolicy", "parallelismLimit",
            -2),
        put(*_TRAIN, "retryPolicy", "backoffDuration", "-5s"), pod("activeDeadlineSeconds", -5),
        put("platforms", "kubernetes", "pipelineConfig", "resourceTtlOnSuccess", -1, of=1),
    ],
    "unsupported-executor": [
        put(*_CONTAINER[:-1], {"resolver": {"outputArtifactQueries": {}}}), put(*_CONTAINER[:-1], {}),
        put(*_CONTAINER[:-1], {"customJob": {"customJob": {}}}),
    ],
    "lifecycle": [put(*_CONTAINER, "lifecycle", {"preCacheCheck": {"command": ["a"]}})],
    "no-command": [cut(*_CONTAINER, "command"), both(put(*_CONTAINER, "command", []), cut(*_CONTAINER,
        "args"))],
    "no-image": [cut(*_CONTAINER, "image")],
    "image-digest": [put(*_CONTAINER, "image", "registry.example/trainer:1")],
    "command-placeholder": [put(*_CONTAINER, "command", 0, "{{$.inputs.artifacts['rows'].path}}/run")],
    "unknown-placeholder": [
        put(*_CONTAINER, "args", 0, text) for text in (
            "{{$.inputs.artifacts['rows'].value}}", "{{$.outputs.output_file}}", "{{$.pipeline_job_uuid}}",
            '{{$.inputs.parameters["steps"]}}', "{{$.inputs.artifacts['rows'].metadata['a']}}",
                '{"IfPresent": 1}',
        )
    ] + [put(*_TRAIN_INPUTS, "run", "runtimeValue", "constant", "{{$.pipeline_job_uid}}")],
    "placeholder-name": [
        put(*_CONTAINER, "args", 0, "{{$.inputs.parameters['stepz']}}"),
        put(*_CONTAINER, "args", 0, "{{$.outputs.artifacts['modle'].path}}"),
        put(*_CONTAINER, "args", 0, '{"IfPresent": {"InputName": "rnu", "Then": "x"}}'),
        put(*_TRAIN_INPUTS, "run", "runtimeValue", "constant", "{{$.inputs.parameters['nothing']}}"),
    ],
    "placeholder-place": [
        put(*_CONTAINER, "env", 0, "value", "{{$.inputs.parameters['steps']}}"),
        put(*_CONTAINER, "image", "{{$.inputs.artifacts['rows'].uri}}"),
        put(*_TRAIN_INPUTS, "run", "runtimeValue", "constant", "run-{{$.pipeline_job_uuid}}"),
        put(*_CONTAINER, "args", 0, '{"IfPresent": {"InputName": "rows", "Then": "x"}}'),
    ],
    "argument-too-large": [put(*_CONTAINER, "args", 0, _LONG)],
    "component-too-large": [
        put(*_PARAMETERS, "steps", "description", _LONG), put(*_TRAIN_INPUTS, "run", "runtimeValue",
            "constant", _LONG),
    ],
    "bad-quantity": [
        put(*_CONTAINER, "resources", "resourceMemoryLimit", "4 GB"),
        put(*_CONTAINER, "resources", "accelerator", "resourceCount", "one"),
        pod("genericEphemeralVolume", 0, "size", "10GB"), pod("emptyDirMounts", 0, "sizeLimit", "lots"),
        pod("initContainers", 0, "resources", {"limits": {"cpu": "much"}}),
    ],
    "request-over-limit": [
        put(*_CONTAINER, "resources", "resourceCpuRequest", "3"),
        put(*_CONTAINER, "resources", "resourceMemoryRequest", "5Gi"),
    ],
    "accelerator": [
        cut(*_CONTAINER, "resources", "accelerator", "resourceCount"),
        cut(*_CONTAINER, "resources", "accelerator", "resourceType"),
    ],
    "env-name": [put(*_CONTAINER, "env", 0, "name", "MY LEVEL"), pod("fieldPathAsEnv", 0, "name", ""),
                 pod("secretAsEnv", 0, "keyToEnv", 0, "envVar", "9LIVES=x")],
    "duplicate-env": [put(*_CONTAINER, "env", 1, {"name": "LEVEL", "value": "debug"})],
    "importer-uri": [
        put(*_IMPORTER, "artifactUri", {}), put(*_IMPORTER, "artifactUri", {"constant": "/data/rows"}),
        put(*_IMPORTER, "artifactUri", {"constant": ""}), put(*_IMPORTER, "artifactUri",
            {"runtimeParameter": "url"}),
        put(*_GIVE, "inputs", "parameters", "uri", {"runtimeValue": {"constant": "s3://b/k"}}),
    ],
    "importer-output": [
        put(*COMP, "comp-give", "outputDefinitions", "artifacts", "b",
            {"artifactType": {"schemaTitle": "acme.Rows"}}),
    ],
    "importer-condition": [put(*_GIVE, "triggerPolicy",
        {"condition": "inputs.parameter_values['uri'] != ''"})],
    "condition-syntax": [put(*_CONDITION, text) for text in (
        "inputs.parameter_values['steps'] >", "steps > 1", "inputs.parameter_values['steps'] = 3", "(",
            "1 +", "f(1)",
        "'open", "inputs.", "[1, 2", "{1: 2", "true ? 1", "a b", "@", "!" * 3,
    )] + [put(*_TRAIN_INPUTS, "run", "parameterExpressionSelector", "parseJson(strin_value)[0]")],
    "condition-name": [
        put(*_CONDITION, "inputs.parameter_values['stepz'] > 1"), put(*_CONDITION,
            "inputs.parameters['steps'] > 1"),
        put(*_CONDITION, "inputs.artifact['rows'] != null"),
    ],
    "unknown-platform-executor": [
        put("platforms", "kubernetes", "deploymentSpec", "executors", "exec-trian", {}, of=1),
    ],
    "platform-name": [others(lambda: [spec(), {"platforms": {"kubernets": {}}}])],
    "pull-policy": [pod("imagePullPolicy", "Sometimes")],
    "no-object-name": [
        pod("secretAsVolume", 0, {"mountPath": "/key"}), pod("secretAsEnv", 0, {}),
        pod("pvcMount", 0, {"mountPath": "/data"}), pod("imagePullSecret", 0, {}),
        pod("configMapAsVolume", 0, {"mountPath": "/s"}), pod("configMapAsEnv", 0, {}),
    ],
    "mount-path": [
        pod("pvcMount", 0, "mountPath", "data"), pod("pvcMount", 0, "mountPath", "/key"),
        pod("initContainers", 0, "volumeMounts", 0, "mountPath", "here"),
    ],
    "object-name": [
        pod("secretAsVolume", 0, "secretNameParameter", {"runtimeValue": {"constant": "My_Secret"}}),
        pod("configMapAsVolume", 0, "configMapNameParameter", {"runtimeValue": {"constant": "a" * 64}}),
        pod("pvcMount", 0, "pvcNameParameter", {"runtimeValue": {"constant": "a.b"}}),
        pod("emptyDirMounts", 0, "volumeName", "SHM"),
    ],
    "platform-parameter": [
        pod("pvcMount", 0, "pvcNameParameter", {"componentInputParameter": "claim"}),
        pod("nodeSelector", {"nodeSelectorJson": {"componentInputParameter": "where"}}),
        pod("pvcMount", 0, "pvcNameParameter", {"taskOutputParameter": {"producerTask": "make"}}),
        pod("pvcMount", 0, {"taskOutputParameter": {"producerTask": "make"}, "mountPath": "/data"}),
        pod("pvcMount", 0, {"componentInputParameter": "claim", "mountPath": "/data"}),
    ],
    "label": [pod("podMetadata", "labels", {"team": "machine learning"}), pod("nodeSelector", "labels",
        {"a b": "c"})],
    "toleration": [
        pod("tolerations", 0, "operator", "Exist"), pod("tolerations", 0, "effect", "No"),
        pod("tolerations", 0, "value", "x"),
    ],
    "affinity": [
        pod("nodeAffinity", 0, "weight", 0), pod("nodeAffinity", 0, "matchExpressions", 0, "operator", "Is"),
    ],
    "access-mode": [pod("genericEphemeralVolume", 0, "accessModes", ["ReadWriteTwice"])],
    "run-as-root": [pod("securityContext", "runAsUser", 0)],
    "init-container": [
        pod("initContainers", 0, "name", "main"), pod("initContainers", 0, "name", ""),
        pod("initContainers", 0, "image", ""), pod("initContainers", 0, "restartPolicy", "Never"),
        pod("initContainers", 1, {"name": "warm", "image": IMAGE}),
    ],
    "workspace": [
        put(*_WORKSPACE, "size", "big", of=1), cut(*_WORKSPACE, "size", of=1),
        put(*_WORKSPACE, "kubernetes", "pvcSpecPatch", "storageClassName", "", of=1),
        put(*_WORKSPACE, "kubernetes", "pvcSpecPatch", "resources", {}, of=1),
    ],
    "no-workspace": [
        both(cut("platforms", "kubernetes", "pipelineConfig", of=1), put(*_TRAIN_INPUTS, "run", _WS)),
        both(cut("platforms", "kubernetes", "pipelineConfig", of=1), put(*_IMPORTER, "downloadToWorkspace",
            True)),
    ],
}  # fmt: skip

ALSO: dict[str, set[str]] = {
    "unknown-value": {"final-status"},
    "parameters-too-large": {"pipeline-job"},
}
"""What cannot but be broken along with a rule."""
