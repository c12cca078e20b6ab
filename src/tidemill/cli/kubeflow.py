"""`tidemill kubeflow`: pipelines on a Kubeflow Pipelines server."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from tidemill.cli import kubeflow_advice, kubeflow_runs, kubeflow_schedules
from tidemill.cli.kubeflow_server import Told, asks, changes, told
from tidemill.cli.output import print_table
from tidemill.cli.workspace import read_params
from tidemill.errors import DefinitionError
from tidemill.runners.kubeflow.client import Client
from tidemill.runners.kubeflow.client.client import OLDEST
from tidemill.runners.kubeflow.client.parameters import declared, typed
from tidemill.runners.kubeflow.client.pipelines import Package, Version

DATE = "tidemill_date"
"""The parameter of a compiled pipeline that has the date of a run by hand."""


@click.group()
def kubeflow() -> None:
    """Pipelines on a Kubeflow Pipelines server (KFP 2, API v2beta1).

    \b
    tidemill compile pipeline.py --to kubeflow -o build --image IMAGE@sha256:...
    tidemill kubeflow upload build/daily.yaml     make sure the server has this version
    tidemill kubeflow run daily -p least=0.7      start it; --wait follows it to its end
    tidemill kubeflow schedule daily --of pipeline.py
    tidemill kubeflow rollback daily              back to the version before
    tidemill kubeflow stop RUN                    end a run, here and in our record

    The server is --server or TIDEMILL_KUBEFLOW; kubectl port-forward -n kubeflow svc/ml-pipeline 8888 makes
    it http://localhost:8888. A token is read from a file, never from the command line, and never printed.
    Asking twice does nothing twice: versions are named by their content, and a lost answer is looked for.
    """


@kubeflow.command()
@click.argument("file")
@click.option("--pipeline", default="", metavar="NAME", help="Its name there.  [default: as the file says]")
@click.option("--version", default="", metavar="NAME", help="The version's.  [default: by its content]")
@click.option("--description", default="", metavar="TEXT", help="Kept with the version.")
@changes
def upload(file: str, pipeline: str, version: str, description: str, client: Client) -> Told:
    """Make sure that the server has FILE, a compiled pipeline, as a version; make the pipeline if it is new.

    A version never changes: the same file again is the version that is there.
    """
    package = _package(file, pipeline)
    _warn_of_old(client)
    found, new = client.pipelines.upload(package, version=version, description=description)
    facts = {"pipeline": package.pipeline, "pipeline_id": found.pipeline_id, "version": found.name,
             "version_id": found.id, "new": new, "sha256": package.digest}  # fmt: skip
    return told(facts, f"{'uploaded' if new else 'there already:'} version {found.name}")


@kubeflow.command()
@click.argument("target", metavar="PIPELINE|FILE")
@click.option("--version", default="", metavar="NAME", help="Name or id.  [default: the newest]")
@click.option(
    "--param",
    "-p",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    help="Value of a parameter; may be repeated.",
)
@click.option("--date", default="", metavar="YYYY-MM-DD", help="Date whose data the run processes.")
@click.option("--name", default="", metavar="NAME", help="The run's: one that exists is not started again.")
@click.option("--experiment", default="", metavar="NAME", help="Experiment, made if new.  [default: KFP's]")
@click.option("--service-account", default="", metavar="NAME", help="Whose rights the pods have.")
@click.option("--wait", is_flag=True, help="Wait until the run has ended, and end as it does.")
@changes
def run(
    target: str, version: str, params: tuple[str, ...], date: str, name: str, experiment: str,
    service_account: str, wait: bool, client: Client,
) -> Told:  # fmt: skip
    """Start a run of a pipeline on the server, or of FILE, which is uploaded first.

    With --name, a run of that name that does the same is this one, and nothing is started; it is an error
    when it does something else. Parameters are checked against the version before anything is sent.
    """
    if target.endswith((".yaml", ".yml", ".json")):
        _warn_of_old(client)
        found, _ = client.pipelines.upload(_package(target, ""), version=version)
        pipeline = Path(target).stem if not found.name else found.name.rpartition("-")[0] or found.name
        found = client.pipelines.version({"pipeline_id": found.pipeline_id}, found.id)
    else:
        there = client.pipelines.get(target)
        pipeline, found = target, client.pipelines.version(there, version)
    given = _given(found, params, date)
    experiment_id = str(client.experiments.sure(experiment)["experiment_id"]) if experiment else ""
    now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    started, new = client.runs.create(
        found, given, name=name or f"{pipeline}-{date or now}-{secrets.token_hex(3)}",
        experiment_id=experiment_id, once=bool(name), service_account=service_account,
    )  # fmt: skip
    run_id = str(started.get("run_id", ""))
    if wait:
        return kubeflow_runs.ended(client.runs.follow(run_id))
    facts = {"run": run_id, "name": started.get("display_name"), "state": started.get("state"), "new": new,
             "version": found.name, "version_id": found.id, "parameters": given}  # fmt: skip
    return told(facts, f"{'started' if new else 'there already:'} run {run_id}")


@kubeflow.command()
@asks
def pipelines(client: Client) -> Told:
    """List the pipelines on the server, newest first."""
    found = client.pipelines.all()
    rows = [(p.get("display_name"), p.get("created_at"), p.get("pipeline_id")) for p in found]
    return Told(found, lambda: print_table(["PIPELINE", "CREATED", "ID"], rows))


@kubeflow.command()
@click.argument("pipeline")
@asks
def versions(pipeline: str, client: Client) -> Told:
    """List the versions of PIPELINE, newest first."""
    found = client.pipelines.versions(str(client.pipelines.get(pipeline)["pipeline_id"]))
    facts = [{"version": v.name, "version_id": v.id, "created": v.created, "description": v.description}
             for v in found]  # fmt: skip
    rows = [(v.name, v.created, v.id) for v in found]
    return Told(facts, lambda: print_table(["VERSION", "CREATED", "ID"], rows))


@kubeflow.command()
@asks
def experiments(client: Client) -> Told:
    """List the experiments on the server, newest first."""
    found = client.experiments.all()
    rows = [(e.get("display_name"), e.get("created_at"), e.get("experiment_id")) for e in found]
    return Told(found, lambda: print_table(["EXPERIMENT", "CREATED", "ID"], rows))


for command in (*kubeflow_runs.COMMANDS, *kubeflow_schedules.COMMANDS, *kubeflow_advice.COMMANDS):
    kubeflow.add_command(command)


def _warn_of_old(client: Client) -> None:
    if client.sends and (tag := client.too_old()):
        oldest = ".".join(map(str, OLDEST))
        click.echo(f"note: this server is of KFP {tag}; what tidemill compiles needs {oldest}", err=True)


def _package(file: str, pipeline: str) -> Package:
    try:
        content = Path(file).read_bytes()
    except OSError as error:
        raise DefinitionError(f"the file cannot be read: {error.strerror}", where=file) from None
    return Package.of(file, content, pipeline)


def _given(version: Version, params: tuple[str, ...], date: str) -> dict[str, Any]:
    given: dict[str, Any] = {**read_params(params)}
    if date:
        if version.spec and DATE not in declared(version.spec):
            raise DefinitionError(
                "--date is for pipelines that tidemill compiled, and this one has no date",
                where=f"version {version.name}",
            )
        given[DATE] = date
    return typed(version.spec, given)
