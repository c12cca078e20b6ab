"""`tidemill lint-kfp`."""

from __future__ import annotations

import dataclasses
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tidemill.cli.output import harmless, json_option, print_json, print_table
from tidemill.errors import DefinitionError

if TYPE_CHECKING:
    from tidemill.runners.kubeflow.lint import Finding


@click.command("lint-kfp")
@click.argument("files", nargs=-1, metavar="FILE...")
@click.option("--rules", "list_rules", is_flag=True, help="List all rules, and who refuses what breaks them.")
@click.option("--errors-only", is_flag=True, help="Leave warnings out.")
@json_option
def lint_kfp(files: tuple[str, ...], list_rules: bool, errors_only: bool, as_json: bool) -> None:
    """Check pipelines that were compiled for Kubeflow Pipelines 2, by tidemill or by anything else.

    A FILE is YAML or JSON: a pipeline with or without its Kubernetes document, a PipelineJob, or a
    PipelineVersion for kubectl; `-` is the standard input. Each finding names who would refuse it: the API
    server, its compiler, Argo, the driver, the launcher, Kubernetes; or nobody, where it would be accepted
    and not work. The exit code is 1 when there is an error, 0 with nothing but warnings.
    """
    if list_rules:
        return _rules(as_json)
    if not files:
        raise click.UsageError("name a file, or say --rules")
    from tidemill.runners.kubeflow.lint import lint_text

    found = [(file, finding) for file in files for finding in lint_text(_text(file), file)]
    found = [(file, f) for file, f in found if not (errors_only and f.rule.severity != "error")]
    if as_json:
        print_json([{"file": file, **finding.as_json()} for file, finding in found])
    else:
        _show(found)
    if any(finding.rule.severity == "error" for _, finding in found):
        click.get_current_context().exit(1)
    return None


def _show(found: list[tuple[str, Finding]]) -> None:
    for file, finding in found:
        place = f"{file}:{finding.line}" if finding.line else file
        click.echo(harmless(f"{place}: {finding}", colors=False))
    counts = Counter(finding.rule.severity for _, finding in found)
    if not found:
        click.echo("nothing found")
    else:
        click.echo(", ".join(f"{n} {name}{'s' * (n > 1)}" for name, n in sorted(counts.items())))


def _rules(as_json: bool) -> None:
    from tidemill.runners.kubeflow.rules import ALL

    if as_json:
        print_json([dataclasses.asdict(rule) for rule in ALL])
    else:
        print_table(["RULE", "SEVERITY", "REFUSED BY", "WHAT MUST HOLD"],
                    [(rule.id, rule.severity, rule.who, rule.text) for rule in ALL])  # fmt: skip


def _text(file: str) -> str:
    try:
        if file == "-":
            return sys.stdin.buffer.read().decode("utf-8")
        return Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise DefinitionError(f"the file cannot be read: {error.strerror}", where=file) from None
    except UnicodeDecodeError:
        raise DefinitionError("the file is no UTF-8 text", where=file) from None
