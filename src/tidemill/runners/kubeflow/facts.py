"""What a KFP task is told, typed: which node of which run of which pipeline it is.

KFP hands over strings, doubles and JSON; here they become what the runtime takes. Nothing is asked of the
store but the pipeline, for most tasks know only its version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tidemill.errors import RunnerError, StoreError
from tidemill.ir import codec
from tidemill.ir.model import ParameterIR, PipelineIR
from tidemill.metadata.store import MetadataStore
from tidemill.runners.base.task import EngineRun
from tidemill.runners.kubeflow import names
from tidemill.runners.kubeflow.executor_io import ExecutorInput
from tidemill.runners.kubeflow.packing import unpack
from tidemill.runtime.plan import run_date
from tidemill.runtime.schedule import interval_start
from tidemill.types.parameter import Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The inputs of a task that are ours, and the rest."""

    node: str
    kfp_run: str
    version: str
    iteration: int = 0
    soft: bool = False
    first: bool = False
    """Whether it may make the run: it was told the date, the selection and the runtime parameters."""
    packed: str = ""
    date: str = ""
    selection: Mapping[str, Any] = field(default_factory=dict)
    schedule: str = ""
    others: Mapping[str, Any] = field(default_factory=dict)
    """Inputs under the user's own names: runtime parameters."""


def read_facts(given: ExecutorInput) -> Facts:
    """The facts. RunnerError for what is missing or of another type than it was declared with."""
    values = given.parameters
    ours = {name: value for name, value in values.items() if name.startswith(names.RESERVED)}
    selection = ours.get(names.SELECT) or {}
    if not isinstance(selection, dict):
        raise RunnerError(f"{names.SELECT} should be an object, and is {selection!r}")
    return Facts(
        node=_text(ours, names.NODE),
        kfp_run=_text(ours, names.RUN),
        version=_text(ours, names.VERSION),
        iteration=whole(ours.get(names.ITERATION, 0), names.ITERATION),
        soft=_yes(ours.get(names.SOFT, False), names.SOFT),
        first=names.DATE in ours,
        packed=_optional(ours, names.IR),
        date=_optional(ours, names.DATE),
        selection=selection,
        schedule=_optional(ours, names.SCHEDULE),
        others={name: value for name, value in values.items() if name not in ours},
    )


def pipeline_of(store: MetadataStore, facts: Facts) -> PipelineIR:
    """The pipeline, from the task itself or from the store, which has it afterwards either way."""
    if not facts.packed:
        try:
            return codec.loads(store.get_pipeline_version(facts.version))
        except StoreError as error:
            raise RunnerError(
                f"the metadata store does not have pipeline version {facts.version[:12]}: {error.message}",
                hint="a pipeline too large to be carried by its tasks is put there by `tidemill submit` or "
                "`tidemill compile --register`; is TIDEMILL_METADATA the same store?",
            ) from None
    ir = unpack(facts.packed)
    if codec.version(ir) != facts.version:
        raise RunnerError(
            f"the task carries pipeline version {codec.version(ir)[:12]}, and is told {facts.version[:12]}",
            hint="the compiled file was edited, or the image is older than what compiled it",
        )
    store.put_pipeline_version(facts.version, ir.name, codec.dumps(ir))
    return ir


def run_of(facts: Facts, ir: PipelineIR) -> EngineRun:
    """KFP's run, as the record has it. RunnerError for a runtime parameter of the wrong type."""
    return EngineRun(
        record_id=names.run_id(ir.name, facts.kfp_run),
        owner=names.owner(ir.name, facts.kfp_run),
        date=_date(facts, ir),
        parameters={p.name: typed(p, facts.others[p.name]) for p in ir.parameters if _given(facts, p)},
        selection=facts.selection if any(facts.selection.values()) else {},
    )


def typed(parameter: ParameterIR, value: Any) -> Any:
    """A runtime parameter with the type it was declared with: KFP sends a whole number as a double."""
    if parameter.type == "int" and isinstance(value, float):
        return whole(value, parameter.name)
    if parameter.type == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return Text(value) if parameter.type == "json" and isinstance(value, str) else value


def whole(value: Any, name: str) -> int:
    """A whole number that may come as a double. RunnerError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise RunnerError(f"{name} should be a whole number, and is {value!r}")
    return int(value)


def _given(facts: Facts, parameter: ParameterIR) -> bool:
    return facts.others.get(parameter.name) is not None


def _date(facts: Facts, ir: PipelineIR) -> str:
    """The given date, or that of the interval at whose end the run was due."""
    if facts.date or ir.schedule is None:
        return run_date(ir, facts.date)
    try:
        due = datetime.fromisoformat(facts.schedule)
    except ValueError:  # a server that does not know the placeholder hands it on as it is
        return run_date(ir)
    start = interval_start(ir.schedule, due)
    return run_date(ir) if start is None else start.date().isoformat()


def _text(values: Mapping[str, Any], name: str) -> str:
    if not isinstance(values.get(name), str) or not values[name]:
        raise RunnerError(
            f"the task has no input {name}",
            hint="this entrypoint runs tasks that `tidemill compile --to kubeflow` made, with this version",
        )
    return str(values[name])


def _optional(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name) or ""
    if not isinstance(value, str):
        raise RunnerError(f"{name} should be a text, and is {value!r}")
    return value


def _yes(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise RunnerError(f"{name} should be true or false, and is {value!r}")
    return value
