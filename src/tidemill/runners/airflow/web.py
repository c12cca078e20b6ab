"""The plugin's pages in Airflow's API server: one run of the record, and its lineage. They change nothing.

Who may see a DAG's runs in Airflow may see them here, and nobody else: each request is judged by Airflow's
auth manager, and of the record only runs of that very DAG are answered.
"""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from tidemill.errors import TidemillError
from tidemill.metadata.model import Run
from tidemill.metadata.store import MetadataStore
from tidemill.runners.airflow import names
from tidemill.runners.airflow.connection import known_url
from tidemill.runners.base.again import latest
from tidemill.runners.base.run_page import lineage_of_run, run_page
from tidemill.runners.base.task import EngineRun

_ALLOWED = Depends(requires_access_dag(method="GET", access_entity=DagAccessEntity.RUN))
_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_PLACE = "/dags/{dag_id}/runs/{run_id:path}"


def make_app() -> FastAPI:
    """The application; every route of it asks Airflow first."""
    app = FastAPI(title="tidemill", docs_url=None, redoc_url=None, openapi_url=None, dependencies=[_ALLOWED])
    app.add_api_route(f"{_PLACE}/lineage.json", _lineage_json)
    app.add_api_route(f"{_PLACE}/lineage.mmd", _lineage_mermaid)
    app.add_api_route(_PLACE, _page)
    app.add_exception_handler(TidemillError, _failed)
    return app


def _lineage_json(dag_id: str, run_id: str) -> Response:
    with _opened() as store:
        found = lineage_of_run(store, _run(store, dag_id, run_id))
    return JSONResponse(found.to_json(), headers=_HEADERS)


def _lineage_mermaid(dag_id: str, run_id: str) -> Response:
    with _opened() as store:
        found = lineage_of_run(store, _run(store, dag_id, run_id))
    return PlainTextResponse(found.to_mermaid(), headers=_HEADERS)


def _page(dag_id: str, run_id: str, node: str = "", iteration: int = 0) -> Response:
    with _opened() as store:
        text = run_page(store, _run(store, dag_id, run_id), node, iteration)
    return HTMLResponse(text, headers=_HEADERS)


def _failed(_: Any, error: Exception) -> Response:
    return PlainTextResponse(f"the record does not answer: {error}\n", status_code=503, headers=_HEADERS)


def _opened() -> Any:
    return known_url("").opened()


def _run(store: MetadataStore, dag_id: str, run_id: str) -> Run:
    """The run that has this id, or that Airflow calls so; only if it is one of the DAG asked about."""
    asked = EngineRun(record_id=names.run_id(dag_id, run_id), owner="", date="")
    found = latest(store, asked)[1] or store.get_run(run_id)
    if found is None or names.dag_id(found.pipeline) != dag_id:
        raise HTTPException(404, "the record has no such run of this DAG; it begins with the first task")
    return found
