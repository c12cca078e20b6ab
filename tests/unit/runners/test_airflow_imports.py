"""What we import of Airflow is what it promises to keep: its SDK, providers, what plugins are made of."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import tidemill
from tidemill.runners.airflow.lint import lint

ROOM = Path(tidemill.__file__).parent / "runners" / "airflow"
PUBLIC = {
    "airflow.sdk": "the SDK",
    "airflow.sdk.exceptions": "the SDK",
    "airflow.providers.standard.operators.hitl": "the standard provider",
    "airflow.providers.standard.triggers.hitl": "the standard provider",
    "airflow.providers.cncf.kubernetes.operators.pod": "the provider of Kubernetes, where nodes have pods",
    "airflow.plugins_manager": "what a plugin is",
    "airflow.triggers.base": "what a trigger is",
    "airflow.configuration": "conf, as Airflow's guides to plugins and providers read it",
    "airflow.api_fastapi.auth.managers.models.resource_details": "what an app of a plugin is protected with",
    "airflow.api_fastapi.core_api.security": "what an app of a plugin is protected with",
    "airflow.exceptions": "where Airflow 3.1 keeps what is in the SDK now",
    "airflow.timetables.interval": "where Airflow 3.1 keeps what is in the SDK now",
    "airflow.timetables.assets": "where Airflow 3.1 keeps what is in the SDK now",
    "airflow.models": "DagRun, which a deadline's reference is evaluated on, in the scheduler",
}


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "airflow":
            yield str(node.module)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] == "airflow")


def test_only_public_parts_of_airflow_are_imported_and_each_is_needed() -> None:
    found = {name for file in ROOM.rglob("*.py") for name in imported(file)}
    assert found == set(PUBLIC)


def test_our_own_files_have_no_old_spelling_but_in_the_tables_of_them() -> None:
    files = [file for file in ROOM.rglob("*.py") if file.name != "old.py"]
    assert {f.spelling for file in files for f in lint(file.read_text("utf-8"), file.name)} == set()
