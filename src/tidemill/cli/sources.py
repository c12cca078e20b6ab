"""`tidemill sources`."""

from __future__ import annotations

import re
from pathlib import Path

import click

from tidemill.cli.output import json_option, print_json, print_table
from tidemill.cli.workspace import Workspace, load_ir, pipelines, workspace_options
from tidemill.errors import RunnerError, did_you_mean
from tidemill.runtime.watermark import FileState, watermark


@click.command()
@click.argument("pipeline")
@workspace_options
@click.option("--all", "everything", is_flag=True, help="Also files that were read and did not change.")
@json_option
def sources(pipeline: str, workspace: Workspace, everything: bool, as_json: bool) -> None:
    """What is new, late or changed among the external files that PIPELINE reads.

    PIPELINE is a pipeline's name, or the file that defines it. Every file that its runs read is compared
    with what its patterns match today: NEW comes after all that was read, MISSED is of an earlier span of
    which nothing was read, LATE came after others of its span were read, CHANGED has other bytes than then,
    GONE is not there any more. RUN is the newest run that read it, or others of its span: run that date again
    to take it in.

    \b
    Examples:
      tidemill sources pipeline.py
      tidemill sources daily --all --json
    """
    if re.search(r"\.(py(:.*)?|json)$", pipeline):
        pipeline = load_ir(pipeline)[0].name
    store = workspace.open_existing()
    try:
        if not store.get_runs(pipeline=pipeline, limit=1):
            hint = did_you_mean(pipeline, pipelines(store))
            raise RunnerError(f"there is no run of a pipeline {pipeline!r}", hint=hint)
        findings = watermark(store, pipeline, Path.cwd())
    finally:
        store.close()
    shown = [found for found in findings if everything or found.state is not FileState.READ]
    if as_json:
        print_json(
            [
                {
                    "node": f.node_id, "state": f.state.value, "span": f.span, "uri": f.uri,
                    "pattern": f.pattern, "run": f.run_id,
                }
                for f in shown
            ]
        )  # fmt: skip
        return
    rows = [
        (f.state.value, "-" if f.span is None else str(f.span), f.node_id, f.uri, f.run_id or "-")
        for f in shown
    ]
    if rows:
        print_table(["STATE", "SPAN", "NODE", "FILE", "RUN"], rows)
    read = sum(found.state is FileState.READ for found in findings)
    click.echo(f"{read} of {len(findings)} files are as they were read")
