"""What a runner will do: an IR and a selection of nodes, as plain data. Nothing here has effects.

The plan that `tidemill explain` prints is the object that runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tidemill.errors import ResolutionError, RunnerError, did_you_mean
from tidemill.ir import codec
from tidemill.ir.model import LoopIR, OptionsIR, ParameterIR, PipelineIR
from tidemill.types import parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One node to launch when `upstream` has ended as its trigger rule wants it; see NodeIR."""

    node_id: str
    component: str
    upstream: tuple[str, ...]
    options: OptionsIR
    kind: str = "component"
    trigger: str = "all_success"
    loops: tuple[str, ...] = ()
    loop: LoopIR | None = None
    on_exit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The steps of one run, in an order in which they could run one by one."""

    pipeline: str
    version: str
    parameters: Mapping[str, Any]
    date: str
    steps: tuple[Step, ...]


def make_plan(ir: PipelineIR, parameters: Mapping[str, Any], date: str = "") -> Plan:
    """The plan for a run; RunnerError for an unknown, missing or wrong runtime parameter."""
    return Plan(
        pipeline=ir.name,
        version=codec.version(ir),
        parameters=bind_parameters(ir, parameters),
        date=date,
        steps=tuple(
            Step(
                node_id=n.id, component=n.component, upstream=n.upstream(), options=n.options, kind=n.kind,
                trigger=n.trigger, loops=n.loops, loop=n.loop, on_exit=n.on_exit,
            )
            for n in ir.nodes
        ),
    )  # fmt: skip


def bind_parameters(ir: PipelineIR, given: Mapping[str, Any]) -> dict[str, Any]:
    """A value for every runtime parameter. A str is read as the parameter's type, as on a command line; as
    JSON only if it is a `Text`, for a str is JSON as well.

    RunnerError for an unknown, missing or wrong one.
    """
    known = {p.name: p for p in ir.parameters}
    for name in given:
        if name not in known:
            raise RunnerError(
                f"pipeline {ir.name!r} has no runtime parameter {name!r}", hint=did_you_mean(name, known)
            )
    bound = {}
    for name, p in known.items():
        if name not in given:
            if p.required:
                raise RunnerError(f"runtime parameter {name!r} has no value", hint=f"pass --param {name}=...")
            bound[name] = float(p.default) if p.type == "float" else p.default
            continue
        bound[name] = _read(p, given[name])
    return bound


def _read(p: ParameterIR, value: Any) -> Any:
    if isinstance(value, parameter.Text) or (isinstance(value, str) and p.type not in ("str", "json")):
        try:
            value = parameter.parse(value, p.type, name=p.name, schema=p.schema)
        except ResolutionError as error:
            raise RunnerError(f"runtime {error.message}") from None
    if why := parameter.mismatch(value, p.type, p.schema):
        raise RunnerError(f"runtime parameter {p.name!r}: {why}")
    return float(value) if p.type == "float" else value


def run_date(ir: PipelineIR, given: str = "") -> str:
    """The date of a run: the given one, else the previous day for a scheduled pipeline, else none.

    RunnerError when `given` is not a date.
    """
    if given:
        try:
            return date.fromisoformat(given).isoformat()
        except ValueError:
            raise RunnerError(f"{given!r} is not a date", hint="write YYYY-MM-DD") from None
    if ir.schedule is None or not ir.schedule.cron:  # what waits for data has the date of what arrived
        return ""
    now = datetime.now(ZoneInfo(ir.schedule.timezone))
    return (now.date() - timedelta(days=1)).isoformat()
