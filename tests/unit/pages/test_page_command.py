"""`tidemill artifacts page` on folders, and pages in notebooks; artifacts on record are in tests/e2e."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tidemill.cli.artifacts import artifacts
from tidemill.errors import DataError, TidemillError
from tidemill.interactive.pages import page
from tidemill.types.standard import ExampleAnomalies, ExampleStatistics, Model, ModelEvaluation

EVALUATION = {"format": "tidemill.evaluation/1", "splits": ["eval"], "rows": 3, "model": {"auc": 0.5}}


def folder(where: Path, name: str, content: Any) -> Path:
    where.mkdir(parents=True, exist_ok=True)
    (where / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return where


def command(*words: str | Path) -> str:
    return CliRunner().invoke(artifacts, ["page", *map(str, words)], catch_exceptions=False).output


@pytest.fixture
def made_folder(tmp_path: Path, made, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "new", "statistics.json", made.statistics(train=[made.numbers("miles", high=300.0)]))
    folder(tmp_path / "old", "statistics.json", made.statistics(train=[made.numbers("miles")]))
    found = {"name": "X", "severity": "error", "split": "train", "column": "miles", "long": "too far"}
    folder(tmp_path / "bad", "anomalies.json", {"format": "tidemill.anomalies/1", "anomalies": [found]})
    folder(tmp_path / "judged", "evaluation.json", EVALUATION)
    folder(tmp_path / "judged", "blessing.json", {"verdict": "NOT_BLESSED", "reasons": ["too low"]})
    return tmp_path


def test_folders_become_pages(made_folder: Path, made) -> None:
    assert command("new", "--against", "old", "--anomalies", "bad/anomalies.json").startswith("new.html  ")
    text = made.parse((made_folder / "new.html").read_text()).text
    assert "too far" in text
    assert "moved far" in text
    assert "new against old" in text
    command("judged/evaluation.json", "-o", "e.html")
    assert "too low" in made.parse((made_folder / "e.html").read_text()).text
    assert command("judged", "-o", "-") == (made_folder / "e.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing"], "nothing to make a page of"),
        (["judged", "--against", "old"], "--against is for statistics"),
        (["new", "--against", "judged"], "is ModelEvaluation, not ExampleStatistics"),
        (["bad"], "the statistics of bad are not on record"),
        (["new", "-o", "no/such/folder.html"], "cannot be written"),
        (["7", "--root", "nowhere"], "there is no record"),
        (["broken"], "is not JSON"),
        (["other"], "expected tidemill.statistics/"),
    ],
)
def test_what_cannot_be_drawn_is_said(made_folder: Path, words: list[str], message: str) -> None:
    folder(made_folder / "broken", "statistics.json", "{")
    folder(made_folder / "other", "statistics.json", {"format": "else"})
    with pytest.raises(TidemillError, match=message):
        command(*words)


def test_notebooks_show_pages_in_a_frame_that_reaches_nothing(made_folder: Path) -> None:
    new, old = (ExampleStatistics(path=made_folder / name, id=3) for name in ("new", "old"))
    found = page(new, against=old, anomalies=ExampleAnomalies(path=made_folder / "bad"))
    assert "too far" in found.text
    frame = found._repr_html_()
    assert frame.startswith('<iframe sandbox="allow-scripts" srcdoc="&lt;!doctype html&gt;')
    assert frame.count("<") == 2, "the page is inside of an attribute"
    assert found.save(made_folder / "p.html").read_text() == found.text
    assert "auc" in page(ModelEvaluation(path=made_folder / "judged")).text
    with pytest.raises(DataError, match="no page of Model"):
        page(Model(path=made_folder))
    with pytest.raises(DataError, match=r"statistics\.json cannot be read"):
        page(ExampleStatistics(path=made_folder))
