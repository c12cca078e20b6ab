"""The work of SchemaGen and ImportSchemaGen."""

from __future__ import annotations

import shutil

from tidemill.data.infer import infer_schema
from tidemill.data.schema_file import FILE, load_schema, write_schema
from tidemill.data.statistics import read_statistics
from tidemill.data.tfmd.convert import is_tfmd, load_any_schema
from tidemill.errors import DataError
from tidemill.storage.uri import local_path
from tidemill.types.source import FileSet
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


def run_import(*, schema: Schema, schema_file: FileSet) -> None:
    """Check `schema_file` and copy it, comments and all."""
    if len(schema_file.files) != 1:
        found = f"{schema_file.pattern!r} matches {len(schema_file.files)} files"
        raise DataError(f"{found}; a schema is one file")
    source = local_path(schema_file.files[0].uri)
    if is_tfmd(source):
        checked, notes = load_any_schema(source)
        write_schema(schema.path, checked)
        for note in notes:
            print(f"note: {note}")
    else:
        checked = load_schema(source)
        shutil.copyfile(source, schema.path / FILE)
    print(f"{len(checked.columns)} columns from {source}")
