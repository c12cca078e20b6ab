"""When Airflow starts runs of a pipeline: its schedule as a timetable, as assets, or as both."""

from __future__ import annotations

from datetime import datetime
from functools import reduce
from operator import and_, or_
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import Asset, AssetWatcher

from tidemill.ir.model import (
    AllArrivals,
    AnyArrival,
    Arrival,
    ArtifactArrival,
    AssetArrival,
    FilesArrival,
)
from tidemill.runners.airflow import names
from tidemill.runners.airflow.versions import CronDataIntervalTimetable
from tidemill.runners.base.task import Settings

try:
    from airflow.sdk import AssetOrTimeSchedule
except ImportError:  # before Airflow 3.2
    from airflow.timetables.assets import AssetOrTimeSchedule


def schedule_options(settings: Settings) -> dict[str, Any]:
    """The options of a DAG that its schedule makes: schedule, catchup and perhaps start_date."""
    schedule = settings.ir.schedule
    if schedule is None:
        return {"schedule": None, "catchup": False}
    found: dict[str, Any] = {"catchup": schedule.catch_up}
    if schedule.start:
        zone = ZoneInfo(schedule.timezone)
        found["start_date"] = datetime.fromisoformat(schedule.start).replace(tzinfo=zone)
    clock = CronDataIntervalTimetable(schedule.cron, timezone=schedule.timezone) if schedule.cron else None
    data = _assets(settings, schedule.on) if schedule.on is not None else None
    if clock is not None and data is not None:
        found["schedule"] = AssetOrTimeSchedule(timetable=clock, assets=data)
    else:
        found["schedule"] = clock if data is None else data
    return found


def _assets(settings: Settings, arrival: Arrival) -> Any:
    """Airflow's condition on assets."""
    match arrival:
        case AllArrivals(members):
            return reduce(and_, [_assets(settings, member) for member in members])
        case AnyArrival(members):
            return reduce(or_, [_assets(settings, member) for member in members])
        case ArtifactArrival(pipeline, node, output):
            uri = names.asset_uri(pipeline, node, output)
            return Asset(name=uri, uri=uri, group="tidemill")
        case AssetArrival(uri, name):
            return Asset(name=name or uri, uri=uri)
        case FilesArrival():
            return _watched(settings, arrival)
    raise AssertionError(f"{arrival!r} is no arrival")


def _watched(settings: Settings, files: FilesArrival) -> Asset:
    from tidemill.runners.airflow.watcher import SpanTrigger  # only DAGs that watch files load triggers

    schedule = settings.ir.schedule
    assert schedule is not None
    trigger = SpanTrigger(
        pipeline=settings.ir.name, pattern=files.pattern, every=files.every, catch_up=schedule.catch_up,
        start=schedule.start, metadata=names.without_secret(settings.metadata),
        workdir=settings.workdir, root=settings.root,
    )  # fmt: skip
    uri = names.files_uri(settings.ir.name, files.pattern)
    watcher = AssetWatcher(name=f"{settings.ir.name}: {files.pattern}", trigger=trigger)
    return Asset(name=uri, uri=uri, group="tidemill", extra={"pattern": files.pattern}, watchers=[watcher])
