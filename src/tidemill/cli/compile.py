"""`tidemill compile`."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from tidemill.cli.output import json_option, print_json
from tidemill.cli.workspace import load_ir
from tidemill.ir import codec

_WORKERS = "As Airflow's workers see it."


@click.command("compile")
@click.argument("file")
@click.option(
    "--output", "-o", default="", metavar="FILE|DIR",
    help="Where to write the IR, or with --to the files.  [default: stdout]",
)  # fmt: skip
@click.option("--check", is_flag=True, help="Only say whether the definition is right.")
@click.option("--to", "target", type=click.Choice(["airflow"]), help="Write what this engine runs.")
@click.option(
    "--metadata", default="", metavar="URL",
    help="With --to: metadata store, or airflow://CONNECTION_ID.  [default: the workers' TIDEMILL_METADATA]",
)  # fmt: skip
@click.option(
    "--root", default="", metavar="DIR",
    help=f"With --to: pipeline root. {_WORKERS}  [default: their TIDEMILL_ROOT]",
)  # fmt: skip
@click.option(
    "--code-root", default="", metavar="DIR",
    help=f"With --to: where modules are imported from. {_WORKERS}  [default: relative to the DAG file]",
)  # fmt: skip
@click.option(
    "--workdir", default="", metavar="DIR",
    help=f"With --to: where relative file patterns start. {_WORKERS}  [default: the root]",
)  # fmt: skip
@click.option(
    "--assets", multiple=True, metavar="NODE[.OUTPUT]",
    help="With --to: outputs that are Airflow's assets, or: results, all, none.  [default: results]",
)  # fmt: skip
@click.option(
    "--alerts", default="", metavar="FILE",
    help="With --to: TOML file that says who is told when a run fails, succeeds or is late.",
)  # fmt: skip
@json_option
def compile_command(
    file: str, output: str, check: bool, target: str | None, as_json: bool, assets: tuple[str, ...],
    alerts: str, **places: str,
) -> None:  # fmt: skip
    """Compile the pipeline that FILE defines to its IR, a JSON document.

    Every mistake is reported at once, each with its place and how to mend it; then the exit code is 2.
    The content hash of the IR is the pipeline version: equal hash, equal pipeline and code.

    With --to airflow, DIR gets a DAG file and the IR beside it: the same bytes for the same pipeline.
    Airflow need not be installed here.
    """
    _refuse(output, target, check, {**places, "assets": " ".join(assets), "alerts": alerts})
    ir, code_root = load_ir(file)
    facts: dict[str, Any] = {"pipeline": ir.name, "version": codec.version(ir), "nodes": len(ir.nodes)}
    line = f"pipeline {ir.name}: {len(ir.nodes)} nodes, version {facts['version'][:12]}"
    if target:
        from tidemill.runners.airflow.files import dag_files

        files = partial(dag_files, ir, assets=assets, alerts=_alerts(alerts))
        facts["files"] = _to_airflow(files, code_root, output, check, places)
        line += "".join(f"\n{name}" for name in facts["files"])
    else:
        if output:
            _write(Path(output), codec.dumps(ir))
        facts["output"] = output or None
    if as_json and (check or output):
        print_json(facts)
    elif check or output:
        click.echo(line)
    else:
        click.echo(codec.dumps(ir), nl=False)


def _refuse(output: str, target: str | None, check: bool, places: dict[str, str]) -> None:
    if target and not (output or check):
        raise click.UsageError(f"--to {target} writes files: name their folder with --output DIR")
    if target and Path(output).is_file():
        raise click.UsageError(f"--output {output} is a file, and --to {target} needs a folder")
    given = [name for name, value in places.items() if value]
    if given and not target:
        raise click.UsageError(f"--{given[0].replace('_', '-')} is for --to airflow")


def _to_airflow(
    make: Callable[..., dict[str, str]], code_root: str, output: str, check: bool, places: dict[str, str]
) -> list[str]:
    """Write the files; their paths. Only the folder that modules come from is relative, to the DAG file."""
    folder = Path(output)
    if not places["code_root"]:
        found = os.path.relpath(Path(code_root).resolve(), folder.resolve())
        places = {**places, "code_root": Path(found).as_posix()}
    files = make(**places)
    if check:
        return []
    for name, text in files.items():
        _write(folder / name, text, make_folder=True)
    return [str(folder / name) for name in files]


def _alerts(file: str) -> Any:
    """The alerts that a file describes; None without one."""
    from tidemill.runners.airflow.alerting import read_alerts

    if not file:
        return None
    try:
        return read_alerts(Path(file).read_text(encoding="utf-8"), file)
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"--alerts {file} cannot be read: {error}") from None


def _write(path: Path, text: str, *, make_folder: bool = False) -> None:
    try:
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"--output {path} cannot be written: {error.strerror}") from None
