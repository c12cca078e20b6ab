"""Recurring runs: made, paused, moved to another version.

KFP cannot change one. What points it at another version is a new one with the same trigger, and no moment
in which both are enabled.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tidemill.errors import DefinitionError, did_you_mean
from tidemill.runners.kubeflow.client.failures import NotFound
from tidemill.runners.kubeflow.client.pipelines import Version, equals, listed
from tidemill.runners.kubeflow.client.request import API, Request, segment
from tidemill.runners.kubeflow.client.runs import MARK, version_of
from tidemill.runners.kubeflow.client.wire import Sender

MOST_AT_ONCE = 10
"""`max_concurrency` of recurring_run.proto goes from 1 to this."""
_PRESETS = {
    "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """When runs start: `cron` with KFP's six fields, or every `interval` seconds. Times are RFC 3339."""

    cron: str = ""
    interval: int = 0
    start: str = ""
    end: str = ""

    def plain(self) -> dict[str, Any]:
        """KFP's JSON of it."""
        ends = {n: v for n, v in (("start_time", self.start), ("end_time", self.end)) if v}
        if self.cron:
            return {"cron_schedule": {"cron": self.cron, **ends}}
        return {"periodic_schedule": {"interval_second": str(self.interval), **ends}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurring:
    """A recurring run as it is asked for. `version` without an id: the newest one, at each start."""

    name: str
    version: Version
    trigger: Trigger
    parameters: Mapping[str, Any] = field(default_factory=dict)
    experiment_id: str = ""
    catch_up: bool = False
    at_once: int = 1
    enabled: bool = True
    service_account: str = ""
    description: str = ""


def kfp_cron(cron: str, timezone: str = "UTC", *, server_zone: str = "UTC") -> str:
    """A cron expression of five fields, or a preset, as KFP's six: it begins with seconds, and its weekdays
    go from 0 to 6 (robfig/cron v1).

    KFP has one time zone for all schedules, its variable CRON_SCHEDULE_TIMEZONE; a pipeline's zone must be
    that one. DefinitionError else, and for what KFP's cron reads in another way.
    """
    if timezone != server_zone:
        raise DefinitionError(
            f"the schedule is in {timezone}, and this Kubeflow Pipelines server counts in {server_zone}",
            hint=f"say --server-zone {timezone} if the server's CRON_SCHEDULE_TIMEZONE is that, "
            "or write the schedule in the server's zone",
        )
    fields = _PRESETS.get(cron, cron).split()
    if len(fields) == 6:
        return " ".join(fields)
    if len(fields) != 5:
        raise DefinitionError(
            f"{cron!r} is no schedule",
            hint="five fields, minute hour day month weekday, or six from seconds on",
        )
    fields[4] = ",".join(_weekdays(part) for part in fields[4].split(","))
    return " ".join(["0", *fields])


def _weekdays(part: str) -> str:
    """A part of the weekdays without 7, which KFP's cron does not know."""
    span, slash, step = part.partition("/")
    first, dash, last = span.partition("-")
    if first == "7":
        first = "0"
    if last == "7":
        if step:
            raise DefinitionError(
                f"weekday {part!r} cannot be said in Kubeflow Pipelines", hint="name the days"
            )
        return f"{first}-6,0" if first != "0" else "*"
    return f"{first}{dash}{last}{slash}{step}"


def every(text: str) -> int:
    """Seconds of `90s`, `15m`, `6h`, `1d`. DefinitionError for anything else, and for less than a minute."""
    match = re.fullmatch(r"(\d+)([smhd])", text.strip())
    seconds = int(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]] if match else 0
    if seconds < 60:
        raise DefinitionError(f"{text!r} is no interval", hint="write 15m, 6h or 1d; a minute at least")
    return seconds


class Schedules:
    """Recurring runs of one server."""

    def __init__(self, send: Sender) -> None:
        self._send = send
        self._path = f"{API}/recurringruns"

    def all(self, *, pipeline_id: str = "") -> list[dict[str, Any]]:
        """Every recurring run, newest first."""
        query = {"namespace": self._send.server.namespace, "sort_by": "created_at desc"}
        found = listed(self._send, self._path, "recurringRuns", query, "list recurring runs")
        return [job for job in found if not pipeline_id or version_of(job)[0] == pipeline_id]

    def named(self, name: str) -> list[dict[str, Any]]:
        """Every recurring run of a name, newest first."""
        query = {"namespace": self._send.server.namespace, "sort_by": "created_at desc",
                 "filter": equals("display_name", name)}  # fmt: skip
        return list(listed(self._send, self._path, "recurringRuns", query, f"find the recurring run {name}"))

    def get(self, name: str) -> dict[str, Any]:
        """A recurring run by its id or its name, of which there must be one. NotFound else."""
        if self._send.rehearsal:
            return {"recurring_run_id": name, "display_name": name}
        matching = self.named(name)
        if len(matching) == 1:
            return matching[0]
        if matching:
            ids = ", ".join(str(m.get("recurring_run_id")) for m in matching)
            raise NotFound(
                f"there are {len(matching)} recurring runs {name!r}", hint=f"name one by its id: {ids}"
            )
        there = self.all()
        for job in there:
            if job.get("recurring_run_id") == name:
                return job
        known = [str(j.get("display_name", "")) for j in there]
        raise NotFound(f"there is no recurring run {name!r}", where=self._send.server.url,
                       hint=did_you_mean(name, known))  # fmt: skip

    def create(self, wanted: Recurring) -> dict[str, Any]:
        """Make a recurring run, once; see runs.py for what happens when the answer is lost."""
        if not 1 <= wanted.at_once <= MOST_AT_ONCE:
            raise DefinitionError(
                f"{wanted.at_once} runs at once cannot be; Kubeflow Pipelines takes 1 to {MOST_AT_ONCE}"
            )
        mark = f"{MARK}{'<random>' if self._send.rehearsal else secrets.token_hex(8)}"
        reference = {"pipeline_id": wanted.version.pipeline_id, "pipeline_version_id": wanted.version.id}
        body: dict[str, Any] = {
            "display_name": wanted.name, "description": f"{wanted.description} {mark}".strip(),
            "pipeline_version_reference": {n: v for n, v in reference.items() if v},
            "runtime_config": {"parameters": dict(wanted.parameters)},
            "max_concurrency": str(wanted.at_once), "trigger": wanted.trigger.plain(),
            "mode": "ENABLE" if wanted.enabled else "DISABLE", "no_catchup": not wanted.catch_up,
        }  # fmt: skip
        if wanted.experiment_id:
            body["experiment_id"] = wanted.experiment_id
        if wanted.service_account:
            body["service_account"] = wanted.service_account
        request = Request(
            method="POST", path=self._path, what=f"make the recurring run {wanted.name}", body=body,
            repeatable=False,
            assumed={"recurring_run_id": f"<id-of-{wanted.name}>", "display_name": wanted.name},
        )  # fmt: skip

        def found() -> dict[str, Any] | None:
            marked = [j for j in self.named(wanted.name) if mark in j.get("description", "")]
            return marked[0] if marked else None

        return self._send.send(request, found=found)

    def enable(self, job_id: str) -> None:
        """Let it start runs."""
        self._act(job_id, "enable")

    def disable(self, job_id: str) -> None:
        """Let it start no more runs; what runs goes on."""
        self._act(job_id, "disable")

    def delete(self, job_id: str) -> None:
        """Delete it; its runs stay."""
        path = f"{self._path}/{segment(job_id)}"
        self._send.send(Request(method="DELETE", path=path, what=f"delete the recurring run {job_id}"))

    def move(self, job: Mapping[str, Any], version: Version, *, now: str) -> dict[str, Any]:
        """Point a recurring run at another version: the new one, which has the old one's name and trigger.

        It is made disabled, the old one is disabled, the new one enabled, the old one deleted: whatever fails
        in between, never do both start runs. `now`, RFC 3339, becomes its start where the old one's lies
        before, so that a catch-up does not begin at the beginning again.
        """
        wanted = Recurring(
            name=str(job.get("display_name", "")), version=version, trigger=_trigger_of(job, now),
            parameters=(job.get("runtime_config") or {}).get("parameters") or {},
            experiment_id=str(job.get("experiment_id", "")), catch_up=not job.get("no_catchup", False),
            at_once=max(1, int(job.get("max_concurrency", 1))), enabled=False,
            service_account=str(job.get("service_account", "")), description=_unmarked(job),
        )  # fmt: skip
        old = str(job.get("recurring_run_id", ""))
        was_on = job.get("status", "ENABLED") == "ENABLED"
        made = self.create(wanted)
        new = str(made.get("recurring_run_id", ""))
        if was_on:
            self.disable(old)
            self.enable(new)
        self.delete(old)
        return made

    def _act(self, job_id: str, verb: str) -> None:
        request = Request(
            method="POST", path=f"{self._path}/{segment(job_id)}:{verb}",
            what=f"{verb} the recurring run {job_id}", body={},
        )  # fmt: skip
        self._send.send(request)


def _trigger_of(job: Mapping[str, Any], now: str) -> Trigger:
    trigger = job.get("trigger") or {}
    cron = trigger.get("cron_schedule") or {}
    times = cron or trigger.get("periodic_schedule") or {}
    start = str(times.get("start_time", ""))
    return Trigger(
        cron=str(cron.get("cron", "")), interval=int(times.get("interval_second", 0)),
        start=max(start, now) if start else "", end=str(times.get("end_time", "")),
    )  # fmt: skip


def _unmarked(job: Mapping[str, Any]) -> str:
    return re.sub(rf"\s*{MARK}\S+", "", str(job.get("description", "")))
