"""Answers questions about schedules, assets, alerts and triggers in an interpreter that has Airflow: one
order per line in, one answer out. The test that asks has no Airflow, and this program no test.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

from airflow.configuration import conf
from airflow.models.asset import AssetEvent, AssetModel
from airflow.timetables.base import TimeRestriction
from airflow.utils.db import initdb
from airflow.utils.session import create_session

import airflow
from tidemill.errors import DefinitionError
from tidemill.runners.airflow import operator as operators

try:
    from airflow.serialization.serialized_objects import DagSerialization
except ImportError:  # Airflow 3.1
    from airflow.serialization.serialized_objects import SerializedDAG as DagSerialization

FILE = """import datetime
from airflow.sdk import DAG
from tidemill.runners.airflow import load_dag
dag = load_dag({ir!r}, code_root={code_root!r}, metadata={metadata!r}, root={root!r}, **{more!r})
"""


def main() -> None:
    logging.disable(logging.WARNING)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever Airflow prints or logs, it is no answer
    initdb()
    dags = Path(conf.get("core", "dags_folder"))
    dags.mkdir(parents=True, exist_ok=True)
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = {"answer": DO[order.pop("do")](dags, **order)}
        except Exception as error:
            logging.getLogger().critical("%s", error, exc_info=True)
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def loaded(dags: Path, given: dict[str, Any], more: dict[str, Any] | None = None) -> Any:
    """The DAG of an IR file, in a DAG file as the dags folder would have it."""
    for other in dags.glob("*.py"):
        other.unlink()
    path = dags / f"dag_{Path(given['ir']).stem}.py"
    path.write_text(FILE.format(**given, more=more or {}))
    scope: dict[str, Any] = {"__file__": str(path), "__name__": path.stem}
    exec(compile(path.read_text(), path, "exec"), scope)
    return scope["dag"]


def as_scheduler_sees(dag: Any) -> Any:
    """The DAG after its way through Airflow's database."""
    return DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))


def date_of(dag: Any, start: Any, params: dict[str, Any] | None = None) -> str:
    """The date that a task of ours gives a run with this start of its interval."""
    settings = next(iter(dag.task_dict.values())).settings
    run = SimpleNamespace(dag_id=dag.dag_id, run_id="some", run_type="scheduled")
    return operators._run_of(
        {"dag_run": run, "params": params or {}, "data_interval_start": start}, settings
    ).date


def scheduled(dags: Path, dag: dict[str, Any], now: str, first: str, count: int) -> list[list[str]]:
    """The runs that the scheduler would make: when they start, and their dates."""
    made = loaded(dags, dag)
    seen = as_scheduler_sees(made)
    zone = ZoneInfo("Europe/Berlin")
    limit = TimeRestriction(
        earliest=datetime.fromisoformat(first).replace(tzinfo=zone), latest=None, catchup=seen.catchup
    )
    last, found = None, []
    for _ in range(count):
        info = seen.timetable.next_dagrun_info(last_automated_data_interval=last, restriction=limit)
        last = info.data_interval
        found.append([info.run_after.astimezone(zone).isoformat(), date_of(made, info.data_interval.start)])
    return found


def backfilled(dags: Path, dag: dict[str, Any], first: str, last: str, reverse: bool) -> list[str]:
    """The dates of the runs that a backfill of Airflow's own makes, in its order."""
    from airflow.models.backfill import BackfillDagRun, _create_backfill
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from airflow.models.serialized_dag import SerializedDagModel

    made = loaded(dags, dag)
    made.test(logical_date=None, run_conf={"tidemill_date": "2024-01-01"})  # makes the DAG known
    zone = ZoneInfo("Europe/Berlin")
    with create_session() as session:
        known = session.get(DagModel, made.dag_id)
        known.is_paused = False
        assert session.scalar(SerializedDagModel.latest_item_select_object(made.dag_id))
    backfill = _create_backfill(
        dag_id=made.dag_id, from_date=datetime.fromisoformat(first).replace(tzinfo=zone),
        to_date=datetime.fromisoformat(last).replace(tzinfo=zone), max_active_runs=2, reverse=reverse,
        dag_run_conf={}, triggering_user_name="test",
    )  # fmt: skip
    with create_session() as session:
        runs = session.query(DagRun).join(BackfillDagRun, BackfillDagRun.dag_run_id == DagRun.id)
        runs = runs.filter(BackfillDagRun.backfill_id == backfill.id).order_by(BackfillDagRun.sort_ordinal)
        return [date_of(made, run.data_interval_start) for run in runs]


def run(
    dags: Path, dag: dict[str, Any], logical_date: str | None, conf: dict[str, Any], more: dict[str, Any]
) -> str:
    """One run by `dag.test()`; its state. `more` goes to load_dag."""
    made = loaded(dags, dag, more)
    moment = datetime.fromisoformat(logical_date) if logical_date else None
    return str(made.test(logical_date=moment, run_conf=conf).state)


def events(dags: Path, uri_part: str) -> list[list[Any]]:
    """Every event of an asset whose URI has the text in it: URI and extra, in order."""
    with create_session() as session:
        rows = session.query(AssetModel.uri, AssetEvent.extra).join(
            AssetEvent, AssetEvent.asset_id == AssetModel.id
        )
        rows = rows.filter(AssetModel.uri.contains(uri_part)).order_by(AssetEvent.id)
        return [[uri, extra] for uri, extra in rows]


def tries(dags: Path, dag: str) -> dict[str, int]:
    """How often each task of the newest run was tried."""
    from airflow.models import DagRun, TaskInstance

    with create_session() as session:
        newest = session.query(DagRun).filter_by(dag_id=dag).order_by(DagRun.id.desc()).first()
        rows = session.query(TaskInstance).filter_by(dag_id=dag, run_id=newest.run_id)
        return {row.task_id: row.try_number for row in rows}


def refusal(dags: Path, dag: dict[str, Any], seconds: float) -> str:
    """Why there is no DAG whose runs Airflow ends after so long."""
    made = ""
    try:
        loaded(dags, dag, {"dagrun_timeout": timedelta(seconds=seconds)})
    except DefinitionError as error:
        made = str(error)
    return made


def stores(dags: Path, connections: list[str]) -> list[list[str]]:
    """The URL and the token that each connection is read as, and how the answer is written in a log."""
    from tidemill.runners.airflow.connection import metadata_url

    found = []
    for number, connection in enumerate(connections):
        os.environ[f"AIRFLOW_CONN_STORE{number}"] = connection
        known = metadata_url(f"airflow://store{number}")
        found.append([known.url, known.token, repr(known)])
    return found


def refused(dags: Path, dag: dict[str, Any], confs: list[dict[str, Any]]) -> list[str]:
    """What Airflow's API says of each conf that a run is to be given: what is wrong, or nothing."""
    from airflow.sdk.exceptions import ParamValidationError

    made = loaded(dags, dag)
    found = []
    for given in confs:
        params = as_scheduler_sees(made).params
        try:
            params.deep_merge(given).validate()
            found.append("")
        except (ParamValidationError, ValueError) as error:
            found.append(str(error).partition("\n")[0])
    return found


def shape(dags: Path, dag: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """What the DAG says of assets and schedule, and everything that Airflow keeps of it, as text."""
    made = loaded(dags, dag, more)
    document = json.dumps(DagSerialization.to_dict(made))
    seen = as_scheduler_sees(made)
    condition = getattr(seen.timetable, "asset_condition", None)
    return {
        "outlets": {t.task_id: [o.uri for o in t.outlets] for t in made.tasks if t.outlets},
        "timetable": type(seen.timetable).__name__,
        "summary": seen.timetable.summary,
        "waits": sorted({asset.uri for _, asset in condition.iter_assets()}) if condition else [],
        "catchup": seen.catchup,
        "kept": document,
    }


def arrived(dags: Path, dag: dict[str, Any], happened: list[dict[str, Any]]) -> dict[str, Any]:
    """What a run is given by events, as Airflow hands them to its tasks."""
    from airflow.sdk import Asset
    from airflow.sdk.execution_time.context import TriggeringAssetEventsAccessor

    made = loaded(dags, dag)
    settings = next(iter(made.task_dict.values())).settings
    accessor = TriggeringAssetEventsAccessor.build(
        SimpleNamespace(
            asset=Asset(name=h["uri"], uri=h["uri"]), source_aliases=[], extra=h["extra"],
            timestamp=datetime.fromisoformat(h["time"]),
        )
        for h in happened
    )  # fmt: skip
    context = {
        "dag_run": SimpleNamespace(dag_id=made.dag_id, run_id="some", run_type="asset_triggered"),
        "params": made.params.dump(),
        "triggering_asset_events": accessor,
    }  # fmt: skip
    run = operators._run_of(context, settings)
    return {
        "date": run.date, "parameters": dict(run.parameters), "arrived": [a.to_json() for a in run.arrived]
    }  # fmt: skip


def watched(dags: Path, dag: dict[str, Any], later: str) -> dict[str, Any]:
    """What the trigger of the DAG's only asset is kept as, and what it tells, also once `later` is there."""
    made = loaded(dags, dag)
    asset = made.timetable.asset_condition
    path, arguments = asset.watchers[0].trigger.serialize()
    module, _, name = path.rpartition(".")
    arguments["every"] = 0.01
    trigger = getattr(importlib.import_module(module), name)(**arguments)

    async def first() -> Any:
        told = []
        async for event in trigger.run():
            told.append(event.payload)
            if len(told) == 2:
                return told
            Path(later).parent.mkdir(parents=True, exist_ok=True)
            Path(later).write_text("x")
            trigger._watch._told = None  # as if a run had been recorded for the first
        return told

    return {"kept": [path, arguments], "told": asyncio.run(asyncio.wait_for(first(), 30))}


def importable(dags: Path, name: str, text: str) -> None:
    """Write a module where this process finds it."""
    folder = dags.parent / "lib"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(text)
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def version(dags: Path) -> list[int]:
    """Airflow's, by its first two numbers."""
    return [int(part) for part in airflow.__version__.split(".")[:2]]


def deadline(dags: Path, dag: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """When runs of three kinds are late, for an interval that ended at the first of April 2024, 0:00 local
    time less 1 hour, and runs that were queued on 2026-01-02, 3:00; and what the alert is kept as."""
    from airflow.models import DagRun
    from airflow.serialization.decoders import decode_deadline_alert
    from airflow.serialization.encoders import encode_deadline_alert
    from airflow.serialization.enums import Encoding

    made = loaded(dags, dag, more)
    (alert,) = made.deadline
    seen = decode_deadline_alert(
        {Encoding.VAR: encode_deadline_alert(alert), Encoding.TYPE: "deadline_alert"}
    )
    zone = ZoneInfo("Europe/Berlin")
    found: dict[str, Any] = {}
    with create_session() as session:
        for kind in ("scheduled", "backfill", "manual"):
            end = None if kind == "manual" else datetime(2024, 3, 31, 23, tzinfo=zone)
            first = None if kind == "manual" else datetime(2024, 3, 30, int(kind == "backfill"), tzinfo=zone)
            session.add(
                DagRun(
                    dag_id=made.dag_id,
                    run_id=kind,
                    run_type=kind,
                    data_interval=(first, end) if end else None,
                    logical_date=first,
                    queued_at=datetime(2026, 1, 2, 3, tzinfo=zone),
                    state="queued",
                    run_after=datetime(2026, 1, 2, 3, tzinfo=zone),
                )
            )
            session.flush()
            moment = seen.reference.evaluate_with(
                session=session, interval=seen.interval, dag_id=made.dag_id, run_id=kind
            )
            found[kind] = moment.astimezone(zone).isoformat()
        session.rollback()
    return found | {"kept": dict(seen.callback.kwargs)}


def pages(dags: Path, metadata: str, paths: list[str]) -> dict[str, list[list[Any]]]:
    """What Airflow's API server answers for each path, to users of several kinds: status and text."""
    from airflow.api_fastapi.app import create_app, get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from fastapi.testclient import TestClient

    os.environ["TIDEMILL_METADATA"] = metadata
    found: dict[str, list[list[Any]]] = {}
    with TestClient(create_app(apps="core"), raise_server_exceptions=False) as client:
        tokens = {
            name: get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=name, role=role))
            for name, role in (("viewer", "viewer"), ("nobody", None))
        }
        asked = {
            "without": {},
            "wrong": {"Authorization": "Bearer wrong"},
            "nobody": {"Authorization": f"Bearer {tokens['nobody']}"},
            "viewer": {"Authorization": f"Bearer {tokens['viewer']}"},
            "browser": {"Cookie": f"_token={tokens['viewer']}"},
        }
        for who, headers in asked.items():
            answers = [client.get(path, headers=headers, follow_redirects=False) for path in paths]
            found[who] = [[answer.status_code, answer.text] for answer in answers]
    return found


DO: dict[str, Callable[..., Any]] = {
    "scheduled": scheduled, "backfilled": backfilled, "run": run, "events": events, "shape": shape,
    "refused": refused, "tries": tries, "stores": stores, "refusal": refusal,
    "arrived": arrived, "watched": watched, "importable": importable, "deadline": deadline,
    "pages": pages, "version": version,
}  # fmt: skip

if __name__ == "__main__":
    main()
