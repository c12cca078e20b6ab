"""`tidemill kubeflow` commands on runs: listed, looked at, ended, tried again, put away."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import click

from tidemill.cli.kubeflow_server import Told, asks, changes, told
from tidemill.cli.output import first_line, harmless, print_table
from tidemill.errors import ExecutorError, RunnerError, did_you_mean
from tidemill.metadata.open import open_store
from tidemill.runners.base.ending import cancel
from tidemill.runners.kubeflow.client import Client
from tidemill.runners.kubeflow.client.runs import ENDED, tasks_of, version_of

OURS = "tidemill"
"""Begins the `sdkVersion` of what we compiled."""


@click.command("runs")
@click.option("--pipeline", default="", metavar="NAME", help="Only of this pipeline.")
@click.option("--experiment", default="", metavar="NAME", help="Only of this experiment.")
@click.option("--limit", default=20, show_default=True, help="How many at most.")
@asks
def list_runs(pipeline: str, experiment: str, limit: int, client: Client) -> Told:
    """List runs on the server, newest first; archived ones are left out."""
    pipeline_id = str(client.pipelines.get(pipeline)["pipeline_id"]) if pipeline else ""
    experiment_id = str(client.experiments.get(experiment)["experiment_id"]) if experiment else ""
    found = client.runs.all(pipeline_id=pipeline_id, experiment_id=experiment_id, limit=limit)
    rows = [(r.get("run_id"), r.get("state", ""), r.get("created_at", ""), r.get("display_name", ""))
            for r in found]  # fmt: skip
    facts = [_facts(r) for r in found]
    return Told(facts, lambda: print_table(["RUN", "STATE", "CREATED", "NAME"], rows))


@click.command("status")
@click.argument("run")
@click.option("--wait", is_flag=True, help="Wait until the run has ended, and end as it does.")
@asks
def status(run: str, wait: bool, client: Client) -> Told:
    """Say where RUN stands on the server, task by task. RUN is an id, its beginning, a name or `latest`.

    What KFP calls a task may be SKIPPED or CACHED for us: tidemill runs show RUN says what the record has.
    """
    found = client.runs.get(run)
    if wait:
        return ended(client.runs.follow(str(found.get("run_id", run))))
    return ended(found, code=0)


def ended(run: Mapping[str, Any], code: int | None = None) -> Told:
    """What became of a run; the exit code of a run that failed is 1, of a canceled one 130."""
    tasks = tasks_of(run)
    facts = {**_facts(run), "tasks": tasks}
    state = str(run.get("state", ""))

    def show() -> None:
        click.echo(f"run {run.get('run_id')} is {state}")
        if why := (run.get("error") or {}).get("message", ""):
            click.echo(f"  {first_line(str(why), 300)}")
        if tasks:
            rows = [(t["task"], t["state"], t["start"], first_line(str(t["error"]))) for t in tasks]
            print_table(["TASK", "STATE", "START", "ERROR"], rows)

    if code is None:
        code = {"FAILED": ExecutorError.exit_code, "CANCELED": 130}.get(state, 0)
    return Told(facts, show, code)


@click.command("logs")
@click.argument("run")
@click.argument("task", required=False, default="")
@click.option("--pod", default="", metavar="NAME", help="The log of this pod of the run.")
@asks
def logs(run: str, task: str, pod: str, client: Client) -> Told:
    """Print the log of a TASK of RUN, as far as the server can read it.

    KFP has it as long as Kubernetes has the pod, and in its archive where one is set up. Our own record has
    the log of every attempt: tidemill logs RUN NODE, where the pipeline root can be read.
    """
    found = client.runs.get(run)
    run_id = str(found.get("run_id", run))
    pods = [pod] if pod else _pods(found, task)
    texts = {name: client.runs.log(run_id, name).decode("utf-8", "replace") for name in pods}

    def show() -> None:
        for name, text in texts.items():
            if len(texts) > 1:
                click.secho(f"--- {name}", bold=True)
            click.echo(harmless(text, colors=True), nl=not text.endswith("\n"))

    return Told(texts, show)


def _pods(run: Mapping[str, Any], task: str) -> list[str]:
    tasks = [t for t in tasks_of(run) if t["pods"]]
    matching = [t for t in tasks if t["task"] == task]
    found = [str(pod) for t in matching for pod in t["pods"]]
    if not found:
        known = [str(t["task"]) for t in tasks]
        why = f"the server names no pod of {task!r}" if task else "name a task of the run"
        hint = did_you_mean(task, known) or "once it runs, kubectl get pods names them: --pod NAME"
        raise RunnerError(why, where=f"run {run.get('run_id')}", hint=hint)
    return found


@click.command("stop")
@click.argument("run")
@click.option(
    "--metadata", envvar="TIDEMILL_METADATA", default="", metavar="URL",
    help="Our record, which is asked to end the run as well.  [default: TIDEMILL_METADATA, if set]",
)  # fmt: skip
@changes
def stop(run: str, metadata: str, client: Client) -> Told:
    """End RUN on the server, and ask our own record to end it, so that no more of its nodes start.

    Pods get SIGTERM; a node that runs is ended with all its processes, and exit nodes run as always. The
    exit code is 4 when the run had ended already.
    """
    found = client.runs.get(run)
    run_id, state = str(found.get("run_id", run)), str(found.get("state", ""))
    recorded = _cancel_recorded(metadata, run_id) if metadata and client.sends else ""
    if state in ENDED:
        return told({"run": run_id, "state": state, "record": recorded}, f"run {run_id} is {state} already",
                    RunnerError.exit_code)  # fmt: skip
    client.runs.terminate(run_id)
    facts = {"run": run_id, "state": "CANCELING", "record": recorded}
    also = f", and so was {recorded} in our record" if recorded else ""
    return told(facts, f"run {run_id} was asked to end{also}")


def _cancel_recorded(metadata: str, run_id: str) -> str:
    """Ask our record to end what it has of a run; its id there, or "" where it does not know it yet."""
    store = open_store(metadata)
    try:
        for run in store.get_runs(limit=1000):
            if run.owner.startswith("kubeflow/") and run.owner.endswith(f"/{run_id}"):
                if not run.state.ended:
                    cancel(store, run.id)
                return run.id
    finally:
        store.close()
    return ""


@click.command("retry")
@click.argument("run")
@click.option("--in-place", is_flag=True, help="Let KFP try again in the same run, whatever compiled it.")
@changes
def retry(run: str, in_place: bool, client: Client) -> Told:
    """Do again what did not succeed in RUN.

    For a pipeline that tidemill compiled this is a new run of the same version and parameters, in which what
    is complete is reused: KFP's own retry would only repeat what our record says has ended. Of others it is
    KFP's own, in the same run.
    """
    found = client.runs.get(run)
    run_id = str(found.get("run_id", run))
    pipeline_id, version_id = version_of(found)
    version = client.pipelines.version({"pipeline_id": pipeline_id}, version_id) if version_id else None
    ours = version is not None and str(version.spec.get("sdkVersion", "")).startswith(OURS)
    if in_place or version is None or not ours:
        client.runs.retry(run_id)
        return told({"run": run_id, "new": False}, f"run {run_id} is tried again")
    if found.get("state") not in ENDED:
        raise RunnerError(f"run {run_id} is {found.get('state')}: it has not ended", hint="stop it first")
    parameters = (found.get("runtime_config") or {}).get("parameters") or {}
    started, _ = client.runs.create(
        version, parameters, name=f"{found.get('display_name')}-again-{secrets.token_hex(3)}",
        experiment_id=str(found.get("experiment_id", "")),
        service_account=str(found.get("service_account", "")),
    )  # fmt: skip
    new = str(started.get("run_id", ""))
    return told({"run": new, "new": True, "of": run_id}, f"started run {new}, which does {run_id} again")


@click.command("archive")
@click.argument("run")
@click.option("--restore", is_flag=True, help="Take it back instead.")
@changes
def archive(run: str, restore: bool, client: Client) -> Told:
    """Put RUN away on the server: it is listed no more, and can be restored. Our record is not touched."""
    run_id = run if restore else str(client.runs.get(run).get("run_id", run))
    if restore:
        client.runs.restore(run_id)
    else:
        client.runs.archive(run_id)
    return told(
        {"run": run_id, "archived": not restore}, f"run {run_id} is {'back' if restore else 'archived'}"
    )


def _facts(run: Mapping[str, Any]) -> dict[str, Any]:
    pipeline_id, version_id = version_of(run)
    return {
        "run": run.get("run_id"), "name": run.get("display_name"), "state": run.get("state"),
        "created": run.get("created_at"), "finished": run.get("finished_at"), "pipeline_id": pipeline_id,
        "version_id": version_id, "experiment_id": run.get("experiment_id"),
        "parameters": (run.get("runtime_config") or {}).get("parameters") or {},
        "error": (run.get("error") or {}).get("message", ""),
    }  # fmt: skip


COMMANDS = (list_runs, status, logs, stop, retry, archive)
