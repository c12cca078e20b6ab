"""Where a run is looked at: tidemill's own address if there is one, else the page that the plugin serves."""

from __future__ import annotations

import os
from urllib.parse import quote, urlencode

from airflow.sdk import conf

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
