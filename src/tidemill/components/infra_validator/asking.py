"""Asking a server over the Open Inference Protocol v2, as any client would, and judging its answers."""

from __future__ import annotations

import contextlib
import datetime as dt
import http.client
import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from tidemill.components.infra_validator.launching import NAME, NotServing, Running

_FIRST_PAUSE, _LAST_PAUSE = 0.005, 0.1
_REQUEST_SECONDS = 60.0
_MEMORY = re.compile(rb"^process_resident_memory_bytes (\S+)$", re.MULTILINE)
_DATATYPES = {"int": "INT64", "float": "FP64", "bool": "BOOL", "string": "BYTES", "timestamp": "BYTES",
              "empty": "FP64"}  # fmt: skip

Row = Mapping[str, Any]
Answers = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What asking showed."""

    latencies: tuple[float, ...]
    """Seconds for each request of one row."""
    memory: int
    """Bytes that the server held at the end; 0 when it does not say."""
    single: tuple[Answers, ...]
    """Answers to the rows one by one."""
    together: Answers
    """The answer to all of them at once."""


class Asker:
    """One connection to a server."""

    def __init__(self, running: Running) -> None:
        parts = urlsplit(running.address)
        self._running = running
        self._connection = http.client.HTTPConnection(
            parts.hostname or "", parts.port or 0, timeout=_REQUEST_SECONDS
        )

    def close(self) -> None:
        """Give the connection up."""
        self._connection.close()

    def wait_until_ready(self, deadline: float) -> None:
        """NotServing when the server ends, or is not ready by `deadline` on the monotonic clock."""
        pause = _FIRST_PAUSE
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self._ask("GET", f"/v2/models/{NAME}/ready")[0] == 200:
                    return
                # Whoever asks again uses a new connection where this one is broken.
            if ended := self._running.ended():
                raise NotServing(f"{ended} while it loaded the model")
            if time.monotonic() > deadline:
                raise NotServing("the server was not ready in time")
            time.sleep(pause)
            pause = min(2 * pause, _LAST_PAUSE)

    def measure(self, rows: Sequence[Row], types: Mapping[str, tuple[str, tuple[int, ...]]]) -> Measured:
        """Ask for each row, then for all together. NotServing when a request is refused or breaks."""
        latencies, single = [], []
        for row in rows:
            body = _request([row], types)
            began = time.perf_counter()
            answer = self._infer(body)
            latencies.append(time.perf_counter() - began)
            single.append(answer)
        together = self._infer(_request(rows, types)) if rows else {}
        return Measured(
            latencies=tuple(latencies), memory=self._memory(), single=tuple(single), together=together
        )

    def _infer(self, body: bytes) -> Answers:
        try:
            status, said = self._ask("POST", f"/v2/models/{NAME}/infer", body)
        except (OSError, http.client.HTTPException) as error:
            how = self._running.ended() or f"the connection broke: {error!r}"
            raise NotServing(f"{how} while it was asked") from None
        if status != 200:
            with contextlib.suppress(ValueError, TypeError, KeyError):
                said = json.loads(said)["error"].encode()
            raise NotServing(f"a request was answered with {status}: {said[:300].decode('utf-8', 'replace')}")
        return {
            part["name"]: np.array(part["data"], dtype=_dtype(part["datatype"])).reshape(part["shape"])
            for part in json.loads(said)["outputs"]
        }

    def _memory(self) -> int:
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            status, said = self._ask("GET", "/metrics")
            if status == 200 and (found := _MEMORY.search(said)):
                return int(float(found[1]))
        return 0

    def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        try:
            self._connection.request(method, path, body, {"content-type": "application/json"})
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise


def _dtype(datatype: str) -> Any:
    if datatype.startswith("FP"):
        return np.float64  # null, for NaN, becomes NaN
    return {"BOOL": np.bool_, "BYTES": object}.get(datatype, np.int64)


def plain_row(row: Row) -> dict[str, Any]:
    """A row as JSON can hold it: ISO text for moments, null for NaN and infinities."""
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    match value:
        case float() if not math.isfinite(value):
            return None
        case dt.datetime() | dt.date():
            return value.isoformat()
        case bytes():
            return value.decode("utf-8", "replace")
        case list():
            return [_plain(item) for item in value]
    return value


def _request(rows: Sequence[Row], types: Mapping[str, tuple[str, tuple[int, ...]]]) -> bytes:
    inputs = []
    for name, (kind, shape) in types.items():
        values = [row.get(name) for row in rows]
        if shape:
            values = [item for value in values for item in (value or [None] * shape[0])]
        tensor = {"name": name, "shape": [len(rows), *shape], "datatype": _DATATYPES[kind], "data": values}
        inputs.append(tensor)
    return json.dumps({"inputs": inputs}, allow_nan=False).encode()


def compare(served: Answers, expected: Answers, tolerance: float) -> tuple[float, str]:
    """The largest difference, and what is wrong; empty when the answers agree within `tolerance`."""
    if set(served) != set(expected):
        return math.inf, f"the server answers with {sorted(served)}, the model with {sorted(expected)}"
    largest = 0.0
    for name, values in expected.items():
        found = served[name]
        if found.shape != values.shape:
            return math.inf, f"{name!r} has the shape {found.shape}, and {values.shape} in this process"
        if values.dtype.kind not in "fiu":
            if not all(a == b for a, b in zip(found.ravel(), values.ravel(), strict=True)):
                return math.inf, f"{name!r} differs from what the model says in this process"
            continue
        values = np.where(np.isfinite(values.astype(np.float64)), values.astype(np.float64), np.nan)
        off = np.abs(found.astype(np.float64) - values)
        largest = max(largest, float(np.nanmax(off, initial=0.0)))
        if not np.allclose(found.astype(np.float64), values, rtol=tolerance, atol=tolerance, equal_nan=True):
            return largest, (
                f"{name!r} is up to {largest:.3g} away from what the model says in this process; "
                f"{tolerance:g} is allowed"
            )
    return largest, ""
