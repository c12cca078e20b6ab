"""The plugin that Airflow finds by its entry point: pages of the record, links to them, our deadline.

Airflow loads plugins in every process, task processes included, so this module loads nothing but what all of
them have; the pages are made when the API server is first asked for one.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from tidemill.runners.airflow.links import PREFIX, RunLink

Scope = MutableMapping[str, Any]


class Pages:
    """The pages as an ASGI application, loaded when they are first asked for."""

    def __init__(self) -> None:
        self._app: Callable[..., Awaitable[None]] | None = None

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer a request."""
        if self._app is None:
            self._app = importlib.import_module("tidemill.runners.airflow.web").make_app()
        await self._app(scope, receive, send)


def _deadline_references() -> list[Any]:
    try:
        from tidemill.runners.airflow.deadlines import IntervalEnd
    except ImportError:  # before Airflow 3.3 there is none to be had in public
        return []
    return [IntervalEnd]


class TidemillPlugin(AirflowPlugin):  # type: ignore[misc]  # Airflow is not there where types are checked
    """What tidemill adds to Airflow."""

    name = "tidemill"
    fastapi_apps = [{"name": "tidemill", "app": Pages(), "url_prefix": PREFIX}]
    external_views = [
        {
            "name": "tidemill record", "href": f"{PREFIX}/dags/{{DAG_ID}}/runs/{{RUN_ID}}",
            "destination": "dag_run", "url_route": "tidemill",
        },
    ]  # fmt: skip
    operator_extra_links = [RunLink()]
    deadline_references = _deadline_references()
