"""SchemaGen and ImportSchemaGen as a node sees them."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tidemill.components.schema_gen import executor
from tidemill.components.schema_gen.component import ImportSchemaGen, SchemaGen
from tidemill.data.analyze import analyze_tables
from tidemill.data.schema_file import FILE, read_schema
from tidemill.data.statistics import Statistics, write_statistics
from tidemill.errors import DataError
from tidemill.storage.pattern import resolve_files
from tidemill.types.standard import ExampleStatistics, Schema


def schema_output(folder: Path) -> Schema:
    folder.mkdir()
    return Schema(path=folder)


@pytest.fixture
def statistics(tmp_path: Path) -> ExampleStatistics:
    tables = {"train": pa.table({"kind": ["a", "b"]}), "eval": pa.table({"kind": ["c", None]})}
    folder = tmp_path / "statistics"
    folder.mkdir()
    splits = {name: analyze_tables([table], table.schema) for name, table in tables.items()}
    write_statistics(folder, Statistics(splits=splits))
    return ExampleStatistics(path=folder)


@pytest.mark.parametrize("component", [SchemaGen, ImportSchemaGen], ids=lambda c: c.name)
def test_the_declarations_and_the_executors_agree(component: Any) -> None:
    declared = component.signature
    assert not declared.problems
    module, _, function = component.executor.partition(":")
    assert module == executor.__name__
    taken = inspect.signature(getattr(executor, function)).parameters
    assert set(taken) == {*declared.inputs, *declared.outputs, *declared.parameters}


def test_a_schema_of_all_splits_or_of_one(tmp_path: Path, statistics: ExampleStatistics) -> None:
    both, one, none = (schema_output(tmp_path / name) for name in ("both", "one", "none"))
    executor.run(statistics=statistics, schema=both)
    executor.run(statistics=statistics, schema=one, infer_from="train")
    executor.run(statistics=statistics, schema=none, max_domain=2)
    assert read_schema(both.path).columns["kind"].domain == ("a", "b", "c")
    assert read_schema(both.path).columns["kind"].min_fraction == 0
    assert read_schema(one.path).columns["kind"].domain == ("a", "b")
    assert read_schema(one.path).columns["kind"].min_fraction == 1
    assert read_schema(none.path).columns["kind"].domain is None
    with pytest.raises(DataError, match="did you mean 'train'"):
        executor.run(statistics=statistics, schema=both, infer_from="trian")


def test_a_written_schema_can_be_imported_with_its_comments(
    tmp_path: Path, statistics: ExampleStatistics
) -> None:
    drawn = schema_output(tmp_path / "drawn")
    executor.run(statistics=statistics, schema=drawn)
    edited = (drawn.path / FILE).read_text() + "    min_domain_mass: 0.9  # new kinds come slowly\n"
    (tmp_path / "mine.yaml").write_text(edited)
    imported = schema_output(tmp_path / "imported")
    executor.run_import(schema=imported, schema_file=resolve_files("mine.yaml", base=tmp_path))
    assert (imported.path / FILE).read_text() == edited
    assert read_schema(imported.path).columns["kind"].min_domain_mass == 0.9


def test_a_schema_of_tfx_is_imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "schema.pbtxt").write_text(
        'feature { name: "kind" type: BYTES presence { min_fraction: 1.0 } string_domain { value: "a" } }\n'
        'feature { name: "picture" type: BYTES image_domain {} }\n'
    )
    imported = schema_output(tmp_path / "imported")
    executor.run_import(schema=imported, schema_file=resolve_files("schema.pbtxt", base=tmp_path))
    assert read_schema(imported.path).columns["kind"].domain == ("a",)
    assert "feature 'picture': image_domain has no counterpart" in capsys.readouterr().out


def test_a_file_that_is_no_schema_is_not_imported(tmp_path: Path) -> None:
    imported = schema_output(tmp_path / "imported")
    (tmp_path / "mine.yaml").write_text("format: tidemill.schema/1\ncolumns:\n  a: {tipe: int}\n")
    with pytest.raises(DataError) as caught:
        executor.run_import(schema=imported, schema_file=resolve_files("mine.yaml", base=tmp_path))
    assert caught.value.where.endswith("mine.yaml:3")
    assert "did you mean 'type'" in caught.value.hint
    assert list(imported.path.iterdir()) == []
