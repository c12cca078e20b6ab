"""`tidemill schema`: draw up, compare, check, change and convert schema files.

The only command that works on data itself, and then on summaries: statistics and schemas, never rows. The
data engine is imported when a command is called.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tidemill.cli.output import harmless, json_option, print_json
from tidemill.errors import DataError

if TYPE_CHECKING:
    from tidemill.data.schema import Schema
    from tidemill.data.statistics import Statistics

_path = click.Path(path_type=Path)
_input = click.Path(path_type=Path, exists=True)


@click.group("schema")
def schema() -> None:
    """Draw up, compare, check, change and convert schemas.

    \b
    A schema is a file you keep with your code and load with ImportSchemaGen. When data does not fit it:
      tidemill schema validate STATISTICS schema.yaml --propose review.yaml
      (decide on each change in review.yaml)
      tidemill schema accept schema.yaml review.yaml

    STATISTICS is the folder of a StatisticsGen output (`tidemill artifacts list` shows it), or statistics of
    TFX (.pb, .pbtxt, or the folder of its splits). A schema may be TFX's schema.pbtxt as well (extra `tfmd`).
    """


@schema.command("infer")
@click.argument("statistics", type=_input)
@click.option("--split", help="The split to look at; all of them unless given.")
@click.option("--max-domain", type=int, default=100, show_default=True,
              help="Texts with at most so many distinct values get a domain.")  # fmt: skip
@click.option("--out", "-o", type=_path, help="Write here, not to the terminal.")
def infer_command(statistics: Path, split: str | None, max_domain: int, out: Path | None) -> None:
    """Draw up the schema that STATISTICS fit."""
    from tidemill.data.infer import infer_schema
    from tidemill.data.schema_file import schema_text

    found = _statistics(statistics)
    splits = list(found.splits.values()) if split is None else [found.split(split)]
    text = schema_text(infer_schema(splits, max_domain=max_domain))
    if out is None:
        click.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")
        click.echo(f"wrote {out}")


@schema.command("diff")
@click.argument("old", type=_input)
@click.argument("new", type=_input)
@click.option("--exit-code", is_flag=True, help="End with 1 when the two differ.")
@json_option
def diff_command(old: Path, new: Path, exit_code: bool, as_json: bool) -> None:
    """What differs between two schemas, and whether NEW lets more data pass than OLD, or less."""
    from tidemill.data.schema_diff import diff_schemas

    changes = diff_schemas(_schema(old), _schema(new))
    if as_json:
        print_json([{"path": list(c.path), "before": c.before, "after": c.after, "effect": c.effect}
                    for c in changes])  # fmt: skip
    else:
        _print_changes(changes)
    if changes and exit_code:
        raise click.exceptions.Exit(1)


@schema.command("validate")
@click.argument("statistics", type=_input)
@click.argument("schema_file", metavar="SCHEMA", type=_input)
@click.option("--baseline", type=_input, help="Statistics to measure drift from.")
@click.option("--serving", type=_input, help="Statistics to measure skew from.")
@click.option("--environment", help="Such as SERVING: what does not belong there is not expected.")
@click.option("--exclude-split", multiple=True, metavar="NAME", help="A split to leave out; repeatable.")
@click.option("--propose", type=_path, metavar="FILE", help="Write changes that would make the schema fit.")
@json_option
def validate_command(
    statistics: Path,
    schema_file: Path,
    baseline: Path | None,
    serving: Path | None,
    environment: str | None,
    exclude_split: tuple[str, ...],
    propose: Path | None,
    as_json: bool,
) -> None:
    """Hold STATISTICS against SCHEMA, as ExampleValidator does. Ends with 1 when an anomaly is an error."""
    from tidemill.data.anomalies import report_text
    from tidemill.data.split_names import select_splits
    from tidemill.data.validate import validate_statistics

    found, known = _statistics(statistics), _schema(schema_file)
    result = validate_statistics(
        found,
        known,
        splits=select_splits(list(found.splits), exclude_split),
        baseline=None if baseline is None else _statistics(baseline),
        serving=None if serving is None else _statistics(serving),
        environment=environment,
    )
    if as_json:
        print_json(result.to_json())
    else:
        click.echo(report_text(result))
    if propose is not None:
        _write_review(propose, known, found, result, quiet=as_json)
    if result.errors:
        raise click.exceptions.Exit(1)


@schema.command("accept")
@click.argument("schema_file", metavar="SCHEMA", type=_input)
@click.argument("review", type=_input)
@click.option("--rest", type=click.Choice(["yes", "no"]), help="Decides what the review leaves open.")
@click.option("--out", "-o", type=_path, help="Write the new schema here, and leave SCHEMA as it is.")
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
def accept_command(
    schema_file: Path, review: Path, rest: str | None, out: Path | None, dry_run: bool
) -> None:
    """Make the changes that REVIEW accepts to SCHEMA, and raise its version by one.

    Comments stay, but for those inside of a column that changes.
    """
    from tidemill.data.schema_diff import diff_schemas
    from tidemill.data.schema_patch import patched_text
    from tidemill.data.schema_review import accept, read_review
    from tidemill.data.tfmd.convert import is_tfmd

    schema_file = schema_file / "schema.yaml" if schema_file.is_dir() else schema_file
    if is_tfmd(schema_file):
        hint = f"tidemill schema convert {schema_file} schema.yaml"
        raise DataError("this is TFX's schema; changes are made to ours", where=str(schema_file), hint=hint)
    old = _schema(schema_file)
    decisions = read_review(_text(review), str(review), old)
    new = accept(old, decisions, str(review), rest=None if rest is None else rest == "yes")
    if new == old:
        click.echo("nothing was accepted; the schema stays as it is")
        return
    _print_changes(diff_schemas(old, new))
    if dry_run:
        return
    target = out or schema_file
    target.write_text(patched_text(_text(schema_file), new, str(schema_file)), encoding="utf-8")
    click.echo(f"wrote version {new.version} to {target}")


@schema.command("convert")
@click.argument("source", type=_input)
@click.argument("target", type=_path)
@click.option("--kind", type=click.Choice(["schema", "statistics", "anomalies"]),
              help="What SOURCE is, where the names do not say it.")  # fmt: skip
def convert_command(source: Path, target: Path, kind: Any) -> None:
    """Write a file of ours as TensorFlow Metadata has it, or the other way; TARGET's suffix says which.

    \b
      tidemill schema convert schema.pbtxt schema.yaml
      tidemill schema convert schema.yaml schema.pbtxt
      tidemill schema convert STATISTICS stats.pb
    """
    from tidemill.data.tfmd.convert import convert

    _print_notes(convert(source, target, kind))
    click.echo(f"wrote {target}")


def _statistics(path: Path) -> Statistics:
    from tidemill.data.tfmd.convert import load_any_statistics

    found, notes = load_any_statistics(path)
    _print_notes(notes)
    return found


def _schema(path: Path) -> Schema:
    from tidemill.data.tfmd.convert import load_any_schema

    found, notes = load_any_schema(path)
    _print_notes(notes)
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read: {error}", where=str(path)) from error


def _print_notes(notes: list[str]) -> None:
    for note in notes[:50]:
        click.echo(f"note: {note}", err=True)
    if len(notes) > 50:
        click.echo(f"note: and {len(notes) - 50} more", err=True)


def _print_changes(changes: list[Any]) -> None:
    if not changes:
        click.echo("the two say the same")
    colors = {"looser": "yellow", "stricter": "cyan"}
    for change in changes:
        effect = "" if change.effect == "other" else f"  ({change.effect})"
        click.secho(f"{harmless(str(change), colors=False)}{effect}", fg=colors.get(change.effect))


def _write_review(path: Path, known: Schema, found: Statistics, result: Any, *, quiet: bool) -> None:
    from tidemill.data.evolve import propose, propose_thresholds
    from tidemill.data.schema_review import review_text

    proposals = [*propose(known, found, result), *propose_thresholds(known, result)]
    path.write_text(review_text(known, proposals), encoding="utf-8")
    if not quiet:
        count = f"{len(proposals)} change{'' if len(proposals) == 1 else 's'}"
        click.echo(f"wrote {count} to {path}: decide on each, then `tidemill schema accept`")
