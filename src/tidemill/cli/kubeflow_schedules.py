"""`tidemill kubeflow` commands on recurring runs, and the way back to an earlier version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import click

from tidemill.cli.kubeflow_server import Told, asks, changes, told
from tidemill.cli.output import print_table
from tidemill.cli.workspace import load_ir, read_params
from tidemill.errors import DefinitionError, RunnerError
from tidemill.runners.kubeflow.client import Client
from tidemill.runners.kubeflow.client.parameters import typed
from tidemill.runners.kubeflow.client.pipelines import Version
from tidemill.runners.kubeflow.client.runs import version_of
from tidemill.runners.kubeflow.client.schedules import MOST_AT_ONCE, Recurring, Trigger, every, kfp_cron


@click.command("schedule")
@click.argument("pipeline")
@click.option(
    "--of", "file", default="", metavar="FILE", help="Schedule, start and limits as FILE defines them."
)
@click.option(
    "--cron", default="", metavar="FIELDS", help="Five fields, a preset such as @daily, or KFP's six."
)
@click.option("--every", "interval", default="", metavar="15m|6h|1d", help="Instead: one run per interval.")
@click.option("--zone", default="UTC", metavar="ZONE", show_default=True, help="Time zone of --cron.")
@click.option(
    "--server-zone", default="UTC", metavar="ZONE", show_default=True,
    help="The one zone in which the server counts: its CRON_SCHEDULE_TIMEZONE.",
)  # fmt: skip
@click.option("--start", default="", metavar="YYYY-MM-DD", help="Nothing starts before.")
@click.option("--end", default="", metavar="YYYY-MM-DD", help="Nothing starts after.")
@click.option("--catch-up", is_flag=True, help="Run the intervals that were missed, too.")
@click.option("--at-once", default=0, metavar="N", help=f"Runs at the same time, 1 to {MOST_AT_ONCE}.")
@click.option("--version", default="", metavar="NAME", help="Name or id.  [default: the newest of now]")
@click.option("--latest", is_flag=True, help="Whatever is the newest version when a run starts.")
@click.option("--param", "-p", "params", multiple=True, metavar="NAME=VALUE", help="May be repeated.")
@click.option("--name", default="", metavar="NAME", help="The recurring run's.  [default: the pipeline's]")
@click.option("--experiment", default="", metavar="NAME", help="Experiment, made if new.  [default: KFP's]")
@changes
def schedule(pipeline: str, client: Client, **given: Any) -> Told:
    """Let the server start runs of PIPELINE by itself.

    --of FILE takes the pipeline's own schedule. KFP counts all schedules in one time zone, the server's: a
    schedule of another zone is refused unless --server-zone says that it is the same. One recurring run of a
    name is enough: when there is one already, nothing is made.
    """
    trigger, catch_up, at_once = _trigger(given)
    there = client.pipelines.get(pipeline)
    found = client.pipelines.version(there, given["version"])
    name = given["name"] or pipeline
    if client.sends and client.schedules.named(name):
        raise RunnerError(
            f"there is a recurring run {name!r} already",
            hint="choose another --name, or remove it: tidemill kubeflow unschedule NAME",
        )
    experiment = given["experiment"]
    made = client.schedules.create(
        Recurring(
            name=name, version=replace(found, id="") if given["latest"] else found, trigger=trigger,
            parameters=typed(found.spec, read_params(given["params"])), catch_up=catch_up, at_once=at_once,
            experiment_id=str(client.experiments.sure(experiment)["experiment_id"]) if experiment else "",
        )
    )  # fmt: skip
    job = str(made.get("recurring_run_id", ""))
    facts = {"schedule": job, "name": name, "version": "" if given["latest"] else found.name,
             "trigger": trigger.plain(), "catch_up": catch_up, "at_once": at_once}  # fmt: skip
    when = trigger.cron or f"every {trigger.interval} s"
    return told(facts, f"recurring run {name} ({job}): {when}, in the server's time zone")


def _trigger(given: Mapping[str, Any]) -> tuple[Trigger, bool, int]:
    """When runs start, whether missed ones are made up for, and how many may run at once."""
    ways = [name for name in ("file", "cron", "interval") if given[name]]
    if len(ways) != 1:
        raise click.UsageError("say one of --of FILE, --cron FIELDS and --every INTERVAL")
    start, end = _midnight(given["start"]), _midnight(given["end"])
    catch_up, at_once = bool(given["catch_up"]), int(given["at_once"])
    if given["interval"]:
        return Trigger(interval=every(given["interval"]), start=start, end=end), catch_up, at_once or 1
    cron, zone = given["cron"], given["zone"]
    if given["file"]:
        ir, _ = load_ir(given["file"])
        if ir.schedule is None:
            raise DefinitionError(
                "the pipeline has no schedule", where=given["file"], hint="--cron or --every"
            )
        cron, zone = ir.schedule.cron, ir.schedule.timezone
        start = start or _midnight(ir.schedule.start)
        catch_up, at_once = catch_up or ir.schedule.catch_up, at_once or min(ir.max_active_runs, MOST_AT_ONCE)
    fields = kfp_cron(cron, zone, server_zone=given["server_zone"])
    return Trigger(cron=fields, start=start, end=end), catch_up, at_once or 1


def _midnight(day: str) -> str:
    if not day:
        return ""
    try:
        return datetime.fromisoformat(day).replace(tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        raise click.UsageError(f"{day!r} is no date; write YYYY-MM-DD") from None


@click.command("schedules")
@click.argument("pipeline", required=False, default="")
@asks
def list_schedules(pipeline: str, client: Client) -> Told:
    """List recurring runs, of PIPELINE or all, newest first."""
    pipeline_id = str(client.pipelines.get(pipeline)["pipeline_id"]) if pipeline else ""
    found = client.schedules.all(pipeline_id=pipeline_id)
    rows = [(j.get("display_name"), j.get("status", ""), _when(j), version_of(j)[1] or "latest",
             j.get("recurring_run_id")) for j in found]  # fmt: skip
    return Told(found, lambda: print_table(["NAME", "STATUS", "WHEN", "VERSION", "ID"], rows))


def _when(job: Mapping[str, Any]) -> str:
    trigger = job.get("trigger") or {}
    cron = (trigger.get("cron_schedule") or {}).get("cron", "")
    return str(cron or f"every {(trigger.get('periodic_schedule') or {}).get('interval_second', '?')} s")


@click.command("pause")
@click.argument("name")
@changes
def pause(name: str, client: Client) -> Told:
    """Let the recurring run NAME start nothing until it is resumed; what runs goes on."""
    job = str(client.schedules.get(name)["recurring_run_id"])
    client.schedules.disable(job)
    return told({"schedule": job, "enabled": False}, f"recurring run {name} is paused")


@click.command("resume")
@click.argument("name")
@changes
def resume(name: str, client: Client) -> Told:
    """Let the recurring run NAME start runs again; with catch-up, also those it missed."""
    job = str(client.schedules.get(name)["recurring_run_id"])
    client.schedules.enable(job)
    return told({"schedule": job, "enabled": True}, f"recurring run {name} goes on")


@click.command("unschedule")
@click.argument("name")
@changes
def unschedule(name: str, client: Client) -> Told:
    """Delete the recurring run NAME; the runs it started stay."""
    job = str(client.schedules.get(name)["recurring_run_id"])
    client.schedules.delete(job)
    return told({"schedule": job, "deleted": True}, f"deleted recurring run {name}")


@click.command("rollback")
@click.argument("pipeline")
@click.option(
    "--to", default="", metavar="VERSION", help="Which one.  [default: the one before that is used]"
)
@changes
def rollback(pipeline: str, to: str, client: Client) -> Told:
    """Point every recurring run of PIPELINE at an earlier version; its name and trigger stay.

    KFP cannot change a recurring run: each is replaced by one of the other version, and never do both start
    runs. Intervals that it missed before are not made up for: tidemill backfill does that. One run of the
    earlier version is tidemill kubeflow run PIPELINE --version VERSION.
    """
    there = client.pipelines.get(pipeline)
    pipeline_id = str(there.get("pipeline_id", ""))
    jobs = client.schedules.all(pipeline_id=pipeline_id) if client.sends else [client.schedules.get(pipeline)]
    target = (
        client.pipelines.version(there, to) if to or not client.sends else _before(client, pipeline_id, jobs)
    )
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    moved = []
    for job in jobs:
        if version_of(job)[1] != target.id:
            made = client.schedules.move(job, target, now=now)
            moved.append({"name": job.get("display_name"), "from": version_of(job)[1] or "latest",
                          "schedule": made.get("recurring_run_id")})  # fmt: skip
    facts = {"pipeline": pipeline, "version": target.name, "version_id": target.id, "moved": moved}
    names = ", ".join(str(m["name"]) for m in moved)
    return told(facts, f"version {target.name}: {names or 'no recurring run had to be moved'}")


def _before(client: Client, pipeline_id: str, jobs: list[dict[str, Any]]) -> Version:
    """The version before the newest one that a recurring run uses."""
    there = client.pipelines.versions(pipeline_id)
    used = {version_of(job)[1] for job in jobs}
    places = [i for i, version in enumerate(there) if version.id in used or (i == 0 and "" in used)]
    current = min(places, default=0)
    if current + 1 >= len(there):
        raise RunnerError(
            "there is no version before the one that is used", hint="tidemill kubeflow versions lists them"
        )
    return there[current + 1]


COMMANDS = (schedule, list_schedules, pause, resume, unschedule, rollback)
