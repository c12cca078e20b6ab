"""Old Airflow spellings: every row of every table is found, in its place, and nothing else is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tidemill.errors import DefinitionError
from tidemill.runners.airflow import old
from tidemill.runners.airflow.lint import Finding, lint

MODERN = """
import pendulum
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, task

default_args = {"retries": 2, "owner": "team"}
with DAG("p", schedule="@daily", start_date=pendulum.datetime(2024, 1, 1, tz="UTC"), catchup=False) as dag:
    PythonOperator(task_id="a", python_callable=print, op_args=["{{ ds }} of {{ data_interval_start }}"],
                   trigger_rule="none_failed", default_args=default_args)
numbers = {"concurrency": 3, "next_ds": 1}
limits = dict(sla=5)
print("execution_date", numbers["next_ds"], "{{ params.execution_date }} {{ x['next_ds'] }}")
"""


def only(source: str) -> Finding:
    (found,) = lint(source, "dag.py")
    return found


def test_a_modern_file_has_none() -> None:
    assert lint(MODERN, "dag.py") == []


@pytest.mark.parametrize("name", old.IMPORTS)
def test_imports(name: str) -> None:
    module, _, last = name.rpartition(".")
    row = old.IMPORTS[name]
    for source in (f"from {module} import {last}", f"from {module} import {last} as other"):
        assert only(source) == Finding(1, 14 + len(module), name, row.state, row.instead)
    if last.islower():
        assert only(f"import {name}").instead == row.instead
        assert only(f"from {name} import Thing").instead == row.instead
        if module not in old.IMPORTS:
            assert lint(f"import {name}er", "dag.py") == [], "a longer name is another one"


@pytest.mark.parametrize("name", old.DAG_ARGUMENTS)
def test_arguments_of_a_dag(name: str) -> None:
    row = old.DAG_ARGUMENTS[name]
    for callee in ("DAG", "models.DAG"):
        assert only(f"{callee}('p', {name}=1)").instead == row.instead
    assert only(f"@dag({name}=1)\ndef p(): ...").state == row.state
    assert lint(f"other({name}=1)", "dag.py") == []


@pytest.mark.parametrize("name", old.OPERATOR_ARGUMENTS)
def test_arguments_of_operators(name: str) -> None:
    row = old.OPERATOR_ARGUMENTS[name]
    for source in (
        f"PythonOperator(task_id='a', {name}=1)",
        f"FileSensor(task_id='a', {name}=1)",
        f"@task({name}=1)\ndef a(): ...",
        f"BashOperator.partial({name}=1)",
        f"default_args = {{'retries': 1, '{name}': 1}}",
        f"DAG('p', default_args={{'{name}': 1}})",
    ):
        assert only(source).instead == row.instead, source


@pytest.mark.parametrize("name", sorted(old.UNMISTAKABLE))
def test_settings_in_any_dict(name: str) -> None:
    assert only(f"config = {{'{name}': 1}}").spelling == repr(name)


@pytest.mark.parametrize("name", old.TRIGGER_RULES)
def test_trigger_rules(name: str) -> None:
    row = old.TRIGGER_RULES[name]
    assert only(f"BashOperator(trigger_rule='{name}')").instead == row.instead
    assert only(f"BashOperator(trigger_rule=TriggerRule.{name.upper()})").instead == row.instead


@pytest.mark.parametrize("name", old.CONTEXT)
def test_the_context_of_a_task(name: str) -> None:
    row = old.CONTEXT[name]
    for source in (
        f"def f(**context): return context['{name}']",
        f"def f(**kwargs): return kwargs.get('{name}', 1)",
        f"BashOperator(bash_command='echo {{{{ {name} }}}}')",
        f"command = 'echo {{{{ macros.ds_add({name}, 3) }}}} x'",
    ):
        assert only(source).instead == row.instead, source


@pytest.mark.parametrize("name", sorted(old.FILLED))
def test_arguments_that_the_context_filled(name: str) -> None:
    assert only(f"@task\ndef f({name}): ...").instead == old.CONTEXT[name].instead
    assert only(f"@task.virtualenv(retries=1)\ndef f(*, {name}=None): ...").spelling == f"f({name})"
    assert lint(f"def f({name}): ...", "dag.py") == []


@pytest.mark.parametrize(("end", "name"), [(end, name) for end, rows in old.CALLS.items() for name in rows])
def test_arguments_of_other_calls(end: str, name: str) -> None:
    assert only(f"x = {end}('a', {name}=1)").instead == old.CALLS[end][name].instead
    assert lint(f"x = other('a', {name}=1)", "dag.py") == []


@pytest.mark.parametrize("name", old.PLUGIN)
def test_attributes_of_a_plugin(name: str) -> None:
    assert only(f"class P(AirflowPlugin):\n    {name} = [A]").spelling == f"AirflowPlugin.{name}"
    assert lint(f"class P:\n    {name} = [A]", "dag.py") == []


def test_attributes_that_could_be_anybodys() -> None:
    assert only("PostgresHook.get_connections('a')").instead == "get_connection"
    assert lint("pool.get_connections('a')", "dag.py") == []


def test_signatures() -> None:
    link = "class L(BaseOperatorLink):\n    def get_link(self, operator, {}): ..."
    assert only(link.format("dttm")).line == 2
    assert lint(link.format("*, ti_key"), "dag.py") == []
    for extra in ("{'a': 1}", "dict(a=1)"):
        assert only(f"Asset('a', {extra})").instead == "extra=, by its name"
    assert lint("Asset('a', 's3://b')", "dag.py") == []
    assert only("context['inlet_events']['s3://b']").spelling == "inlet_events['s3://b']"
    assert lint("inlet_events[asset]", "dag.py") == []


def test_a_module_that_was_imported_under_a_name_is_followed() -> None:
    source = (
        "from airflow import configuration as c, models\nc.get('core', 'x')\nmodels.DAG('p')\nc.conf.get('a')"
    )
    assert [(f.line, f.spelling) for f in lint(source, "dag.py")] == [
        (2, "airflow.configuration.get"),
        (3, "airflow.models.DAG"),
    ]
    found = lint("from airflow.utils import dates\ndates.days_ago(1)", "dag.py")
    assert [f.line for f in found] == [1], "what is said of the import is said once"


def test_the_longest_row_counts() -> None:
    assert only("from airflow.operators.mysql_operator import MySqlOperator").state == "gone"
    assert "apache-hive" in only("from airflow.operators.hive_operator import HiveOperator").instead
    assert only("from airflow.operators.python import get_current_context").instead.startswith("airflow.sdk.")
    assert only("from airflow.operators import MineOperator").state == "gone"
    assert lint("from airflow.configuration import conf", "dag.py") == []


@pytest.mark.parametrize("name", old.METHODS)
def test_methods(name: str) -> None:
    assert only(f"kwargs['ti'].{name}().run_id").instead == old.METHODS[name].instead


def test_a_dotted_use_is_found_once() -> None:
    assert only("import airflow\nstart = airflow.utils.dates.days_ago(1)").line == 2


def test_a_file_of_python_2_is_refused_with_its_line() -> None:
    with pytest.raises(DefinitionError) as error:
        lint("x = 1\nprint 'x'\n", "dag.py")
    assert error.value.where == "dag.py:2"


def test_the_command(tmp_path: Path) -> None:
    def run(name: str, text: bytes) -> tuple[int, str]:
        (tmp_path / name).write_bytes(text)
        command = [sys.executable, "-m", "tidemill.cli.main", "lint-dag", name]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    assert run("new.py", MODERN.encode()) == (0, "no old spellings\n")
    code, text = run("old.py", b"from airflow.operators.dummy_operator import DummyOperator\n")
    assert code == 1
    assert text == (
        "old.py:1:46: airflow.operators.dummy_operator.DummyOperator is gone in Airflow 3; write: "
        "airflow.providers.standard.operators.empty.EmptyOperator\n"
    )
    code, text = run("bad.py", b"\xff\xfe")
    assert code == 2
    assert "Traceback" not in text
