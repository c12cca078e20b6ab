"""A pipeline for KFP with something of everything, and nothing wrong: what mutations start from."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

IMAGE = "registry.example/trainer@sha256:" + "0" * 64
CONDITION = "inputs.parameter_values['steps'] > 1 && inputs.parameter_values['mode'] == 'slow'"
COMP = ("components",)
TASKS = ("root", "dag", "tasks")
BODY = ("components", "comp-body", "dag", "tasks")
EXECUTORS = ("deploymentSpec", "executors")
POD = ("platforms", "kubernetes", "deploymentSpec", "executors", "exec-train")


def _artifact(title: str = "acme.Model") -> Json:
    return {"artifactType": {"schemaTitle": title, "schemaVersion": "0.0.1"}}


def _constant(value: Any) -> Json:
    return {"runtimeValue": {"constant": value}}


def _task(component: str, **more: Any) -> Json:
    return {
        "componentRef": {"name": component}, "taskInfo": {"name": component}, "cachingOptions": {}, **more,
    }  # fmt: skip


def _container(*args: str, **more: Any) -> Json:
    return {"container": {"image": IMAGE, "command": ["python", "-m", "acme"], "args": list(args), **more}}


def spec() -> Json:
    """The pipeline itself: import, train and a loop over reports in a body, with an exit task behind it."""
    return {
        "pipelineInfo": {"name": "acme-train", "description": "trains"},
        "schemaVersion": "2.1.0",
        "sdkVersion": "acme-1",
        "components": _components(),
        "deploymentSpec": {"executors": _executors()},
        "root": {
            "inputDefinitions": {
                "parameters": {
                    "steps": {"parameterType": "NUMBER_INTEGER", "defaultValue": 3, "literals": [3, 5]},
                    "uri": {"parameterType": "STRING", "defaultValue": "s3://bucket/rows"},
                }
            },
            "dag": {
                "tasks": {
                    "body": _task("comp-body", inputs={"parameters": {
                        "steps": {"componentInputParameter": "steps"},
                            "uri": {"componentInputParameter": "uri"},
                    }}),
                    "notify": _task(
                        "comp-notify", dependentTasks=["body"],
                        inputs={"parameters": {"status": {"taskFinalStatus": {"producerTask": "body"}}}},
                        triggerPolicy={"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"},
                    ),
                }
            },
        },
    }  # fmt: skip


def _components() -> Json:
    return {
        "comp-body": _body(),
        "comp-give": {"executorLabel": "exec-give",
                      "inputDefinitions": {"parameters": {"uri": {"parameterType": "STRING"}}},
                      "outputDefinitions": {"artifacts": {"rows": _artifact("acme.Rows")}}},
        "comp-train": {
            "executorLabel": "exec-train",
            "inputDefinitions": {
                "parameters": {"steps": {"parameterType": "NUMBER_INTEGER"},
                               "run": {"parameterType": "STRING", "isOptional": True},
                               "mode": {"parameterType": "STRING", "defaultValue": "fast",
                                        "literals": ["fast", "slow"]}},
                "artifacts": {"rows": _artifact("acme.Rows")},
            },
            "outputDefinitions": {"artifacts": {"model": _artifact()},
                                  "parameters": {"names": {"parameterType": "LIST"},
                                                 "score": {"parameterType": "NUMBER_DOUBLE"}}},
        },
        "comp-each": {
            "dag": {"tasks": {"report": _task("comp-report", inputs={
                "parameters": {"name": {"componentInputParameter": "name"}},
                "artifacts": {"model": {"componentInputArtifact": "model"}},
            })}},
            "inputDefinitions": {"parameters": {"name": {"parameterType": "STRING"},
                                                "names": {"parameterType": "LIST"}},
                                 "artifacts": {"model": _artifact()}},
        },
        "comp-report": {"executorLabel": "exec-report",
                        "inputDefinitions": {"parameters": {"name": {"parameterType": "STRING"}},
                                             "artifacts": {"model": _artifact("system.Artifact")}}},
        "comp-notify": {"executorLabel": "exec-notify",
                        "inputDefinitions": {"parameters": {"status": {"parameterType": "TASK_FINAL_STATUS",
                                                                       "isOptional": True}}}},
    }  # fmt: skip


def _body() -> Json:
    train = _task(
        "comp-train", dependentTasks=["give"],
        inputs={"parameters": {"steps": {"componentInputParameter": "steps"},
                               "run": _constant("{{$.pipeline_job_uuid}}"), "mode": _constant("slow")},
                "artifacts": {"rows": {"taskOutputArtifact": {"producerTask": "give",
                                                              "outputArtifactKey": "rows"}}}},
        triggerPolicy={"condition": CONDITION},
        retryPolicy={"maxRetryCount": 2, "backoffDuration": "30s", "backoffFactor": 2.0},
    )  # fmt: skip
    each = _task(
        "comp-each", dependentTasks=["train"],
        inputs={"parameters": {"names": {"taskOutputParameter": {"producerTask": "train",
                                                                 "outputParameterKey": "names"}}},
                "artifacts": {"model": {"taskOutputArtifact": {"producerTask": "train",
                                                               "outputArtifactKey": "model"}}}},
        parameterIterator={"items": {"inputParameter": "names"}, "itemInput": "name"},
        iteratorPolicy={"parallelismLimit": 2},
    )  # fmt: skip
    return {
        "inputDefinitions": {"parameters": {"steps": {"parameterType": "NUMBER_INTEGER"},
                                            "uri": {"parameterType": "STRING"}}},
        "outputDefinitions": {"parameters": {"score": {"parameterType": "NUMBER_DOUBLE"}}},
        "dag": {
            "tasks": {
                "give": _task("comp-give",
                    inputs={"parameters": {"uri": {"componentInputParameter": "uri"}}}),
                "train": train,
                "each": each,
            },
            "outputs": {"parameters": {"score": {"valueFromParameter": {
                "producerSubtask": "train", "outputParameterKey": "score"}}}},
        },
    }  # fmt: skip


def _executors() -> Json:
    return {
        "exec-give": {"importer": {"artifactUri": {"runtimeParameter": "uri"},
                                   "typeSchema": {"schemaTitle": "acme.Rows", "schemaVersion": "0.0.1"}}},
        "exec-train": _container(
            "train", "--executor_input", "{{$}}", "--steps={{$.inputs.parameters['steps']}}",
            "{{$.inputs.artifacts['rows'].path}}", "{{$.outputs.artifacts['model'].uri}}",
            "{{$.outputs.parameters['names'].output_file}}",
            '{"IfPresent": {"InputName": "run", "Then": ["--run", "{{$.inputs.parameters[\'run\']}}"]}}',
            env=[{"name": "LEVEL", "value": "info"}],
            resources={"resourceCpuRequest": "500m", "resourceCpuLimit": "2", "resourceMemoryRequest": "1Gi",
                       "resourceMemoryLimit": "4Gi",
                       "accelerator": {"resourceType": "nvidia.com/gpu", "resourceCount": "1"}},
        ),
        "exec-report": _container("report", "{{$}}"),
        "exec-notify": _container("notify", "{{$}}"),
    }  # fmt: skip


def platform() -> Json:
    """The Kubernetes document, with most of what a pod can be given."""
    pod = {
        "secretAsVolume": [{"secretNameParameter": _constant("key"), "mountPath": "/key", "optional": False}],
        "secretAsEnv": [{"secretNameParameter": _constant("store"),
                         "keyToEnv": [{"secretKey": "url", "envVar": "STORE"}]}],
        "configMapAsVolume": [{"configMapNameParameter": _constant("settings"), "mountPath": "/settings"}],
        "configMapAsEnv": [{"configMapNameParameter": _constant("settings"),
                            "keyToEnv": [{"configMapKey": "level", "envVar": "DEPTH"}]}],
        "pvcMount": [{"pvcNameParameter": {"componentInputParameter": "uri"}, "mountPath": "/data"}],
        "nodeSelector": {"labels": {"disk": "ssd"}},
        "podMetadata": {"labels": {"acme.example/team": "ml"}, "annotations": {"note": "any text, really"}},
        "imagePullSecret": [{"secretNameParameter": _constant("registry")}],
        "imagePullPolicy": "IfNotPresent",
        "activeDeadlineSeconds": "3600",
        "fieldPathAsEnv": [{"name": "POD", "fieldPath": "metadata.name"}],
        "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "genericEphemeralVolume": [{"volumeName": "scratch", "mountPath": "/scratch", "size": "10Gi",
                                    "accessModes": ["ReadWriteOnce"], "defaultStorageClass": True}],
        "nodeAffinity": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}],
            "weight": 5}],
        "emptyDirMounts": [{"volumeName": "shm", "mountPath": "/shm", "medium": "Memory",
            "sizeLimit": "1Gi"}],
        "enabledSharedMemory": {"volumeName": "dshm", "size": "1Gi"},
        "securityContext": {"runAsUser": 1000, "runAsNonRoot": True},
        "initContainers": [{"name": "warm", "image": IMAGE, "volumeMounts": [{"volumeName": "scratch",
                                                                              "mountPath": "/scratch"}]}],
    }  # fmt: skip
    return {
        "platforms": {
            "kubernetes": {
                "deploymentSpec": {"executors": {"exec-train": pod}},
                "pipelineConfig": {
                    "resourceTtlOnCompletion": 600,
                    "workspace": {
                        "size": "5Gi",
                        "kubernetes": {"pvcSpecPatch": {"accessModes": ["ReadWriteOnce"]}},
                    },
                },
            }
        }
    }


def documents() -> list[Any]:
    """Both."""
    return [spec(), platform()]


def minimal() -> Json:
    """The least that is a pipeline without warnings."""
    return {
        "pipelineInfo": {"name": "p"}, "schemaVersion": "2.1.0",
        "components": {"comp-a": {"executorLabel": "exec-a"}},
        "deploymentSpec": {"executors": {"exec-a": _container()}},
        "root": {"dag": {"tasks": {"a": _task("comp-a")}}},
    }  # fmt: skip


def at(value: Any, path: tuple[str | int, ...]) -> Any:
    """What is under a path."""
    for key in path:
        value = value[key]
    return value
