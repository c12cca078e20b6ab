"""Where Pusher may put a model: one frozen object for each kind of place, made of plain values.

A destination is a mapping too, of its kind and its fields, so it is written into the IR as it is and any
field may be a placeholder. Nothing secret has a field here: a secret is named by the environment variable
that holds it where the node runs. How a place is written to is Pusher's affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from tidemill.errors import DataError, did_you_mean
from tidemill.types.tagged import Tagged


class Destination(Tagged):
    """The root of all kinds. Use `Filesystem`, `KServe`, `MlflowRegistry` or `Webhook`."""


@dataclass(frozen=True, kw_only=False)
class Filesystem(Destination):
    """A folder of versions with a pointer to the current one; `tidemill serve FOLDER` follows it."""

    kind: ClassVar[str] = "filesystem"
    folder: str
    """Local or mounted."""


@dataclass(frozen=True, kw_only=True)
class KServe(Destination):
    """A KServe InferenceService (serving.kserve.io/v1beta1) that serves the pushed version.

    The model is pushed to `folder`, as to a Filesystem; the cluster reads the same files at `storage_uri`.
    Beside them, `kserve/<version>.yaml` holds the manifest, so that an earlier one can be applied again.
    """

    kind: ClassVar[str] = "kserve"
    name: str
    """Of the InferenceService."""
    folder: str
    storage_uri: str
    """Where the cluster finds `folder`: `pvc://claim/path`, `s3://bucket/path`, `gs://...`."""
    image: str = ""
    """An image with tidemill[serve] and the model's framework; a ServingRuntime for it is written too."""
    runtime: str = ""
    """Name of the ServingRuntime; the InferenceService's name unless given. Without `image` it must exist."""
    namespace: str = "default"
    canary_percent: int | None = None
    """Share of the traffic for this version, while KServe keeps the rest on the last good one."""
    min_replicas: int = 1
    resources: Mapping[str, str] = field(default_factory=dict)
    """Requests and limits of the container, such as {"cpu": "1", "memory": "2Gi"}."""
    service_account: str = ""
    apply: bool = False
    """Whether to run `kubectl apply`; by default the manifest is only written."""
    context: str = ""
    """Of kubectl's configuration; the current one unless given."""


@dataclass(frozen=True, kw_only=True)
class MlflowRegistry(Destination):
    """A registered model of MLflow: a new version, and an alias that points to it."""

    kind: ClassVar[str] = "mlflow"
    name: str
    alias: str = "champion"
    tracking_uri: str = ""
    """Without a password in it: MLflow reads MLFLOW_TRACKING_TOKEN and the like itself. MLflow's own
    default unless given."""
    experiment: str = "tidemill"
    """Where MLflow keeps the run that a version belongs to."""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Webhook(Destination):
    """An HTTP address that is told where the model is: a signed POST in the form of Standard Webhooks.

    The body is JSON with type `model.pushed` and, in `data`, the model's uri, digest, size and date. The
    header `webhook-id` is the same for the same model, so a receiver can drop what it had before.
    """

    kind: ClassVar[str] = "webhook"
    url: str = ""
    url_env: str = ""
    """Environment variable with the address, for addresses that are a secret themselves."""
    secret_env: str = ""
    """Environment variable with the secret; `webhook-signature` is made with it (HMAC-SHA256)."""
    headers_env: Mapping[str, str] = field(default_factory=dict)
    """Further headers by name; the values are names of environment variables."""
    timeout: float = 10.0
    """Seconds for one try."""
    attempts: int = 4
    """Tries, with growing waits, while the receiver cannot be reached or answers 408, 429 or 5xx."""


KINDS: dict[str, type[Destination]] = {cls.kind: cls for cls in (Filesystem, KServe, MlflowRegistry, Webhook)}
"""Every destination by its kind."""


def destination_of(value: str | Mapping[str, Any]) -> Destination:
    """A destination from its plain form; a text is a folder. DataError for what is none."""
    if isinstance(value, Destination):
        return value
    if isinstance(value, str):
        return Filesystem(value)
    given = dict(value)
    kind = given.pop("kind", "")
    if kind not in KINDS:
        raise DataError(f"there is no destination of the kind {kind!r}", hint=did_you_mean(str(kind), KINDS))
    names = [item.name for item in fields(KINDS[kind])]  # type: ignore[arg-type]  # every kind is a dataclass
    for name in given:
        if name not in names:
            raise DataError(f"a {kind} destination has no {name!r}", hint=did_you_mean(name, names))
    try:
        return KINDS[kind](**given)
    except TypeError as error:
        raise DataError(f"a {kind} destination is not complete: {error}") from None
