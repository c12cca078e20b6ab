"""The work of SchemaGen and ImportSchemaGen."""

from __future__ import annotations

import shutil
from pathlib import Path

from tidemill.data.infer import infer_schema
from tidemill.data.schema_file import FILE, load_schema, write_schema
from tidemill.data.statistics import read_statistics
from tidemill.types.standard import ExampleStatistics, Schema


def run(
    *, statistics: ExampleStatistics, schema: Schema, infer_from: str | None = None, max_domain: int = 100
) -> None:
    """Write the schema that `statistics` fit; see the component."""
    found = read_statistics(statistics.path)
    splits = list(found.splits.values()) if infer_from is None else [found.split(infer_from)]
    inferred = infer_schema(splits, max_domain=max_domain)
    write_schema(schema.path, inferred)
    domains = sum(column.domain is not None for column in inferred.columns.values())
    print(f"{len(inferred.columns)} columns, {domains} with a domain")


def run_import(*, schema: Schema, schema_file: str) -> None:
    """Check `schema_file` and copy it, comments and all."""
    source = Path(schema_file)
    checked = load_schema(source)
    shutil.copyfile(source, schema.path / FILE)
    print(f"{len(checked.columns)} columns from {source}")
