"""What the attempts of a run took and used, for `tidemill runs show --resources`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tidemill.cli.output import duration, print_table
from tidemill.metadata.model import FAILURE, MEMORY_LIMIT, Execution, ExecutionState
from tidemill.runtime import measure
from tidemill.runtime.judge import amount

_TIMES = (measure.QUEUE, measure.START, measure.RUN, measure.SEAL, measure.CPU)
_SIZES = (measure.RSS_PEAK, measure.BYTES_IN, measure.BYTES_OUT)


def print_resources(executions: Sequence[Execution]) -> None:
    """One line per attempt, and the sums."""
    heads = [
        "NODE",
        "ATTEMPT",
        "STATE",
        "QUEUE",
        "START",
        "RUN",
        "SEAL",
        "CPU",
        "RSS PEAK",
        "IN",
        "OUT",
        "LIMIT",
    ]
    rows: list[list[str]] = []
    for e in executions:
        node, attempt = _place(e)
        found = e.custom_properties
        times = [duration(float(found[name])) if name in found else "-" for name in _TIMES]
        sizes = [amount(int(found[name])) if name in found else "-" for name in _SIZES]
        rows.append([node, attempt, e.state.name, *times, *sizes, _limit(e)])
    total = [duration(sum(float(e.custom_properties.get(n, 0.0)) for e in executions)) for n in _TIMES]
    largest = max((int(e.custom_properties.get(measure.RSS_PEAK, 0)) for e in executions), default=0)
    moved = [amount(sum(int(e.custom_properties.get(n, 0)) for e in executions)) for n in _SIZES[1:]]
    rows.append(["total", str(len(executions)), "", *total, amount(largest), *moved, ""])
    print_table(heads, rows)


def plain_resources(executions: Sequence[Execution]) -> list[dict[str, Any]]:
    """The same for programs: seconds and bytes under the names they are recorded by."""
    return [_plain(execution) for execution in executions]


def _plain(execution: Execution) -> dict[str, Any]:
    node, attempt = _place(execution)
    recorded = execution.custom_properties
    names = (*_TIMES, *_SIZES, MEMORY_LIMIT, measure.ENFORCEMENT, FAILURE)
    return {
        "node": node, "attempt": int(attempt), "execution": execution.id, "state": execution.state.name,
        "cached": execution.state is ExecutionState.CACHED,
        "wall_seconds": (execution.update_time - execution.create_time) / 1000,
        **{name.removeprefix("tidemill."): recorded[name] for name in names if name in recorded},
    }  # fmt: skip


def _place(execution: Execution) -> tuple[str, str]:
    """Node and attempt of an execution, from its name `run/node/iteration/attempt`."""
    _, node, iteration, attempt = execution.name.rsplit("/", 3)
    return (node if iteration == "0" else f"{node}[{iteration}]"), attempt


def _limit(execution: Execution) -> str:
    limit = execution.custom_properties.get(MEMORY_LIMIT)
    ways = str(execution.custom_properties.get(measure.ENFORCEMENT, ""))
    return f"{amount(int(limit))} ({ways})" if limit else ways
