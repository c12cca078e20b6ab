"""The command line. Commands are imported only when they are called, so `--help` stays fast."""

from __future__ import annotations

import importlib
import sys

import click

from tidemill import __version__
from tidemill.errors import DefinitionError, TidemillError, did_you_mean

_COMMANDS = {
    "run": ("tidemill.cli.run", "run", "Run a pipeline on this machine."),
    "submit": ("tidemill.cli.submit", "submit_command", "Queue a run for a worker."),
    "worker": ("tidemill.cli.worker", "worker", "Drive queued runs on this machine."),
    "cancel": ("tidemill.cli.cancel", "cancel_command", "End a run that is queued or under way."),
    "retry": ("tidemill.cli.retry", "retry_command", "Run again what did not succeed in a run."),
    "backfill": ("tidemill.cli.backfill", "backfill", "Run a pipeline for a range of dates."),
    "approvals": (
        "tidemill.cli.approvals",
        "approvals",
        "List what waits for approval, and what was decided.",
    ),
    "approve": ("tidemill.cli.approvals", "approve", "Let a node that waits for approval pass."),
    "reject": ("tidemill.cli.approvals", "reject", "Let a node that waits for approval fail."),
    "bless": ("tidemill.cli.bless", "bless", "Bless a model by hand, whatever its judges said."),
    "unbless": ("tidemill.cli.bless", "unbless", "Take the blessing of a model back."),
    "pools": ("tidemill.cli.pools", "pools", "Slots that nodes of all runs share."),
    "reproduce": ("tidemill.cli.reproduce", "reproduce", "Run a run again and say what differs."),
    "compile": ("tidemill.cli.compile", "compile_command", "Write a pipeline as IR, or list what is wrong."),
    "image": ("tidemill.cli.image", "image", "Make the image that a pipeline runs in."),
    "kubeflow": ("tidemill.cli.kubeflow", "kubeflow", "Upload, run and manage on Kubeflow Pipelines."),
    "lint-dag": ("tidemill.cli.lint_dag", "lint_dag", "List old Airflow spellings in DAG files."),
    "lint-kfp": ("tidemill.cli.lint_kfp", "lint_kfp", "Check pipelines for Kubeflow Pipelines, anybody's."),
    "explain": (
        "tidemill.cli.explain",
        "explain",
        "Say what a run would reuse, and what it would run and why.",
    ),
    "runs": ("tidemill.cli.runs", "runs", "List, show and compare runs."),
    "logs": ("tidemill.cli.logs", "logs", "Print the log of a node."),
    "failures": ("tidemill.cli.failures", "failures", "List what failed for good, by its cause."),
    "artifacts": ("tidemill.cli.artifacts", "artifacts", "List and show artifacts."),
    "sources": (
        "tidemill.cli.sources",
        "sources",
        "List what is new, late or changed in what a pipeline reads.",
    ),
    "search": ("tidemill.cli.search", "search", "Find artifacts, executions, runs and contexts by words."),
    "lineage": ("tidemill.cli.lineage", "lineage", "Trace what led to an artifact and what came of it."),
    "doctor": ("tidemill.cli.doctor", "doctor", "Check that the record is sound."),
    "prune": ("tidemill.cli.prune", "prune", "Delete the files of old runs that nothing kept refers to."),
    "mirror": ("tidemill.cli.mirror", "mirror", "Look at what is here of remote roots, and make room."),
    "models": ("tidemill.cli.models", "models", "List pushed models, and go back to an earlier one."),
    "serve": ("tidemill.cli.serve", "serve", "Answer for a model over HTTP."),
    "metadata": (
        "tidemill.cli.metadata",
        "metadata",
        "Serve the record, keep it, move parts of it.",
    ),
    "schema": ("tidemill.cli.schema", "schema", "Draw up, compare, check, change and convert schemas."),
    "init": ("tidemill.cli.init", "init", "Start a project from a template."),
}


_SECTIONS = {
    "Write and run": "init run explain compile backfill retry cancel",
    "Queue": "submit worker pools",
    "Decide": "approvals approve reject bless unbless",
    "Look": "runs logs failures artifacts lineage search sources reproduce",
    "Data and models": "schema serve models",
    "On other engines": "image kubeflow lint-kfp lint-dag",
    "Keep": "metadata doctor prune mirror",
}
"""What `tidemill --help` shows together; commands in the order in which one meets them."""


class _LazyGroup(click.Group):
    """Knows its commands by name and one line each, and imports one when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        if cmd_name not in _COMMANDS:
            return None
        module, name, _ = _COMMANDS[cmd_name]
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in _COMMANDS:
            ctx.fail(f"no such command {args[0]!r}; {did_you_mean(args[0], _COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        width = max(map(len, _COMMANDS))
        for title, names in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), _COMMANDS[name][2]) for name in names.split()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="tidemill %(version)s")
def cli() -> None:
    """ML pipelines with typed artifacts, lineage and caching.

    \b
    Start here:
      tidemill init my_project          a small project that runs
      tidemill run pipeline.py          run it; what did not change is reused
      tidemill explain pipeline.py      what a run would do, and why
      tidemill runs show latest         what happened, and what came out

    The record and the artifacts are kept in `.tidemill` below the current directory; --root or the
    environment variable TIDEMILL_ROOT choose another place. Each command and group takes --help.

    Exit codes: 0 done, 1 a node failed, 2 wrong usage or definition, 3 storage, metadata store or registry,
    4 the run cannot be started or found, 130 canceled.
    """


def main() -> None:
    """Entry point of the `tidemill` command."""
    try:
        # Outside standalone mode click returns what a command passed to Exit.
        sys.exit(cli.main(standalone_mode=False) or 0)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except TidemillError as error:
        report(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)


def report(error: TidemillError) -> None:
    """Print an error on stderr: as JSON when the command was asked for JSON, else for people."""
    if "--json" in sys.argv:
        import json

        body: dict[str, object] = {
            "code": error.code, "message": error.message, "where": error.where, "hint": error.hint,
        }  # fmt: skip
        if isinstance(error, DefinitionError):
            body["problems"] = [{"what": p.what, "where": p.where, "hint": p.hint} for p in error.problems]
        click.echo(json.dumps({"error": body}), err=True)
        return
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(str(error), err=True)


if __name__ == "__main__":
    main()
