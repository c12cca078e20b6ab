"""The small examples run as their READMEs say, and give what they promise."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(project, example: str, *words: str) -> dict[str, Any]:
    done = project.tidemill("run", str(EXAMPLES / example / "pipeline.py"), "--json", *words)
    return dict(json.loads(done.stdout)["nodes"])


def values(project, node: str) -> list[Any]:
    """What a node returned, the oldest first."""
    rows = project.query("SELECT uri FROM Artifact WHERE uri LIKE ? ORDER BY id", f"%/{node}/%/result")
    return [
        json.loads(next(p for p in Path(uri).iterdir() if p.name[0] != ".").read_text()) for (uri,) in rows
    ]


def test_a_component_in_five_lines(project) -> None:
    nodes = run(project, "five_lines")
    assert {name: node["state"] for name, node in nodes.items()} == dict.fromkeys(nodes, "COMPLETE")
    assert values(project, "total") == [9 + 16 + 25 + 36 + 49 + 64 + 81]
    assert {node["state"] for node in run(project, "five_lines").values()} == {"CACHED"}


def test_a_component_with_files_of_its_own_type(project) -> None:
    project.write("texts/a.txt", "The tide turns the mill, and the mill turns")
    nodes = run(project, "custom_component", "-p", "texts=texts/*.txt")
    assert {name: node["state"] for name, node in nodes.items()} == {
        "CountWords": "COMPLETE",
        "longest": "COMPLETE",
    }
    assert values(project, "longest") == ["turns"]
    listed = json.loads(project.tidemill("artifacts", "list", "--type", "WordCounts", "--json").stdout)
    assert listed[0]["properties"] == {"words": 5, "distinct": 3}
    project.write("texts/a.txt", "mill mill")
    few = run(project, "custom_component", "-p", "texts=texts/*.txt")
    assert few["longest"]["state"] == "SKIPPED"
    project.write("texts/a.txt", "the and")
    failed = project.tidemill(
        "run", str(EXAMPLES / "custom_component/pipeline.py"), "-p", "texts=texts/*.txt", expect=1
    )
    assert "there is no word in the files" in failed.stdout + failed.stderr


@pytest.mark.slow
def test_spans_and_a_rolling_window(project) -> None:
    data = project.folder / "data"
    subprocess.run(
        [sys.executable, str(EXAMPLES / "spans/write_days.py"), str(data), "--days", "4"], check=True
    )
    project.tidemill(
        "backfill",
        str(EXAMPLES / "spans/pipeline.py"),
        "--from",
        "2026-03-02",
        "--to",
        "2026-03-05",
        "-p",
        f"data={data}",
    )
    means = values(project, "window_means")
    assert len(means) == 4
    assert all(set(found) == {"north", "south", "roof"} for found in means)
    days = [sum(found.values()) / 3 for found in means]
    # Each day is half a degree warmer: the window of n days lies (n - 1) / 4 behind the last one.
    assert days[1] - days[0] == pytest.approx(0.25, abs=0.2)
    assert days[3] - days[2] == pytest.approx(0.5 + 2 / 9, abs=0.2)
    assert means[3]["roof"] - means[3]["north"] == pytest.approx(2 / 3, abs=0.3)
    spans = project.query(
        "SELECT COUNT(DISTINCT artifact_id) FROM Event e JOIN Artifact a ON a.id = e.artifact_id"
        " WHERE a.uri LIKE '%/ExampleGen/%'"
    )
    assert spans == [(4,)]


@pytest.mark.slow
def test_a_classifier_without_training_code(project) -> None:
    nodes = run(project, "breast_cancer")
    assert {name: node["state"] for name, node in nodes.items()} == dict.fromkeys(nodes, "COMPLETE")
    ((uri,),) = project.query("SELECT uri FROM Artifact WHERE uri LIKE '%/evaluation'")
    found = json.loads((Path(uri) / "evaluation.json").read_text())
    assert found["verdict"] == "BLESSED", found["reasons"]
    assert found["model"]["auc"] > 0.98
    assert [part["rows"] for part in found["slices"]] == pytest.approx([63, 63, 64], abs=2)
    page = project.tidemill("artifacts", "page", uri, "-o", "-").stdout
    assert "Blessed" in page
    assert "Calibration" in page
