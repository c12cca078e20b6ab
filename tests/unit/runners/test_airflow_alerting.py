"""Alerts as plain data, and what a DAG file says of them. Without Airflow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tidemill.errors import DefinitionError
from tidemill.ir.model import PipelineIR, ScheduleIR
from tidemill.runners.airflow import Alert, Alerts
from tidemill.runners.airflow.alerting import alerts_of, read_alerts
from tidemill.runners.airflow.files import dag_files
from tidemill.runners.airflow.provider import get_provider_info

TOML = """
[[failure]]
notifier = "airflow.providers.smtp.notifications.smtp.SmtpNotifier"
to = ["team@example.org"]
subject = "{{ tidemill.message }}"
smtp_conn_id = "mail"

[[deadline]]
notifier = "mine.Pager"
"""
LATE = PipelineIR(name="p", nodes=(), schedule=ScheduleIR(cron="@daily", deadline=60.0))


def test_a_file_says_who_is_told_of_what() -> None:
    found = read_alerts(TOML, "alerts.toml")
    mail = Alert(
        "airflow.providers.smtp.notifications.smtp.SmtpNotifier",
        {"to": ["team@example.org"], "subject": "{{ tidemill.message }}", "smtp_conn_id": "mail"},
    )
    assert found == Alerts(failure=(mail,), deadline=(Alert("mine.Pager"),))
    assert alerts_of(found.to_json(), "again") == found


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[[failures]]\nnotifier='a.B'", "alerts on 'failures'"),
        ("[failure]\nnotifier='a.B'", "no list of tables"),
        ("[[failure]]\nnotifer='a.B'", "the notifier is None"),
        ("[[success]]\nnotifier='Pager'", "the notifier is 'Pager'"),
        ("[[success]]\nnotifier='a.B'\napi_token='x'", "'api_token' is a secret"),
        ("[[success]]\nnotifier='a.B'\nslack_webhook_url='x'", "'slack_webhook_url' is a secret"),
        ("[[success]]\nnotifier='a.B'\nday=2024-01-01", "'day' is not JSON"),
        ("[[failure", "no TOML"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(text: str, what: str) -> None:
    with pytest.raises(DefinitionError, match=what.replace("[", r"\[")) as error:
        read_alerts(text, "alerts.toml")
    assert "alerts.toml" in str(error.value)


def test_the_dag_file_has_the_alerts_and_the_assets_that_were_chosen() -> None:
    text = dag_files(LATE, alerts=read_alerts(TOML, "alerts.toml"), assets=["none"])["p_dag.py"]
    assert 'assets="none",' in text
    given: dict[str, object] = {}
    source = text.replace("from airflow.sdk import DAG", "DAG = object")
    source = source.replace("from tidemill.runners.airflow import load_dag", "")
    exec(source, {"load_dag": lambda _, **more: given.update(more), "__file__": "/dags/p_dag.py"})
    assert given["alerts"] == read_alerts(TOML, "alerts.toml").to_json()
    assert max(map(len, text.splitlines())) < 140


def test_nobody_can_be_told_of_a_deadline_that_there_is_not() -> None:
    with pytest.raises(DefinitionError, match="the schedule has none"):
        dag_files(PipelineIR(name="p", nodes=()), alerts=read_alerts(TOML, "alerts.toml"))


def test_the_command_reads_alerts_and_says_what_is_wrong_with_them(tmp_path: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tidemill.cli.main", "compile", "p.py", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    (tmp_path / "p.py").write_text(
        "from tidemill import *\n@component\ndef work() -> int:\n    return 1\n"
        "@pipeline(schedule=Schedule('@daily', deadline=60))\ndef p():\n    work()\n",
        encoding="utf-8",
    )
    (tmp_path / "alerts.toml").write_text(TOML, encoding="utf-8")
    to = ("--to", "airflow", "--output", "dags")
    done = run(*to, "--alerts", "alerts.toml", "--assets", "work.result")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "dags" / "p_dag.py").read_text(encoding="utf-8")
    assert "SmtpNotifier" in text
    assert 'assets="work.result"' in text
    for words, why in (
        ((*to, "--alerts", "nowhere.toml"), "--alerts nowhere.toml cannot be read"),
        ((*to, "--alerts", "p.py"), "no TOML"),
        ((*to, "--assets", "wrok"), "did you mean 'work'?"),
        (("--assets", "work"), "--assets is for --to airflow"),
    ):
        refused = run(*words)
        assert refused.returncode == 2, refused.stdout
        assert why in refused.stderr


def test_what_each_process_of_airflow_imports_of_ours_is_next_to_nothing() -> None:
    code = (
        "import sys, tidemill.runners.airflow.provider as p, tidemill.runners.airflow.names; "
        "p.get_provider_info(); print(sorted(m for m in sys.modules if m.startswith('tidemill')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(
        [
            "tidemill", "tidemill.runners", "tidemill.runners.airflow", "tidemill.runners.airflow.names",
            "tidemill.runners.airflow.provider",
        ]
    )  # fmt: skip
    assert get_provider_info()["connection-types"][0]["connection-type"] == "tidemill"
