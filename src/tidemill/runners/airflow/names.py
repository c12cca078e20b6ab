"""What pipelines, nodes and runs are called in Airflow, and Airflow's runs in the record."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:  # the plugin names runs, and each process of Airflow loads it
    from tidemill.ir.model import PipelineIR

CONNECTION = "airflow://"
"""Begins a metadata URL that names an Airflow connection: its own URI is the store's URL."""
RUN_END = "run--end"
"""The last task: it records how the run ended, and is red exactly when the run is."""
ITEMS_SUFFIX = "--iterations"
"""What the task that lists the iterations of an inner loop is called after the loop's node."""
GROUP_SUFFIX = "--group"
"""What a group is called after its path where a task has that id: Airflow counts both as one kind of name."""
BASE = "base"
"""Airflow's name for the container of a task or node in its pod."""
ASSETS = "x-tidemill://"
"""Begins the URI of each asset of ours. Airflow takes a scheme that starts with `x-` as it stands."""
_MOST = 200
"""Characters of an id that Airflow takes (250) less what groups and suffixes add."""
_FOREIGN = re.compile(r"[^A-Za-z0-9_.-]+")


def dag_id(pipeline: str) -> str:
    """The DAG of a pipeline."""
    return _plain(pipeline)


def task_id(node_id: str) -> str:
    """The task of a node. Task groups add nothing to it: a node's id has its group in it already."""
    return _plain(node_id)


def group_id(path: str, pipeline: PipelineIR) -> str:
    """The task group of a sub-pipeline: its path, unless a node has the same name beside it."""
    taken = any(node.id == path for node in pipeline.nodes)
    return _plain(path) + (GROUP_SUFFIX if taken else "")


def pod_name(pipeline: str, node_id: str) -> str:
    """What the pod of a node is called; Airflow adds what makes it one of its own."""
    return re.sub(r"[^a-z0-9]+", "-", f"{pipeline}-{node_id}".lower()).strip("-")[:_MOST] or "node"


def run_id(dag: str, airflow_run_id: str) -> str:
    """The run in the record for one of Airflow's: `scheduled__2026-03-02T00:00:00+00:00` and the like hold
    characters that paths do not, so they are replaced, and a digest keeps two such ids apart."""
    plain = _FOREIGN.sub("-", airflow_run_id).strip("-")
    digest = hashlib.sha256(f"{dag}/{airflow_run_id}".encode()).hexdigest()[:8]
    return f"{_plain(dag)}-{plain[:100]}-{digest}"


def owner(dag: str, airflow_run_id: str) -> str:
    """Who drives the run, as the record has it: no process, so that none can be missed."""
    return f"airflow/{dag}/{airflow_run_id}"


def store_url(uri: str) -> str:
    """The metadata store behind the URI of an Airflow connection, which calls PostgreSQL `postgres`, and
    quotes the path of a SQLite file."""
    scheme, colon, rest = uri.partition(":")
    if scheme == "sqlite":
        return f"sqlite:{unquote(rest)}"
    return f"{'postgresql' if scheme == 'postgres' else scheme}{colon}{rest}"


def has_password(url: str) -> bool:
    """Whether a URL holds a password: then it may be kept nowhere."""
    return urlsplit(url).password is not None


def asset_uri(pipeline: str, node_id: str, output: str) -> str:
    """URI and name of the asset that an output of a node is in Airflow: the same for every run."""
    return f"{ASSETS}{pipeline}/{node_id}/{output}"


def files_uri(pipeline: str, pattern: str) -> str:
    """URI and name of the asset that stands for new spans of a file pattern that a pipeline waits for."""
    return f"{ASSETS}{pipeline}/files--{hashlib.sha256(pattern.encode()).hexdigest()[:16]}"


def without_secret(url: str) -> str:
    """A metadata URL as Airflow's database may keep it; empty for one with a password, which is to be found
    where it is needed (TIDEMILL_METADATA)."""
    return "" if has_password(url) else url


def _plain(name: str) -> str:
    plain = _FOREIGN.sub("-", name)
    if plain == name and len(name) <= _MOST:
        return name
    return f"{plain[: _MOST - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
