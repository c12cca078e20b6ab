"""Where a run is looked at: tidemill's own address if there is one, else the page that the plugin serves."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import quote, urlencode

from airflow.configuration import conf
from airflow.sdk import BaseOperatorLink

from tidemill.runners.airflow import names

URL = "TIDEMILL_URL"
"""Environment variable with the address of tidemill's pages, if there are any."""
PREFIX = "/tidemill"
"""Where the plugin's pages are in Airflow's API server."""


def run_link(record_id: str, dag_id: str, node: str = "", iteration: int = 0) -> str:
    """The address of a run, or of a node in it."""
    base = os.environ.get(URL, "") or conf.get("tidemill", "url", fallback="")
    if base:
        place = f"{base.rstrip('/')}/runs/{quote(record_id, safe='')}"
    else:
        place = f"{conf.get('api', 'base_url', fallback='').rstrip('/')}{PREFIX}/dags/"
        place += f"{quote(dag_id, safe='')}/runs/{quote(record_id, safe='')}"
    asked = {"node": node, **({"iteration": iteration} if iteration else {})} if node else {}
    return place + (f"?{urlencode(asked)}" if asked else "")


class RunLink(BaseOperatorLink):  # type: ignore[misc]  # Airflow is not there where types are checked
    """From a task to what the record has of it: its run, its attempts, what went in and came out."""

    name = "tidemill record"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The address; asked for where the task ended, and kept by Airflow."""
        record_id = names.run_id(ti_key.dag_id, ti_key.run_id)
        node = getattr(operator, "pipeline_node", "")
        iteration = getattr(operator, "iteration", 0)
        return run_link(record_id, ti_key.dag_id, node, iteration if isinstance(iteration, int) else 0)
