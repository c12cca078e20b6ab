"""What notebooks are shown: the right facts, never anybody's markup, and never an error."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from tidemill.data.analyze import analyze_split
from tidemill.data.parquet import split_folder, write_split
from tidemill.data.schema import ColumnSchema
from tidemill.data.schema import Schema as SchemaValue
from tidemill.data.schema_file import write_schema
from tidemill.data.statistics import Statistics, write_statistics
from tidemill.interactive.display import artifact_html, size_text
from tidemill.models.manifest import ModelManifest, write_manifest
from tidemill.models.signature import scalars
from tidemill.storage.manifest import seal
from tidemill.types.artifact import Artifact
from tidemill.types.standard import (
    Examples,
    ExampleStatistics,
    JsonValue,
    Model,
    ModelEvaluation,
    Schema,
    String,
)

HOSTILE = "<script>alert('x')</script>"
"""As the name of a column, a file, a property and a value."""


def artifact(cls: type[Artifact], path: Path) -> Artifact:
    made = cls(str(path), path=path, id=7, custom_properties={"bytes": 2048, "note": HOSTILE})
    seal(path)
    return made


def safe(html: str) -> str:
    assert "<script" not in html
    return html


@pytest.fixture
def rows() -> pa.Table:
    return pa.table({HOSTILE: [f"<b>{i}</b>" for i in range(50)], "n": list(range(50))})


@pytest.fixture
def examples(tmp_path: Path, rows: pa.Table) -> Path:
    write_split(split_folder(tmp_path, "train"), rows.schema, [rows])
    return tmp_path


def test_examples_show_first_rows_and_schema(examples: Path) -> None:
    html = safe(artifact_html(artifact(Examples, examples)))
    assert "split train: 50 rows, 2 columns" in html
    assert "n: int" in html
    assert "&lt;b&gt;4&lt;/b&gt;" in html
    assert "&lt;b&gt;5&lt;/b&gt;" not in html
    assert "2.0 KiB" in html


def test_statistics_and_schema_are_small_tables(examples: Path, tmp_path_factory) -> None:
    folder = tmp_path_factory.mktemp("statistics")
    write_statistics(folder, Statistics(splits={"train": analyze_split(split_folder(examples, "train"))}))
    html = safe(artifact_html(artifact(ExampleStatistics, folder)))
    assert "split train: 50 rows" in html
    assert ">24.5<" in html
    folder = tmp_path_factory.mktemp("schema")
    columns = {HOSTILE: ColumnSchema(type="string"), "n": ColumnSchema(type="int", min=0, required=False)}
    write_schema(folder, SchemaValue(columns=columns))
    html = safe(artifact_html(artifact(Schema, folder)))
    assert "&lt;script&gt;" in html
    assert "{&quot;min&quot;: 0}" in html
    assert ">False<" in html


def test_evaluations_show_both_models(tmp_path: Path) -> None:
    record = {"rows": 9, "model": {"auc": 0.75, HOSTILE: 1.0}, "baseline": {"auc": 0.5}}
    (tmp_path / "evaluation.json").write_text(json.dumps(record))
    html = safe(artifact_html(artifact(ModelEvaluation, tmp_path)))
    assert ">0.75<" in html
    assert ">0.5<" in html


def test_models_show_their_manifest_and_files(tmp_path: Path) -> None:
    manifest = ModelManifest(
        framework="scikit-learn", features=scalars({"n": "int64"}), details={"depth": HOSTILE}
    )
    write_manifest(tmp_path, manifest)
    (tmp_path / "<b>weights").write_bytes(b"1234")
    html = safe(artifact_html(artifact(Model, tmp_path)))
    assert "scikit-learn" in html
    assert "n: int" in html
    assert "&lt;b&gt;weights" in html
    assert "4 B" in html


@pytest.mark.parametrize("value", [HOSTILE, {"a": [1, HOSTILE]}, None, list(range(5000))])
def test_values_are_shown_as_they_are(tmp_path: Path, value: object) -> None:
    made = artifact(JsonValue if not isinstance(value, str) else String, tmp_path)
    made.value = value  # type: ignore[attr-defined]  # both hold one
    html = safe(artifact_html(made))
    assert "<pre>" in html
    assert len(html) < 8000


@pytest.mark.parametrize("cls", [Examples, ExampleStatistics, Schema, ModelEvaluation, Model, Artifact])
@pytest.mark.parametrize("there", ["nothing", "garbage"])
def test_what_cannot_be_read_never_hides_the_rest(tmp_path: Path, cls: type[Artifact], there: str) -> None:
    if there == "garbage":
        for name in ("statistics.json", "evaluation.json", "schema.yaml", "model.json"):
            (tmp_path / name).write_text("{<")
        (tmp_path / "Split-train").mkdir()
        (tmp_path / "Split-train" / "part-00000.parquet").write_bytes(b"PAR1")
    html = safe(artifact_html(artifact(cls, tmp_path)))
    assert str(tmp_path) in html
    assert cls.TYPE_NAME in html


def test_sizes() -> None:
    assert [size_text(n) for n in (0, 1023, 1024, 5 * 2**20, 3 * 2**40)] == [
        "0 B", "1023 B", "1.0 KiB", "5.0 MiB", "3.0 TiB",
    ]  # fmt: skip
