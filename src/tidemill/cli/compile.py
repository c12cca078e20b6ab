"""`tidemill compile`. What an engine wants is in the module of that engine beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tidemill.cli import compile_airflow, compile_kubeflow
from tidemill.cli.output import json_option, print_json
from tidemill.cli.workspace import load_ir
from tidemill.ir import codec

if TYPE_CHECKING:
    from tidemill.ir.model import PipelineIR

_OPTIONS = {"airflow": compile_airflow.OPTIONS, "kubeflow": compile_kubeflow.OPTIONS}
_TASKS = "As the tasks see it."


@click.command("compile")
@click.argument("file")
@click.option(
    "--output", "-o", default="", metavar="FILE|DIR",
    help="Where to write the IR, or with --to the files.  [default: stdout]",
)  # fmt: skip
@click.option("--check", is_flag=True, help="Only say whether the definition is right.")
@click.option("--to", "target", type=click.Choice([*_OPTIONS]), help="Write what this engine runs.")
@click.option(
    "--metadata", default="", metavar="URL",
    help="With --to: metadata store, for Airflow perhaps airflow://CONNECTION_ID.  [default: the tasks'"
    " TIDEMILL_METADATA]",
)  # fmt: skip
@click.option(
    "--root", default="", metavar="DIR|URI",
    help=f"With --to: pipeline root. {_TASKS}  [default: their TIDEMILL_ROOT]",
)  # fmt: skip
@click.option(
    "--code-root", default="", metavar="DIR",
    help=f"With --to: where modules are imported from. {_TASKS}  [default: relative to the DAG file; the"
    " image's working folder]",
)  # fmt: skip
@click.option(
    "--workdir", default="", metavar="DIR",
    help=f"With --to: where relative file patterns start. {_TASKS}  [default: the root]",
)  # fmt: skip
@click.option(
    "--image", default="", metavar="NAME@sha256:...", help="With --to kubeflow: what the nodes run in."
)
@click.option("--allow-tag", is_flag=True, help="With --to kubeflow: take images without a digest.")
@click.option(
    "--platform", multiple=True, metavar="FILE.toml",
    help="With --to kubeflow: secrets, volumes, node selectors and the like; may be repeated.",
)  # fmt: skip
@click.option(
    "--volume", multiple=True, metavar="CLAIM:/FOLDER",
    help="With --to kubeflow: a volume that all nodes have; may be repeated.",
)  # fmt: skip
@click.option(
    "--name", default="", metavar="NAME", help="With --to kubeflow: what the pipeline is called there."
)
@click.option("--namespace", default="", metavar="NAME", help="With --to kubeflow: of the custom resources.")
@click.option(
    "--options", default="", metavar="FILE.toml",
    help='With --to airflow: what Airflow alone is told of nodes: a table [nodes."PATTERN"] each.',
)  # fmt: skip
@click.option(
    "--assets", multiple=True, metavar="NODE[.OUTPUT]",
    help="With --to airflow: outputs that are Airflow's assets, or: results, all, none.  [default: results]",
)  # fmt: skip
@click.option(
    "--alerts", default="", metavar="FILE",
    help="With --to airflow: TOML file that says who is told when a run fails, succeeds or is late.",
)  # fmt: skip
@json_option
def compile_command(
    file: str, output: str, check: bool, target: str | None, as_json: bool, **options: Any
) -> None:
    """Compile the pipeline that FILE defines to its IR, a JSON document.

    Every mistake is reported at once, each with its place and how to mend it; then the exit code is 2.
    The content hash of the IR is the pipeline version: equal hash, equal pipeline and code.

    With --to airflow, DIR gets a DAG file and the IR beside it; with --to kubeflow the pipeline as Kubeflow
    Pipelines takes it, and as custom resources of Kubernetes. The same pipeline gives the same bytes, and the
    engine need not be installed here.
    """
    given = {name: value for name, value in options.items() if value}
    _refuse(output, target, check, given)
    ir, code_root = load_ir(file)
    if target == "kubeflow":
        ir = compile_kubeflow.placed(ir, given)
    facts: dict[str, Any] = {"pipeline": ir.name, "version": codec.version(ir), "nodes": len(ir.nodes)}
    line = f"pipeline {ir.name}: {len(ir.nodes)} nodes, version {facts['version'][:12]}"
    if target:
        files = _files(target, ir, code_root, output, given)
        facts["files"] = [] if check else _write_all(Path(output), files)
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


def _refuse(output: str, target: str | None, check: bool, given: dict[str, Any]) -> None:
    if target and not (output or check):
        raise click.UsageError(f"--to {target} writes files: name their folder with --output DIR")
    if target and Path(output).is_file():
        raise click.UsageError(f"--output {output} is a file, and --to {target} needs a folder")
    for name in given:
        engines = [engine for engine, known in _OPTIONS.items() if name in known]
        if target not in engines:
            raise click.UsageError(f"--{name.replace('_', '-')} is for --to {' and --to '.join(engines)}")


def _files(target: str, ir: PipelineIR, code_root: str, output: str, given: dict[str, Any]) -> dict[str, str]:
    if target == "airflow":
        return compile_airflow.files(ir, code_root, output, given)
    return compile_kubeflow.files(ir, given)


def _write_all(folder: Path, files: dict[str, str]) -> list[str]:
    for name, text in files.items():
        _write(folder / name, text, make_folder=True)
    return [str(folder / name) for name in files]


def _write(path: Path, text: str, *, make_folder: bool = False) -> None:
    try:
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"--output {path} cannot be written: {error.strerror}") from None
