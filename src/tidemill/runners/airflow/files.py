"""The files that Airflow's dags folder gets: one DAG file of a few lines, and the pipeline's IR beside it.

They are text made of the IR alone, so the same pipeline gives the same bytes, and writing them needs no
Airflow. What Airflow cannot take is said here, before a scheduler has to.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pprint import pformat
from textwrap import indent
from typing import Any

from tidemill.errors import DefinitionError, Problem
from tidemill.ir import codec
from tidemill.ir.model import PipelineIR
from tidemill.runners.airflow import names
from tidemill.runners.airflow.alerting import Alerts
from tidemill.runners.airflow.defaults import MOST_MAPPED, RESULTS
from tidemill.runners.airflow.options import Given, check_places, options_of, plain_of
from tidemill.runners.airflow.outputs import chosen
from tidemill.runners.base.task import DATE, SELECT

_FILE = '''\
"""The pipeline {name} as an Airflow DAG, written by `tidemill compile --to airflow`: do not edit."""

from pathlib import Path

from airflow.sdk import DAG

from tidemill.runners.airflow import load_dag

HERE = Path(__file__).parent

dag: DAG = load_dag(
    HERE / {file},
{arguments}
)
'''


def dag_files(
    ir: PipelineIR, *, code_root: str = ".", metadata: str = "", root: str = "", workdir: str = "",
    options: Given | None = None, max_map_length: int = MOST_MAPPED,
    assets: Sequence[str] = (), alerts: Alerts | None = None,
) -> dict[str, str]:  # fmt: skip
    """File name -> text: the DAG file and the IR.

    `code_root` may be relative to the folder of the DAG file, the others are as the workers see them; what
    is empty is found by the workers (TIDEMILL_METADATA, TIDEMILL_ROOT). `options` are those of nodes.
    `assets`: see `outputs.chosen`, by default the results. DefinitionError: see `check` and `options_of`,
    and for a URL with a password.
    """
    check(ir, max_map_length)
    check_places(ir, options_of(ir, options or {}), metadata=metadata, root=root)
    chosen(ir, tuple(assets) or RESULTS)
    check_alerts(ir, alerts)
    if names.has_password(metadata):
        raise DefinitionError(
            "the metadata URL holds a password, which everybody who sees the DAG file would read",
            where=ir.name,
            hint="name an Airflow connection (airflow://ID), or set TIDEMILL_METADATA for the workers",
        )
    stem = names.dag_id(ir.name)
    arguments = [f"code_root=HERE / {json.dumps(code_root)}"]
    given = {"metadata": metadata, "root": root, "workdir": workdir}
    arguments += [f"{name}={json.dumps(value)}" for name, value in given.items() if value]
    if max_map_length != MOST_MAPPED:
        arguments.append(f"max_map_length={max_map_length}")
    if options:
        arguments.append(f"options={_literal({p: plain_of(given) for p, given in options.items()})}")
    if assets:
        arguments.append(f"assets={json.dumps(assets[0] if len(assets) == 1 else [*assets])}")
    if alerts:
        literal = pformat(alerts.to_json(), width=96, sort_dicts=False)
        arguments.append("alerts=" + indent(literal, " " * 11).lstrip())
    lines = "\n".join(f"    {argument}," for argument in arguments)
    file = f"{stem}.json"
    text = _FILE.format(name=ir.name, file=json.dumps(file), arguments=lines)
    return {f"{stem}_dag.py": text, file: codec.dumps(ir)}


def _literal(value: Any, depth: int = 1) -> str:
    """JSON as Python spells it: tables over several lines, keys in the order that they were given in."""
    if not isinstance(value, Mapping) or not value:
        return json.dumps(value) if isinstance(value, str) else repr(value)
    inner = "    " * (depth + 1)
    lines = [f"{inner}{json.dumps(key)}: {_literal(item, depth + 1)}," for key, item in value.items()]
    return "\n".join(["{", *lines, "    " * depth + "}"])


def check_alerts(ir: PipelineIR, alerts: Alerts | None) -> None:
    """DefinitionError for alerts on a deadline that the pipeline does not have."""
    if alerts and alerts.deadline and not (ir.schedule and ir.schedule.deadline):
        raise DefinitionError(
            "there is nobody to be told of a deadline, for the schedule has none",
            where=ir.name,
            hint='write Schedule(..., deadline=SECONDS), or leave "deadline" out of the alerts',
        )


def check(ir: PipelineIR, max_map_length: int = MOST_MAPPED) -> None:
    """DefinitionError that lists everything in the pipeline that Airflow cannot take."""
    if problems := [*_problems(ir, max_map_length)]:
        raise DefinitionError.of(f"Airflow cannot take pipeline {ir.name!r}", problems)


def _problems(ir: PipelineIR, most: int) -> Iterator[Problem]:
    for parameter in ir.parameters:
        if parameter.name in (DATE, SELECT):
            yield Problem(
                f"the runtime parameter {parameter.name!r} has the name of one that every DAG has",
                ir.name,
                "give it another name",
            )
        elif parameter.required and ir.schedule is not None:
            yield Problem(
                f"the runtime parameter {parameter.name!r} has no default, and scheduled runs are given none",
                ir.name,
                "give it a default, or leave the schedule out",
            )
    ours = {names.RUN_END: "the task that ends a run"}
    for node in ir.nodes:
        if node.loop is not None:
            ours[node.id + names.ITEMS_SUFFIX] = f"the task that lists the iterations of {node.id}"
        path = node.id.rpartition(".")[0]
        if path:
            ours[path + names.GROUP_SUFFIX] = f"the task group of {path}"
    for node in ir.nodes:
        if node.id in ours:
            yield Problem(
                f"node {node.id!r} has the name of {ours[node.id]}",
                node.id,
                "give it another one: .with_id()",
            )
        if node.loop is not None and node.loop.limit > most:
            yield Problem(
                f"loop {node.id!r} may have {node.loop.limit} iterations; Airflow maps {most} at most",
                node.id,
                f"say limit={most}, or less, in ForEach; where the installation's core.max_map_length is "
                "larger, name it: max_map_length",
            )
