"""What the server tells Prometheus: calls, the database's transactions, and how large the record is.

Labels have few values whatever strangers send: a method that is none is `unknown`, and nothing of a run,
a name or a client is ever a label.
"""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Iterator, Mapping
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
from tidemill.errors import StoreError
from tidemill.metadata.sql import SqlStore
from tidemill.metadata.sql.size import estimate

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0)
"""Seconds: from a read of a few rows to the end of everybody's patience."""

_KNOWN_SECONDS = 15.0
"""How long the sizes of tables are told again, however often they are asked for."""


disable_created_metrics()  # type: ignore[no-untyped-call]  # series that only say when it started


class Metrics:
    """The figures of one server. Threads may share it."""

    content_type: ClassVar = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self, store: SqlStore) -> None:
        self._registry = CollectorRegistry()
        self._calls = Counter(
            "tidemill_store_calls", "Calls of the metadata store, by method and how they ended.",
            ["method", "outcome"], registry=self._registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "tidemill_store_call_seconds", "Time from the request to its answer, without the network.",
            ["method"], buckets=BUCKETS, registry=self._registry,
        )  # fmt: skip
        self._under_way = Gauge(
            "tidemill_store_calls_under_way", "Calls that are being answered.", registry=self._registry
        )
        build = Gauge(
            "tidemill_build_info", "The version that runs.", ["version", "python", "database"],
            registry=self._registry,
        )  # fmt: skip
        database = type(store.database.dialect).__name__.removesuffix("Dialect").lower()
        build.labels(__version__, platform.python_version(), database).set(1)
        self._registry.register(_StoreCollector(store))
        ProcessCollector(registry=self._registry)

    def begin(self) -> None:
        """A call is begun."""
        self._under_way.inc()

    def end(self, method: str, outcome: str, seconds: float) -> None:
        """Count one call."""
        self._under_way.dec()
        self._calls.labels(method, outcome).inc()
        self._seconds.labels(method).observe(seconds)

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)


class _StoreCollector(Collector):
    """Figures that the store keeps itself, read when they are asked for."""

    def __init__(self, store: SqlStore) -> None:
        self._database = store.database
        self._lock = threading.Lock()
        self._rows: Mapping[str, int] = {}
        self._read = -_KNOWN_SECONDS

    def describe(self) -> list[Metric]:
        """Nothing: whoever registers this must not ask the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Transactions and tables."""
        tally = self._database.tally.counts()
        transactions = CounterMetricFamily(
            "tidemill_store_transactions", "Transactions that were committed.", labels=["kind"]
        )
        for kind in ("read", "write"):
            transactions.add_metric([kind], tally.get(kind, 0))
        yield transactions
        again = CounterMetricFamily(
            "tidemill_store_transaction_retries", "Transactions that were tried again, and why.",
            labels=["reason"],
        )  # fmt: skip
        for reason in ("lost", "again", "raced"):
            again.add_metric([reason], tally.get(reason, 0))
        yield again
        rows = GaugeMetricFamily(
            "tidemill_store_rows", "Rows by table: the largest id, or counted up to 100000.", labels=["table"]
        )
        for table, count in self._sizes().items():
            rows.add_metric([table], count)
        yield rows

    def _sizes(self) -> Mapping[str, int]:
        with self._lock:
            if time.monotonic() - self._read >= _KNOWN_SECONDS:
                try:
                    self._rows = self._database.read(estimate)
                except StoreError:  # the other figures say more about a store that does not answer
                    self._rows = {}
                self._read = time.monotonic()
            return self._rows
