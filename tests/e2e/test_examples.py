"""The examples through the command line, on data they make and on the real taxi trips."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TAXI = ROOT / "examples" / "taxi"
REAL_TRIPS = ROOT.parent / "shared" / "data" / "chicago_taxi.csv"
"""15,002 trips of Chicago's open data, as TFX ships them; lies beside the checkout, if at all."""
NODES = ["ExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "Transform", "Trainer", "Evaluator",
         "Pusher"]  # fmt: skip


def run_taxi(project, trips: Path) -> dict[str, object]:
    answer = project.tidemill(
        "run", str(TAXI / "pipeline.py"), "--json", "-p", f"data={trips}", "-p", "max_iter=50"
    )
    found = json.loads(answer.stdout)
    assert {n: found["nodes"][n]["state"] for n in NODES} == dict.fromkeys(NODES, "COMPLETE"), found
    return dict(found)


def metrics_of(project) -> dict[str, float]:
    ((uri,),) = project.query("SELECT uri FROM Artifact WHERE uri LIKE '%/evaluation'")
    return dict(json.loads((Path(uri) / "evaluation.json").read_text())["model"])


def check_pages(project) -> None:
    """Each kind of artifact there is a page of, found with its neighbours by the record."""
    for kind, words in (
        ("ExampleStatistics", ("trip_miles", "columns with missing values", "errors")),
        ("ExampleAnomalies", ("trip_miles", "0</b><span>errors")),
        ("ModelEvaluation", ("Blessed", "every threshold is met", "payment_type=Cash")),
        ("ModelBlessing", ("Blessed", "payment_type=Cash")),
    ):
        listed = json.loads(project.tidemill("artifacts", "list", "--type", kind, "--json").stdout)
        # Transform makes statistics as well, of what it takes and gives; nobody validated those.
        (found, *_) = [a for a in listed if "/Transform/" not in a["name"]]
        page = project.tidemill("artifacts", "page", str(found["artifact"]), "-o", "-").stdout
        assert [word for word in words if word not in page] == []
        assert len(page.encode()) < 300_000


@pytest.mark.slow
def test_taxi_from_generated_trips_to_a_pushed_model(project, sound) -> None:
    trips = project.folder / "trips.csv"
    subprocess.run([sys.executable, str(TAXI / "generate.py"), str(trips), "--rows", "4000"], check=True)
    run_taxi(project, trips)
    assert metrics_of(project)["auc"] > 0.8
    assert len(list((project.folder / ".tidemill/taxi/serving/versions").iterdir())) == 1
    check_pages(project)
    sound(project)


@pytest.mark.slow
@pytest.mark.skipif(not REAL_TRIPS.is_file(), reason=f"no {REAL_TRIPS.name} beside the checkout")
def test_taxi_on_the_real_trips(project, sound) -> None:
    run_taxi(project, REAL_TRIPS)
    assert metrics_of(project)["auc"] > 0.9
    assert project.query(
        "SELECT SUM(p.int_value) FROM ArtifactProperty p JOIN Artifact a ON a.id = p.artifact_id"
        " WHERE p.name = 'num_rows' AND a.uri LIKE '%/ExampleGen/%'"
    ) == [(15002,)]
    sound(project)


@pytest.mark.slow
def test_every_kind_of_source_gives_the_same_rows(project) -> None:
    folder = ROOT / "examples" / "sources"
    data = project.folder / ".tidemill" / "sources"
    subprocess.run([sys.executable, str(folder / "make_files.py"), str(data)], check=True)
    found = json.loads(project.tidemill("run", str(folder / "pipeline.py"), "--json").stdout)
    assert {node["state"] for node in found["nodes"].values()} == {"COMPLETE"}, found
    assert len(found["nodes"]) == 13
