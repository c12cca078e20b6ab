"""What KFP's open-source backend (2.17) wants of a pipeline, one rule each, and who refuses what breaks it.

The linter checks all of them in anybody's file; the compiler refuses a pipeline that would break one.
Read from the sources of kubeflow/pipelines (`backend/src/apiserver/template`, `v2/compiler`, `v2/driver`,
`v2/component`) and of argo-workflows (`workflow/validate`). Knows no document.
"""

from __future__ import annotations

from dataclasses import dataclass

ERROR, WARNING = "error", "warning"

SERVER = "API server"
"""Refuses the upload or the start of a run."""
COMPILER = "KFP's compiler"
"""Refuses the start of a run: argocompiler, inside the API server."""
EITHER = "API server or KFP's compiler"
"""The latter for what is in deploymentSpec."""
ARGO = "Argo"
"""Refuses the workflow."""
DRIVER = "driver"
"""Fails the task before its container starts."""
LAUNCHER = "launcher"
"""Fails the task in its container, before or after the program."""
KUBERNETES = "Kubernetes"
"""Refuses the workflow or the pod, or leaves it pending."""
NOBODY = "nobody"
"""Accepted, and does not do what it says."""
TIDEMILL = "tidemill's compiler"
"""Refuses a pipeline of ours, for what no compiled file shows."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold of a pipeline for KFP's open-source backend."""

    id: str
    who: str
    """Who refuses what breaks it; `nobody` where it is accepted and does not do what it says."""
    text: str
    """What must hold."""
    why: str
    """What happens otherwise."""
    severity: str = ERROR


_DOCUMENTS = (
    Rule("not-a-pipeline", SERVER, "one document is a pipeline with a name and a root",
         "a template without them is of an unknown format"),
    Rule("several-documents", SERVER, "there is one pipeline and at most one platform document",
         "a second one of a kind is refused"),
    Rule("ignored-document", NOBODY, "every document is a pipeline or platforms.kubernetes",
         "any other is passed over in silence, a Kubernetes document with one bad field too"),
    Rule("pipeline-job", SERVER, "the file holds the pipeline itself, not a PipelineJob around it",
         "pipelineSpec and runtimeConfig are unknown fields to it; Vertex AI takes them"),
    Rule("duplicate-key", SERVER, "no key stands twice in an object", "its YAML reader refuses the file"),
    Rule("too-deep", NOBODY, "lists and objects nest at most 100 deep",
         "KFP reads up to 10,000 levels, and this linter no more than these"),
    Rule("unknown-field", SERVER, "every key is a field of the pipeline spec",
         "one unknown key and the file is of an unknown format"),
    Rule("unknown-executor-field", NOBODY, "every key in deploymentSpec is a field of it",
         "what it does not know it drops without a word"),
    Rule("unknown-platform-field", COMPILER, "every key of a Kubernetes executor is a field of it",
         "it reads them strictly when a run starts"),
    Rule("wrong-type", EITHER, "every field has a value of its type", "protojson refuses the document"),
    Rule("unknown-value", EITHER, "a field with named values has one of them",
         "protojson refuses the document"),
    Rule("bad-duration", SERVER, "durations are seconds with an s", "protojson refuses the document"),
    Rule("two-of-one", EITHER, "of fields that exclude each other, one is set",
         "protojson refuses the document"),
    Rule("schema-version", SERVER, "schemaVersion is 2.1.0", "it takes no other"),
    Rule("pipeline-name", KUBERNETES, "the pipeline's name is lower case letters, digits and -, at most 128",
         "the API server's check is not anchored, so a bad name fails when the workflow is named after it"),
    Rule("file-too-large", SERVER, "the file has at most 32 MiB", "it reads no more"),
    Rule("workflow-too-large", KUBERNETES, "the workflow has at most 1.5 MiB",
         "etcd stores no larger object; the size is an estimate", WARNING),
    Rule("parameters-too-large", SERVER, "the parameters of a run have at most 10,000 bytes together",
         "it refuses the run, unless MAX_PARAMETER_BYTES allows more"),
    Rule("defaults-too-large", SERVER, "the defaults of a pipeline have at most 10,000 bytes together",
         "the UI sends defaults along with the parameters of a run", WARNING),
)  # fmt: skip

_GRAPHS = (
    Rule("unknown-component", COMPILER, "every task names a component that exists",
         "it cannot find the component"),
    Rule("unknown-executor", COMPILER, "every component names an executor that exists",
         "it cannot find the executor"),
    Rule("no-implementation", COMPILER, "every component has a DAG or an executor",
         "an unknown implementation of a component"),
    Rule("unused-component", NOBODY, "every component is used by a task of the pipeline",
         "it does nothing", WARNING),
    Rule("unused-executor", NOBODY, "every executor is used by a component", "it does nothing", WARNING),
    Rule("component-cycle", NOBODY, "no component contains itself", "the run would nest without end"),
    Rule("same-container", NOBODY, "components that have equal containers have equal inputs and outputs",
         "the compiler keeps one component for each container, so that one of them runs as the other"),
    Rule("no-tasks", COMPILER, "a DAG has at least one task that is no exit task", "it refuses an empty DAG"),
    Rule("task-name", ARGO, "names of tasks are letters, digits and -, begin with a letter, at most 121",
         "the names of Argo's tasks are made of them, with -driver behind"),
    Rule("dag-name", ARGO, "names of components with a DAG are letters, digits and -, at most 128",
         "Argo's templates are named after them"),
    Rule("name-collision", "KFP's compiler or Argo",
        "no two tasks or templates of the workflow get the same name",
         "KFP adds tasks named NAME-driver, and templates of its own"),
    Rule("no-display-name", DRIVER, "every task has taskInfo.name",
         "without it the task spec counts as missing"),
    Rule("unknown-task", ARGO, "dependentTasks names tasks of the same DAG",
         "a workflow cannot depend on a task that it does not have"),
    Rule("unknown-producer", COMPILER, "inputs come from tasks of the same DAG", "an unknown producer task"),
    Rule("task-cycle", ARGO, "tasks do not wait for each other in a circle", "the workflow has a cycle"),
    Rule("unknown-output", DRIVER, "what is read of a task is an output of its component",
         "it does not find the output"),
    Rule("unknown-parent-input", DRIVER, "what is read of the surrounding DAG is an input of it",
         "the parent DAG does not have the input"),
    Rule("unknown-input", NOBODY, "a task gives only inputs that its component has",
         "the value arrives where nobody reads it", WARNING),
    Rule("empty-input", DRIVER, "every input of a task says where its value comes from",
         "an input of no kind is not implemented"),
    Rule("missing-input", DRIVER, "a task gives every input that is neither optional nor has a default",
         "parameters it misses; a missing artifact only the program in the container notices"),
    Rule("parameter-type", DRIVER, "values have the type of the parameter that takes them",
         "a type mismatch; only STRING takes anything, as JSON"),
    Rule("no-parameter-type", DRIVER, "every parameter has a parameterType",
         "a parameter without type takes no value but null"),
    Rule("literal", DRIVER, "a value is one of the literals of its parameter", "it takes no other"),
    Rule("root-input", "API server or driver", "inputs of the pipeline are parameters that a person can give",
         "artifacts, TASK_FINAL_STATUS and TASK_CONFIG cannot be given, so that they are missing"),
    Rule("artifact-type", NOBODY, "artifacts go to inputs of their type, or of system.Artifact",
         "the program in the container gets something else than it expects"),
    Rule("artifact-schema", LAUNCHER, "every artifact has a schemaTitle or an instanceSchema",
         "schemaUri is not supported, and no type is none"),
    Rule("artifact-list-output", NOBODY, "an output of a container is one artifact, not a list",
         "of a list the launcher records the first", WARNING),
    Rule("runtime-value", DRIVER, "runtimeValue is a constant",
         "constantValue and runtimeParameter are not implemented"),
    Rule("dag-output", DRIVER, "outputs of a DAG are outputs of its tasks, and declared",
         "who reads the output does not find it"),
    Rule("exit-no-dependency", NOBODY, "an exit task depends on a task",
         "it becomes a hook of what it depends on, so it never runs"),
    Rule("exit-several-dependencies", NOBODY, "an exit task depends on one task",
         "it runs after each of them, once for each"),
    Rule("exit-dependency", NOBODY,
         "an exit task depends on a DAG or a container, not on a loop or an importer",
         "the compiler hangs no hook on those, so it never runs"),
    Rule("two-exit-tasks", NOBODY, "no two exit tasks depend on the same task", "only the last by name runs"),
    Rule("after-exit-task", ARGO, "no task depends on an exit task",
         "an exit task is a hook and no task of the workflow"),
    Rule("final-status", DRIVER, "taskFinalStatus is read by an exit task, of the task it depends on",
         "it takes the status of the first dependency, and there is none"),
    Rule("artifact-iterator", COMPILER, "loops go over parameters", "artifact iterators are not implemented"),
    Rule("iterator-items", DRIVER, "a loop has items: a JSON list, or an input with a list",
         "it cannot find or read the items"),
    Rule("iterator-component", COMPILER, "a component stands in one loop at most",
         "a template of its name exists already"),
    Rule("bad-count", NOBODY, "counts of retries, parallelism and seconds are not negative",
         "they count as not set, or as something else", WARNING),
)  # fmt: skip

_PODS = (
    Rule("unsupported-executor", COMPILER, "executors are containers or importers",
         "resolvers and custom jobs run on Vertex AI only"),
    Rule("lifecycle", NOBODY, "containers have no lifecycle hooks", "preCacheCheck is never run"),
    Rule("no-command", LAUNCHER, "a container has a command",
         "the launcher replaces the image's entrypoint, and runs the first word that it is given"),
    Rule("no-image", KUBERNETES, "a container has an image", "a pod without image is refused"),
    Rule("image-digest", NOBODY, "images are pinned by digest",
         "a tag may be another image tomorrow, and KFP's cache does not notice", WARNING),
    Rule("command-placeholder", LAUNCHER, "command[0] has no placeholder of artifacts or outputs",
         "the launcher replaces those in all words but the first"),
    Rule("unknown-placeholder", NOBODY, "placeholders are those that the backend replaces",
         "any other stays in the text as it is"),
    Rule("placeholder-name", DRIVER, "placeholders name inputs and outputs of the component",
         "an unknown parameter fails the task; an unknown artifact stays in the text as it is"),
    Rule("placeholder-place", NOBODY, "placeholders stand in command, args, image, resources or constants",
         "nowhere else are they replaced"),
    Rule("argument-too-large", KUBERNETES, "a word of the command line has less than 128 KiB",
         "Linux starts no program with a longer one"),
    Rule("component-too-large", KUBERNETES,
         "a component, and the constants of a task, have less than 128 KiB",
         "the launcher gets each as one word of its command line"),
    Rule("bad-quantity", DRIVER, "resources and sizes are Kubernetes quantities",
         "it cannot read the quantity"),
    Rule("request-over-limit", KUBERNETES, "a request is not over its limit", "the pod is refused"),
    Rule("accelerator", NOBODY, "an accelerator has a type and a count",
         "with only one of them it is left out"),
    Rule("env-name", KUBERNETES, "names of environment variables are letters, digits, _, - and .",
         "the pod is refused"),
    Rule("duplicate-env", NOBODY, "no environment variable is set twice", "the last one counts", WARNING),
    Rule("importer-uri", LAUNCHER, "an importer has a URI with a scheme, constant or from the DAG's inputs",
         "it cannot find the artifact's URI"),
    Rule("importer-output", LAUNCHER, "an importer has exactly one output artifact",
         "it cannot tell which to record"),
    Rule("importer-dependency", NOBODY, "importers depend on no task",
         "the compiler gives them no dependencies, so that they run at once"),
    Rule("importer-condition", COMPILER, "importers have no condition",
         "driver and importer are one container, so that nothing can come between"),
    Rule("condition-syntax", DRIVER, "conditions and selectors are CEL", "the expression does not compile"),
    Rule("condition-name", DRIVER, "conditions read inputs of their task",
         "the evaluation finds no such key"),
    Rule("unknown-platform-executor", NOBODY,
         "executors of the Kubernetes document are executors of the pipeline",
         "settings of an executor that does not exist reach nobody"),
    Rule("platform-name", NOBODY, "the platform is kubernetes", "other platforms are passed over"),
    Rule("pull-policy", DRIVER, "imagePullPolicy is Always, Never or IfNotPresent",
         "it takes no other value"),
    Rule("no-object-name", DRIVER, "secrets, config maps and volumes are named", "it misses the name"),
    Rule("mount-path", KUBERNETES, "mount paths are absolute, and no two of a pod are equal",
         "the pod is refused, or the driver misses the path"),
    Rule("object-name", KUBERNETES, "names of secrets, config maps and volumes are names of Kubernetes",
         "lower case letters, digits and -; volumes are named after them, so at most 63"),
    Rule("platform-parameter", DRIVER, "what the Kubernetes document reads is there where its tasks are",
         "it resolves the value in the surrounding DAG and does not find it"),
    Rule("label", KUBERNETES, "labels have at most 63 letters, digits, -, _ and .", "the pod is refused"),
    Rule("toleration", KUBERNETES, "tolerations have a known operator and effect", "the pod is refused"),
    Rule("affinity", KUBERNETES, "selectors have a known operator, and weights are 1 to 100",
         "the pod is refused"),
    Rule("access-mode", NOBODY, "access modes are those of Kubernetes",
         "KFP hands an unknown one on, or an empty one instead"),
    Rule("run-as-root", DRIVER, "runAsUser is not 0 where runAsNonRoot is set", "it refuses the pair"),
    Rule("init-container", DRIVER, "init containers have names of their own and an image",
         "it refuses the pod"),
    Rule("workspace", COMPILER, "a workspace has a size, access modes, and a storage class or none at all",
         "it cannot make the volume claim"),
    Rule("no-workspace", KUBERNETES, "who uses the workspace has one",
         "the pod waits for a volume claim that nobody makes"),
)  # fmt: skip

_OURS = (
    Rule("reserved-name", TIDEMILL, "nodes and parameters do not have the names of tidemill's own",
         "they would be taken for each other"),
    Rule("secret-value", TIDEMILL, "no URL or value holds a password",
        "all who see the pipeline would read it"),
    Rule("missing-secret", TIDEMILL,
        "each task has the variables that it reads: the store, the root, its own",
         "it would not find the record, or what its environment names"),
    Rule("root-place", TIDEMILL, "the root is an absolute path or a URI", "pods share no working folder"),
    Rule("missing-volume", TIDEMILL, "folders that a node's environment mounts are volumes of its pod",
         "the pod has no such folder"),
    Rule("image-name", TIDEMILL, "images have the form of an image's name", "no pod could be started of it"),
    Rule("data-trigger", TIDEMILL, "the schedule is a cron expression",
         "KFP has no runs that start when data arrives: notyet"),
    Rule("required-parameter", TIDEMILL, "parameters of a pipeline with a schedule have defaults",
         "scheduled runs are given none"),
)  # fmt: skip

FOUND: tuple[Rule, ...] = (*_DOCUMENTS, *_GRAPHS, *_PODS)
"""What the linter finds."""

ALL: tuple[Rule, ...] = (*FOUND, *_OURS)
"""Those, and what tidemill's compiler refuses besides."""

RULES: dict[str, Rule] = {rule.id: rule for rule in ALL}
"""By id."""
