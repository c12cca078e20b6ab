"""What the model server tells Prometheus: requests, rows, times, and which version is served.

Labels have few values whatever clients send: the form of the request and the status, never an id.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from tidemill import __version__
from tidemill.serving.hosting import Host

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Seconds: from one row of a small model to a large batch of a large one."""

disable_created_metrics()  # type: ignore[no-untyped-call]  # series that only say when it started


class Metrics:
    """The figures of one model server. Threads may share it."""

    content_type: ClassVar = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self, host: Host) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "tidemill_serving_requests", "Requests for predictions, by form and status.", ["form", "status"],
            registry=self._registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "tidemill_serving_request_seconds", "Time from a request's last byte to its answer's first.",
            ["form"], buckets=BUCKETS, registry=self._registry,
        )  # fmt: skip
        self._rows = Counter(
            "tidemill_serving_rows", "Rows that predictions were made for.", registry=self._registry
        )
        self.under_way = Gauge(
            "tidemill_serving_requests_under_way", "Requests that are being answered.",
            registry=self._registry,
        )  # fmt: skip
        self._registry.register(_HostCollector(host))
        ProcessCollector(registry=self._registry)

    def end(self, form: str, status: int, seconds: float, rows: int) -> None:
        """Count one request."""
        self._requests.labels(form, str(status)).inc()
        self._seconds.labels(form).observe(seconds)
        self._rows.inc(rows)

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)


class _HostCollector(Collector):
    """What the host knows, read when it is asked for."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def collect(self) -> Iterator[Metric]:
        """The version, and how loading went."""
        served = self._host.current
        info = GaugeMetricFamily(
            "tidemill_serving_model_info", "The model that is served.",
            labels=["version", "digest", "framework", "tidemill"],
        )  # fmt: skip
        if served is not None:
            framework = served.model.manifest.framework
            info.add_metric([served.version, served.digest, framework, __version__], 1)
        yield info
        for name, what, value in (
            ("tidemill_serving_loads", "Versions that were loaded.", self._host.loads),
            ("tidemill_serving_load_failures", "Versions that could not be loaded.", self._host.failures),
        ):
            family = CounterMetricFamily(name, what)
            family.add_metric([], value)
            yield family
