"""`tidemill compile`."""

from __future__ import annotations

from pathlib import Path

import click

from tidemill.cli.output import json_option, print_json
from tidemill.cli.workspace import load_ir
from tidemill.ir import codec


@click.command("compile")
@click.argument("file")
@click.option("--output", "-o", default="", metavar="FILE", help="Where to write the IR.  [default: stdout]")
@click.option("--check", is_flag=True, help="Only say whether the definition is right.")
@json_option
def compile_command(file: str, output: str, check: bool, as_json: bool) -> None:
    """Compile the pipeline that FILE defines to its IR, a JSON document.

    Every mistake is reported at once, each with its place and how to mend it; then the exit code is 2.
    The content hash of the IR is the pipeline version: equal hash, equal pipeline and code.
    """
    ir, _ = load_ir(file)
    version = codec.version(ir)
    if output:
        Path(output).write_text(codec.dumps(ir), encoding="utf-8")
    facts = {"pipeline": ir.name, "version": version, "nodes": len(ir.nodes), "output": output or None}
    if as_json and (check or output):
        print_json(facts)
    elif check or output:
        click.echo(f"pipeline {ir.name}: {len(ir.nodes)} nodes, version {version[:12]}")
    else:
        click.echo(codec.dumps(ir), nl=False)
