"""KServe: the manifests of a pushed version, and `kubectl apply` for them.

Field names are those of serving.kserve.io/v1beta1 InferenceService and v1alpha1 ServingRuntime; see
config/crd of kserve/kserve. Nothing here talks to a cluster but through kubectl.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tidemill.errors import DataError, PermanentError, TransientError
from tidemill.storage.uri import local_path
from tidemill.storage.versions import VERSIONS, Push
from tidemill.types.destination import KServe

FOLDER = "kserve"
PORT = 8080
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_SCHEMES = ("pvc://", "s3://", "gs://", "hdfs://", "webhdfs://", "https://", "http://", "hf://", "oci://")
_APPLY_SECONDS = 60.0


def check(place: KServe) -> None:
    """DataError for what Kubernetes or KServe would refuse."""
    for what, name in (("name", place.name), ("namespace", place.namespace), ("runtime", runtime_of(place))):
        if not _NAME.fullmatch(name):
            raise DataError(
                f"{name!r} is no {what} in Kubernetes",
                hint="use lower case letters, digits and '-', beginning with a letter; 63 at most",
            )
    if not place.storage_uri.startswith(_SCHEMES):
        raise DataError(
            f"KServe reads no models from {place.storage_uri!r}", hint="begin with pvc://, s3://, gs:// ..."
        )
    if "@" in place.storage_uri:
        raise DataError("storage_uri must not carry a password", hint="give it to the service account")
    if place.canary_percent is not None and not 0 <= place.canary_percent <= 100:
        raise DataError(f"canary_percent={place.canary_percent} is no share of the traffic: 0 to 100")
    if not place.image and not place.runtime:
        raise DataError(
            "nothing says what runs the model", hint="set image, or runtime to the name of a ServingRuntime"
        )


def runtime_of(place: KServe) -> str:
    """Name of the ServingRuntime."""
    return place.runtime or place.name


def manifests(place: KServe, version: str, digest: str) -> list[dict[str, Any]]:
    """The ServingRuntime, if an image is given, and the InferenceService of a version, as plain values."""
    model: dict[str, Any] = {
        "modelFormat": {"name": "tidemill"},
        "protocolVersion": "v2",
        "runtime": runtime_of(place),
        "storageUri": f"{place.storage_uri.rstrip('/')}/{VERSIONS}/{version}",
    }
    if place.resources:
        model["resources"] = {"requests": dict(place.resources), "limits": dict(place.resources)}
    predictor: dict[str, Any] = {"minReplicas": place.min_replicas, "model": model}
    if place.canary_percent is not None:
        predictor["canaryTrafficPercent"] = place.canary_percent
    if place.service_account:
        predictor["serviceAccountName"] = place.service_account
    service = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": place.name,
            "namespace": place.namespace,
            "annotations": {"tidemill/version": version, "tidemill/digest": digest},
        },
        "spec": {"predictor": predictor},
    }
    return [*([_runtime(place)] if place.image else []), service]


def _runtime(place: KServe) -> dict[str, Any]:
    ready = {"httpGet": {"path": "/v2/health/ready", "port": PORT}}
    container = {
        "name": "kserve-container",  # the name by which KServe finds the container that predicts
        "image": place.image,
        "command": ["tidemill"],
        "args": ["serve", "/mnt/models", "--name={{.Name}}", "--host=0.0.0.0", f"--port={PORT}"],
        "ports": [{"containerPort": PORT, "protocol": "TCP"}],
        "readinessProbe": ready,
    }
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": runtime_of(place), "namespace": place.namespace},
        "spec": {
            "supportedModelFormats": [{"name": "tidemill", "version": "1", "autoSelect": True}],
            "protocolVersions": ["v2"],
            "containers": [container],
        },
    }


def offer(place: KServe, done: Push) -> Path:
    """Write the manifests of a version that was pushed, and apply them if that is wanted.

    PermanentError where kubectl is missing or the cluster says no; TransientError when it cannot be reached.
    """
    folder = local_path(place.folder) / FOLDER
    folder.mkdir(exist_ok=True)
    path = folder / f"{done.version}.yaml"
    text = yaml.safe_dump_all(manifests(place, done.version, done.digest), sort_keys=False)
    new = folder / f".{done.version}.{os.getpid()}"
    new.write_text(text, encoding="utf-8")
    new.replace(path)
    print(f"wrote {path}")
    if place.apply:
        _apply(place, path)
    return path


def _apply(place: KServe, path: Path) -> None:
    program = shutil.which("kubectl")
    if program is None:
        raise PermanentError("kubectl is not installed where the node runs", hint=f"or apply {path} yourself")
    command = [program, *(["--context", place.context] if place.context else []), "apply", "-f", str(path)]
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=_APPLY_SECONDS, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise TransientError(f"kubectl apply did not end within {_APPLY_SECONDS:g} s") from None
    said = (ended.stdout + ended.stderr).strip()
    if ended.returncode:
        unreachable = re.search(r"refused|timeout|no route|unable to connect|TLS handshake", said, re.I)
        error = TransientError if unreachable else PermanentError
        raise error(f"kubectl apply failed: {said}", where=str(path))
    print(said)
