"""What somebody sees who looks at the command line for the first time, and types some of it wrong."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tidemill.cli import main
from tidemill.errors import TidemillError
from tidemill.metadata.open import open_store
from tidemill.testing.store_stories import start_run

PIPELINE = """
from tidemill import OnFiles, Schedule, component, pipeline

@component
def train() -> int:
    return 1

@pipeline(schedule=Schedule(on=OnFiles("{YYYY}-{MM}-{DD}.csv")))
def daily() -> None:
    train()
"""


def test_help_shows_every_command_once() -> None:
    shown = Counter(name for names in main._SECTIONS.values() for name in names.split())
    assert shown == Counter(list(main._COMMANDS))
    said = CliRunner().invoke(main.cli, ["--help"]).output
    assert all(f"\n{title}:\n" in said for title in main._SECTIONS)


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a record of one run, which is where commands are called."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TIDEMILL_ROOT", raising=False)
    monkeypatch.delenv("TIDEMILL_METADATA", raising=False)
    (tmp_path / ".tidemill").mkdir()
    store = open_store(f"sqlite:///{tmp_path}/.tidemill/metadata.db")
    start_run(store, "taxi-1")
    store.close()
    return tmp_path


def answer(line: str) -> str:
    """What a command says, or the error it ends with."""
    result = CliRunner().invoke(main.cli, shlex.split(line), standalone_mode=False)
    error = result.exception
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, TidemillError):
        return str(error)
    assert error is None, error
    return result.output


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("rnu pipeline.py", "did you mean 'run'?"),
        ("runs lst", "Did you mean 'list'?"),
        ("run pipeline.py --parm x=1", "--param"),
        ("runs list --pipeline txai", "there is no run of a pipeline 'txai'; did you mean 'taxi'?"),
        ("artifacts list --pipeline txai", "did you mean 'taxi'?"),
        ("artifacts list --type Modle", "no artifact has the type 'Modle'"),
        ("sources txai", "did you mean 'taxi'?"),
        ("failures show abc", "nothing has failed for good"),
        ("mirror clear --to much", "write for example 20Gi"),
    ],
)
def test_typing_errors_are_answered(record: Path, line: str, hint: str) -> None:
    assert hint in answer(line)


@pytest.mark.parametrize("line", ["run pipeline.py", "submit pipeline.py"])
def test_a_run_by_hand_says_that_it_waits_for_no_data(record: Path, line: str, project_run) -> None:
    (record / "pipeline.py").write_text(PIPELINE)
    assert "note: daily is to start when data arrives" in project_run(line).stderr


def test_sources_takes_the_file_too(record: Path, project_run) -> None:
    (record / "pipeline.py").write_text(PIPELINE)
    assert "there is no run of a pipeline 'daily'" in project_run("sources pipeline.py").stderr
    project_run("run pipeline.py")
    assert "0 of 0 files are as they were read" in project_run("sources pipeline.py").stdout
