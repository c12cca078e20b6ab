"""The terms of one attempt: what it may use, what it used, and what follows when it fails.

Everything that `launch` needs of retry.py and measure.py, bound to one granted claim.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping
from random import Random
from typing import Any

from tidemill.ir.model import NodeIR
from tidemill.metadata.model import (
    FAILURE,
    FINGERPRINT,
    MEMORY_LIMIT,
    RETRY_AT,
    Artifact,
    Claim,
    PropertyValue,
)
from tidemill.metadata.store import MetadataStore
from tidemill.runtime import fingerprint, measure, retry
from tidemill.runtime.failure import Failure, FailureKind
from tidemill.runtime.limits import Limits

TIMEOUT, RETRY = "tidemill.timeout", "tidemill.retry"
"""Custom properties of a failed execution: which time limit was reached, why another attempt or none."""
_RNG = Random()


class Terms:
    """Made right after the claim was granted: the attempt's time counts from here."""

    def __init__(self, node: NodeIR, claim: Claim, store: MetadataStore, ready: int) -> None:
        self.node = node
        self.options = node.options
        self.ready = ready
        self.usage = measure.Usage(claimed=time.monotonic())
        if ready:
            self.usage.queued = max(0.0, time.time() - ready / 1000)
        self.history: list[retry.Past] = []
        if claim.attempt > 1:
            earlier = store.get_executions(claim.run_id, node.id)  # named run/node/iteration/attempt
            mine = [e for e in earlier if e.name.split("/")[-2:-1] == [str(claim.iteration)]]
            self.history = retry.history_of(mine)

    def late(self) -> Failure | None:
        """The failure of a node that waited for its turn too long."""
        return retry.waited_too_long(self.options, self.ready, now_ms())

    def limits(self) -> Limits:
        """What the executor may use, if it starts now."""
        return retry.limits_for(self.options, self.history, now_ms())

    def rules(self) -> dict[str, Any]:
        """What an executor process needs to classify exceptions, as fields of the order."""
        policy = self.options.retry
        if policy is None:
            return {}
        rules = tuple(dataclasses.asdict(rule) for rule in policy.rules)
        return {"rules": rules, "no_retry_on": policy.no_retry_on}

    def measured(
        self, inputs: Iterable[Artifact], outputs: Mapping[str, Iterable[Artifact]]
    ) -> dict[str, PropertyValue]:
        """What the attempt took and used until now, as custom properties of its execution."""
        made = (artifact for artifacts in outputs.values() for artifact in artifacts)
        found = self.usage.properties(time.monotonic())
        found[measure.BYTES_IN] = measure.size_of(a.custom_properties for a in inputs)
        found[measure.BYTES_OUT] = measure.size_of(a.custom_properties for a in made)
        if self.usage.memory_limit:
            found[MEMORY_LIMIT] = self.usage.memory_limit
        return found

    def judged(self, failure: Failure) -> dict[str, PropertyValue]:
        """What is recorded of a failure: its class, and whether there is another attempt.

        Published together with the failure, so that any runner knows.
        """
        found: dict[str, PropertyValue] = {FAILURE: failure.kind.value}
        if failure.timeout:
            found[TIMEOUT] = failure.timeout
        if failure.kind is FailureKind.CANCELED:
            return found
        decision = retry.decide(self.options, self.history, failure, now_ms(), _RNG)
        found[RETRY] = decision.reason
        if isinstance(decision, retry.Retry):
            return {**found, RETRY_AT: decision.at}
        print_ = failure.fingerprint or fingerprint.of_message(
            failure.kind.value, failure.message, self.node.executor
        )
        return {**found, FINGERPRINT: print_}


def now_ms() -> int:
    """Milliseconds since 1970, as the record counts time."""
    return int(time.time() * 1000)
