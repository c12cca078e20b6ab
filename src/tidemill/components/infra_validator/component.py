"""What InfraValidator takes and gives; the work is in `executor`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tidemill.dsl.component import Input, Outputs, component
from tidemill.types.standard import Examples, InfraBlessing, Model


class InfraValidatorOutputs(Outputs):
    """The verdict, and the model with requests to warm it up."""

    blessing: InfraBlessing
    model_with_warmup: Model


@component(executor="tidemill.components.infra_validator.executor:run")
def InfraValidator(
    model: Input[Model],
    *,
    examples: Input[Examples] | None = None,
    splits: Sequence[str] = (),
    num_examples: int = 64,
    num_warmup_requests: int = 8,
    tolerance: float = 1e-6,
    max_loading_time: float = 300.0,
    num_tries: int = 3,
    max_latency: float | None = None,
    max_memory: str | None = None,
    image: str = "",
    env: Mapping[str, str] | None = None,
    env_from: Sequence[str] = (),
    cpu: float = 0.0,
    memory: str = "",
    fail: bool = False,
) -> InfraValidatorOutputs:
    """Start the server with the model, ask it with real rows, and bless the model if it answers well.

    examples: raw rows to ask with, from the beginning of `splits` (all unless given). Without examples the
        model is only loaded.
    num_examples: rows to ask with, one request each, and then all of them in one.
    num_warmup_requests: how many of them `model_with_warmup` carries: the model with a file of requests
        that `tidemill serve` answers before it calls itself ready. Hand it to Pusher in the model's stead.
    tolerance: how far an answer may be from what the model says in this process, relative and absolute.
    max_loading_time: seconds until the server must be ready. num_tries: how often it is started.
    max_latency: seconds that 99 of 100 requests for one row must keep within. max_memory: such as "2Gi",
        what the server may hold. Both are measured whether they are limited or not.
    image: run the server in a container of this image, which must have tidemill and the model's library;
        by default it is a process of this machine. env: its variables; env_from: names of variables that
        it gets from here, such as secrets. cpu, memory: limits of the container.
    fail: whether a model that is not blessed fails the node.

    Always writes `blessing.json`: `blessed`, and `reasons` where it is not, with the end of the server's log
    in `server.log`. What was measured stands in the properties of the blessing, since files of the same
    model are to be the same: load_seconds, latency_p50_ms, latency_p99_ms, memory_bytes, max_difference.
    Errors: DataError for examples that lack what the model asks for, PermanentError without a container
    engine, ValidationFailed with `fail`.
    """
