"""What SchemaGen and ImportSchemaGen take and give; the work is in `executor`."""

from __future__ import annotations

from tidemill.dsl.component import Input, Outputs, component
from tidemill.types.source import FileSet
from tidemill.types.standard import ExampleStatistics, Schema


class SchemaGenOutputs(Outputs):
    """What the examples must look like."""

    schema: Schema


@component(executor="tidemill.components.schema_gen.executor:run")
def SchemaGen(
    statistics: Input[ExampleStatistics], *, infer_from: str | None = None, max_domain: int = 100
) -> SchemaGenOutputs:
    """Draw up the schema that the statistics fit: types, presence, and domains of texts.

    infer_from: the split to look at; all of them unless given.
    max_domain: a text column with at most so many distinct values gets them as its domain; 0 for none.

    Writes `schema.yaml`, made to be read, edited, and then used with ImportSchemaGen.
    Errors: DataError for an unknown split, and a column that has different types in different splits.
    """


@component(executor="tidemill.components.schema_gen.executor:run_import")
def ImportSchemaGen(schema_file: FileSet) -> SchemaGenOutputs:
    """Use a schema that people wrote or edited.

    schema_file: the one YAML file, `files("schema.yaml")`. An edit to it is seen by the cache. TFX's
        `schema.pbtxt` is taken as well (extra `tfmd`); what it says and we cannot is told in the log.

    Errors: DataError with file, line and key for anything that is not a schema, or several files.
    """
