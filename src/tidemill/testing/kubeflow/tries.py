"""The tries of one container: pod after pod, as Argo makes of a retry policy.

Source: `containerExecutorTask` in `argocompiler/container.go` for what a pod gets, and `processNodeRetries`
in Argo's `operator.go` for whether there is another one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from tidemill.testing.kubeflow import driver
from tidemill.testing.kubeflow.document import Json, Spec
from tidemill.testing.kubeflow.driver import Places, RunFacts, Values
from tidemill.testing.kubeflow.launcher import Bucket, LauncherFailed, collect, prepare
from tidemill.testing.kubeflow.pods import (
    GRACE,
    MOST_IN_WORD,
    Pod,
    PodRunner,
    Processes,
    Started,
    end,
    expanded,
)

SUCCEEDED, FAILED, OMITTED = "Succeeded", "Failed", "Omitted"


@dataclass(slots=True)
class Node:
    """A task, or an iteration of one, as the workflow has it."""

    phase: str = ""
    why: str = ""
    tries: int = 0
    outputs: Values = field(default_factory=Values)
    ignored: list[str] = field(default_factory=list)
    """What the container told of its outputs and KFP does not keep."""


@dataclass(slots=True, kw_only=True)
class Cluster:
    """Where pods run: what the platform spec speaks of, and what starts them."""

    folder: Path
    runner: PodRunner = field(default_factory=Processes)
    rebased: bool = True
    """Whether the fixed places of a container, such as /s3, are in the pod's own folder instead."""
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    config_maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    claims: Mapping[str, Path] = field(default_factory=dict)
    """Volume claims by name, as folders of this machine."""
    environ: Mapping[str, str] = field(default_factory=dict)
    """What every container finds besides: what images would set."""
    grace: float = GRACE
    at_once: int = 8
    """Pods at the same time."""
    pause: Callable[[float], object] = time.sleep
    """Waits between two tries, so that a test need not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A container that is to run."""

    component: Json
    inputs: Values
    name: str
    place: str
    retry: Json | None
    on_exit: bool


class Pods:
    """The pods of one run."""

    def __init__(self, spec: Spec, cluster: Cluster, facts: RunFacts) -> None:
        self.spec, self.cluster, self.facts = spec, cluster, facts
        self.bucket = Bucket(cluster.folder / "bucket")
        self.ended = False
        self._slots = threading.Semaphore(cluster.at_once)
        self._running: dict[str, tuple[Started, bool]] = {}
        self._lock = threading.Lock()

    def terminate(self) -> None:
        """End all pods but those of exit hooks, and start no others."""
        with self._lock:
            self.ended = True
            running = [started for started, on_exit in self._running.values() if not on_exit]
        for started in running:
            threading.Thread(target=end, args=(started, self.cluster.grace), daemon=True).start()

    def names(self) -> list[str]:
        """Names of the pods that run now."""
        with self._lock:
            return sorted(self._running)

    def signal(self, pod: str, number: int) -> None:
        """Send a signal to a running pod."""
        with self._lock:
            started = self._running[pod][0]
        started.signal(number)

    def run(self, order: Order) -> Node:
        """The tries of a container, until one succeeds or there is no other."""
        retry = order.retry
        most = int(retry.get("maxRetryCount", 0)) if retry else 0
        began = time.monotonic()
        for index in range(most + 1):
            node = self._try(order, str(index) if retry else "")
            node.tries = index + 1
            if node.phase == SUCCEEDED or retry is None or (self.ended and not order.on_exit):
                break
            # Left out of the policy, backoffMaxDuration is 0 in KFP's template, and Argo has had enough.
            factor = float(retry.get("backoffFactor", 0)) or 1.0
            pause = _seconds(retry.get("backoffDuration")) * factor**index
            if time.monotonic() - began + pause > _seconds(retry.get("backoffMaxDuration")):
                node.why += "; Max duration limit exceeded"
                break
            if index < most:
                self.cluster.pause(pause)
        return node

    def _try(self, order: Order, index: str) -> Node:
        pod = order.place + (f"({index})" if index else "")
        folder = self.cluster.folder / "pods" / self.facts.run_id / pod
        places = Places(str(folder) if self.cluster.rebased else "")
        message = driver.executor_input(
            order.inputs, order.name, order.component, self.facts, places, index
        )  # fmt: skip
        try:
            made = self._make(order, message, pod, folder, index)
            code = self._run(made, order.on_exit)
            if made.log.exists():
                self.bucket.keep(made.log, driver.log_uri(message))
            if code != 0:
                return Node(FAILED, f"exit status {code}")
            found = collect(message, order.component, self.bucket)
        except LauncherFailed as error:
            return Node(FAILED, str(error))
        outputs = Values(parameters=found.parameters, artifacts=found.artifacts)
        return Node(SUCCEEDED, outputs=outputs, ignored=found.ignored)

    def _make(self, order: Order, message: Json, name: str, folder: Path, index: str) -> Pod:
        """The pod, with everything at its place that its container finds."""
        container = self.spec.container(order.component)
        environ = self._environ(order.component, container, name, index)
        words = [expanded(word, environ) for word in driver.words_of(container, message)]
        if any(len(word.encode()) > MOST_IN_WORD for word in words):
            raise LauncherFailed("argument list too long")
        self.bucket.fetch(message)
        if self.cluster.rebased:
            prepare(message)
        return Pod(
            name=name, task=order.place, image=container.get("image", ""), words=tuple(words),
            environ=environ, folder=folder, mounts=self._mounts(order.component),
        )  # fmt: skip

    def _run(self, pod: Pod, on_exit: bool) -> int:
        with self._slots:
            with self._lock:
                if self.ended and not on_exit:
                    return -15
                started = self.cluster.runner.start(pod)
                self._running[pod.name] = (started, on_exit)
            try:
                return started.wait()
            finally:
                with self._lock:
                    del self._running[pod.name]

    def _environ(self, component: Json, container: Json, pod: str, index: str) -> dict[str, str]:
        """The container's variables. LauncherFailed for a secret or config map that is not there."""
        found = dict(self.cluster.environ)
        found |= {entry["name"]: str(entry.get("value", "")) for entry in container.get("env", [])}
        options = self.spec.platform(component)
        for kind, there in (("secret", self.cluster.secrets), ("configMap", self.cluster.config_maps)):
            for given in options.get(f"{kind}AsEnv", []):
                found |= _from_map(given, kind, there)
        found |= {"KFP_POD_NAME": pod, "KFP_POD_UID": str(uuid4())}
        return found | ({"KFP_RETRY_INDEX": index} if index else {})

    def _mounts(self, component: Json) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for given in self.spec.platform(component).get("pvcMount", []):
            name = given.get("constant") or _constant(given.get("pvcNameParameter", {}))
            if name not in self.cluster.claims:
                raise LauncherFailed(f"persistentvolumeclaim {name!r} not found")
            found[given["mountPath"]] = self.cluster.claims[name]
        return found


def _from_map(given: Mapping[str, Any], kind: str, there: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    name = given.get(f"{kind}Name") or _constant(given.get(f"{kind}NameParameter", {}))
    if name not in there:
        if given.get("optional"):
            return {}
        raise LauncherFailed(f"{kind.lower()} {name!r} not found: the container is never created")
    found = {}
    for pair in given.get("keyToEnv", []):
        key = pair.get(f"{kind}Key", "")
        if key in there[name]:
            found[pair["envVar"]] = there[name][key]
        elif not given.get("optional"):
            raise LauncherFailed(
                f"{kind.lower()} {name!r} has no key {key!r}: the container is never created"
            )
    return found


def _constant(spec: Mapping[str, Any]) -> str:
    return str(spec.get("runtimeValue", {}).get("constant", ""))


def _seconds(duration: Any) -> float:
    return float(str(duration or "0s").removesuffix("s"))
