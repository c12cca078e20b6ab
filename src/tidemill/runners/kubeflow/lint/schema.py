"""The fields of KFP's pipeline IR and of its Kubernetes document, as a table.

Written from `api/v2alpha1/pipeline_spec.proto` and
`kubernetes_platform/proto/kubernetes_executor_config.proto` of kubeflow/pipelines (2.17);
`tests/unit/kubeflow/test_lint_schema.py` compares it with the descriptors of kfp-pipeline-spec and
kfp-kubernetes where those are installed. Knows no rule and reads no document.

A field is `name:kind`, in the JSON spelling; `name!` is deprecated. A kind is a scalar, the name of a message
or enum, `[kind]` for a list or `{kind}` for a map with text keys. Fields in parentheses exclude each other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SCALARS = frozenset({"string", "bool", "int32", "int64", "double", "Duration", "Value", "Struct"})
"""`Duration` is text such as "300s"; `Value` any JSON; `Struct` a JSON object."""

ENUMS: dict[str, tuple[str, ...]] = {
    "PrimitiveTypeEnum": ("PRIMITIVE_TYPE_UNSPECIFIED", "INT", "DOUBLE", "STRING"),
    "ParameterTypeEnum": (
        "PARAMETER_TYPE_ENUM_UNSPECIFIED", "NUMBER_DOUBLE", "NUMBER_INTEGER", "STRING", "BOOLEAN", "LIST",
        "STRUCT", "TASK_FINAL_STATUS", "TASK_CONFIG",
    ),
    "TriggerStrategy": (
        "TRIGGER_STRATEGY_UNSPECIFIED", "ALL_UPSTREAM_TASKS_SUCCEEDED", "ALL_UPSTREAM_TASKS_COMPLETED",
    ),
    "TaskConfigPassthroughTypeEnum": (
        "NONE", "RESOURCES", "ENV", "KUBERNETES_AFFINITY", "KUBERNETES_TOLERATIONS",
        "KUBERNETES_NODE_SELECTOR",
        "KUBERNETES_VOLUMES",
    ),
}  # fmt: skip
"""Names by number: the number is the place."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message."""

    name: str
    kind: str
    deprecated: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """The fields of a message by their JSON names, and the groups of which only one may be set."""

    fields: dict[str, Field]
    one_of: tuple[tuple[str, ...], ...] = ()

    def field(self, key: str) -> Field | None:
        """The field that a key of a document names: in JSON or in proto spelling, as protojson takes both."""
        return self.fields.get(key) or self.fields.get(camel(key))


def camel(name: str) -> str:
    """`pipeline_info` -> `pipelineInfo`; what is camel case already stays."""
    return re.sub(r"_([a-z0-9])", lambda found: found.group(1).upper(), name)


def _message(text: str) -> Message:
    one_of = tuple(tuple(_field(f).name for f in group.split()) for group in re.findall(r"\(([^)]*)\)", text))
    fields = [_field(word) for word in re.sub(r"[()]", " ", text).split()]
    return Message({field.name: field for field in fields}, one_of)


def _field(word: str) -> Field:
    name, _, kind = word.partition(":")
    return Field(name.rstrip("!"), kind, name.endswith("!"))


_PIPELINE = {
    "PipelineJob": """name:string displayName:string pipelineSpec:Struct labels:{string}
        runtimeConfig:RuntimeConfig""",
    "RuntimeConfig": "parameters!:{OldValue} gcsOutputDirectory:string parameterValues:{Value}",
    "PipelineSpec": """pipelineInfo:PipelineInfo deploymentSpec:Struct sdkVersion:string schemaVersion:string
        components:{ComponentSpec} root:ComponentSpec defaultPipelineRoot:string""",
    "PipelineInfo": "name:string displayName:string description:string",
    "ComponentSpec": """inputDefinitions:ComponentInputsSpec outputDefinitions:ComponentOutputsSpec
        (dag:DagSpec executorLabel:string) singlePlatformSpecs:[SinglePlatformSpec]
        taskConfigPassthroughs:[TaskConfigPassthrough]""",
    "TaskConfigPassthrough": "field:TaskConfigPassthroughTypeEnum applyToTask:bool",
    "DagSpec": "tasks:{PipelineTaskSpec} outputs:DagOutputsSpec",
    "DagOutputsSpec": "artifacts:{DagOutputArtifactSpec} parameters:{DagOutputParameterSpec}",
    "DagOutputArtifactSpec": "artifactSelectors:[ArtifactSelectorSpec]",
    "ArtifactSelectorSpec": "producerSubtask:string outputArtifactKey:string",
    "DagOutputParameterSpec": """(valueFromParameter:ParameterSelectorSpec
        valueFromOneof:ParameterSelectorsSpec)""",
    "ParameterSelectorSpec": "producerSubtask:string outputParameterKey:string",
    "ParameterSelectorsSpec": "parameterSelectors:[ParameterSelectorSpec]",
    "ComponentInputsSpec": "artifacts:{InputArtifact} parameters:{InputParameter}",
    "InputArtifact": "artifactType:ArtifactTypeSchema isArtifactList:bool isOptional:bool description:string",
    "InputParameter": """type!:PrimitiveTypeEnum parameterType:ParameterTypeEnum defaultValue:Value
        isOptional:bool
        description:string literals:[Value]""",
    "ComponentOutputsSpec": "artifacts:{OutputArtifact} parameters:{OutputParameter}",
    "OutputArtifact": """artifactType:ArtifactTypeSchema properties!:{ValueOrRuntimeParameter}
        customProperties!:{ValueOrRuntimeParameter} metadata:Struct isArtifactList:bool description:string""",
    "OutputParameter": "type!:PrimitiveTypeEnum parameterType:ParameterTypeEnum description:string",
    "TaskInputsSpec": "parameters:{TaskParameter} artifacts:{TaskArtifact}",
    "TaskArtifact": "(taskOutputArtifact:TaskOutputArtifactSpec componentInputArtifact:string)",
    "TaskOutputArtifactSpec": "producerTask:string outputArtifactKey:string",
    "TaskParameter": """(taskOutputParameter:TaskOutputParameterSpec runtimeValue:ValueOrRuntimeParameter
        componentInputParameter:string taskFinalStatus:TaskFinalStatus) parameterExpressionSelector:string""",
    "TaskOutputParameterSpec": "producerTask:string outputParameterKey:string",
    "TaskFinalStatus": "producerTask:string",
    "PipelineTaskSpec": """taskInfo:PipelineTaskInfo inputs:TaskInputsSpec dependentTasks:[string]
        cachingOptions:CachingOptions componentRef:ComponentRef triggerPolicy:TriggerPolicy
        (artifactIterator:ArtifactIteratorSpec parameterIterator:ParameterIteratorSpec)
        retryPolicy:RetryPolicy
        iteratorPolicy:IteratorPolicy""",
    "PipelineTaskInfo": "name:string",
    "CachingOptions": "enableCache:bool cacheKey:string",
    "ComponentRef": "name:string",
    "TriggerPolicy": "condition:string strategy:TriggerStrategy",
    "ArtifactIteratorSpec": "items:ArtifactItems itemInput:string",
    "ArtifactItems": "inputArtifact:string",
    "ParameterIteratorSpec": "items:ParameterItems itemInput:string",
    "ParameterItems": "(raw:string inputParameter:string)",
    "RetryPolicy": """maxRetryCount:int32 backoffDuration:Duration backoffFactor:double
        backoffMaxDuration:Duration""",
    "IteratorPolicy": "parallelismLimit:int32",
    "ArtifactTypeSchema": "(schemaTitle:string schemaUri!:string instanceSchema:string) schemaVersion:string",
    "ValueOrRuntimeParameter": "(constantValue!:OldValue runtimeParameter:string constant:Value)",
    "OldValue": "(intValue:int64 doubleValue:double stringValue:string)",
}

_DEPLOYMENT = {
    "PipelineDeploymentConfig": "executors:{ExecutorSpec}",
    "ExecutorSpec": """(container:PipelineContainerSpec importer:ImporterSpec resolver:ResolverSpec
        customJob!:AIPlatformCustomJobSpec)""",
    "PipelineContainerSpec": """image:string command:[string] args:[string] lifecycle:Lifecycle
        resources:ResourceSpec env:[EnvVar]""",
    "Lifecycle": "preCacheCheck:Exec",
    "Exec": "command:[string] args:[string]",
    "ResourceSpec": """cpuLimit!:double memoryLimit!:double cpuRequest!:double memoryRequest!:double
        resourceCpuLimit:string resourceMemoryLimit:string resourceCpuRequest:string
        resourceMemoryRequest:string
        accelerator:AcceleratorConfig""",
    "AcceleratorConfig": "type!:string count!:int64 resourceType:string resourceCount:string",
    "EnvVar": "name:string value:string",
    "ImporterSpec": """artifactUri:ValueOrRuntimeParameter typeSchema:ArtifactTypeSchema
        properties!:{ValueOrRuntimeParameter} customProperties!:{ValueOrRuntimeParameter} reimport:bool
        metadata:Struct downloadToWorkspace:bool""",
    "ResolverSpec": "outputArtifactQueries:{ArtifactQuerySpec}",
    "ArtifactQuerySpec": "filter:string limit:int32",
    "AIPlatformCustomJobSpec": "customJob:Struct",
}

_PLATFORM = {
    "PlatformSpec": "platforms:{SinglePlatformSpec}",
    "SinglePlatformSpec": """deploymentSpec:PlatformDeploymentConfig platform:string config:Struct
        pipelineConfig:PipelineConfig""",
    "PlatformDeploymentConfig": "executors:{Struct}",
    "PipelineConfig": """resourceTtlOnCompletion:int32 workspace:WorkspaceConfig resourceTtlOnSuccess:int32
        resourceTtlOnFailure:int32 activeDeadlineSeconds:int32""",
    "WorkspaceConfig": "size:string kubernetes:KubernetesWorkspaceConfig",
    "KubernetesWorkspaceConfig": "pvcSpecPatch:Struct",
    "KubernetesExecutorConfig": """secretAsVolume:[SecretAsVolume] secretAsEnv:[SecretAsEnv]
        pvcMount:[PvcMount]
        nodeSelector:NodeSelector podMetadata:PodMetadata imagePullSecret:[ImagePullSecret]
        imagePullPolicy:string
        configMapAsVolume:[ConfigMapAsVolume] configMapAsEnv:[ConfigMapAsEnv] activeDeadlineSeconds:int64
        fieldPathAsEnv:[FieldPathAsEnv] tolerations:[Toleration]
        genericEphemeralVolume:[GenericEphemeralVolume]
        nodeAffinity:[NodeAffinityTerm] podAffinity:[PodAffinityTerm] enabledSharedMemory:EnabledSharedMemory
        emptyDirMounts:[EmptyDirMount] securityContext:SecurityContext initContainers:[InitContainer]""",
    "EnabledSharedMemory": "volumeName:string size:string",
    "SecretAsVolume": "secretName!:string mountPath:string optional:bool secretNameParameter:TaskParameter",
    "SecretAsEnv": """secretName!:string keyToEnv:[SecretKeyToEnvMap] optional:bool
        secretNameParameter:TaskParameter""",
    "SecretKeyToEnvMap": "secretKey:string envVar:string",
    "PvcMount": """(taskOutputParameter!:TaskOutputParameterSpec constant!:string
        componentInputParameter!:string)
        mountPath:string pvcNameParameter:TaskParameter subPath:string""",
    "NodeSelector": "labels:{string} nodeSelectorJson:TaskParameter",
    "PodMetadata": "labels:{string} annotations:{string}",
    "ConfigMapAsVolume": """configMapName!:string mountPath:string optional:bool
        configMapNameParameter:TaskParameter""",
    "ConfigMapAsEnv": """configMapName!:string keyToEnv:[ConfigMapKeyToEnvMap]
        configMapNameParameter:TaskParameter optional:bool""",
    "ConfigMapKeyToEnvMap": "configMapKey:string envVar:string",
    "GenericEphemeralVolume": """volumeName:string mountPath:string accessModes:[string] size:string
        defaultStorageClass:bool storageClassName:string metadata:PodMetadata""",
    "ImagePullSecret": "secretName!:string secretNameParameter:TaskParameter",
    "FieldPathAsEnv": "name:string fieldPath:string",
    "Toleration": """key:string operator:string value:string effect:string tolerationSeconds:int64
        tolerationJson:TaskParameter""",
    "SelectorRequirement": "key:string operator:string values:[string]",
    "NodeAffinityTerm": """matchExpressions:[SelectorRequirement] matchFields:[SelectorRequirement]
        weight:int32
        nodeAffinityJson:TaskParameter""",
    "PodAffinityTerm": """matchPodExpressions:[SelectorRequirement] matchPodLabels:{string} topologyKey:string
        namespaces:[string] matchNamespaceExpressions:[SelectorRequirement] matchNamespaceLabels:{string}
        weight:int32 anti:bool""",
    "SecurityContext": "runAsUser:int64 runAsGroup:int64 runAsNonRoot:bool",
    "EmptyDirMount": "volumeName:string mountPath:string medium:string sizeLimit:string",
    "InitContainer": """name:string image:string command:[string] args:[string] env:[EnvVar]
        volumeMounts:[VolumeMount] restartPolicy:string resources:ResourceRequirements""",
    "VolumeMount": "volumeName:string mountPath:string",
    "ResourceRequirements": "requests:{string} limits:{string}",
}

MESSAGES: dict[str, Message] = {
    name: _message(text) for part in (_PIPELINE, _DEPLOYMENT, _PLATFORM) for name, text in part.items()
}
"""Every message by our name for it; nested ones of KFP have one word here."""
