"""From a source, as a pipeline says it, to something that gives tables: which format is read how.

The list of formats lives here, and nowhere else. It knows neither splits nor components.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tidemill.data.columnar_source import arrow_file, open_columnar, parquet_file
from tidemill.data.csv_records import Dialect
from tidemill.data.csv_source import open_csv
from tidemill.data.source import TableSource
from tidemill.errors import DataError, did_you_mean
from tidemill.types.source import (
    Arrow,
    Avro,
    Csv,
    Custom,
    FileSet,
    Jsonl,
    Parquet,
    Query,
    Source,
    SourceFile,
    TFRecord,
)

_OF_FORMAT: dict[str, type[Csv | Parquet | Jsonl | Arrow | TFRecord | Avro]] = {
    "csv": Csv, "parquet": Parquet, "jsonl": Jsonl, "arrow": Arrow, "tfrecord": TFRecord, "avro": Avro
}  # fmt: skip
FORMATS = ("auto", *_OF_FORMAT)
_ENDINGS = {
    "csv": "csv", "parquet": "parquet", "pq": "parquet", "jsonl": "jsonl", "ndjson": "jsonl",
    "arrow": "arrow", "arrows": "arrow", "feather": "arrow", "ipc": "arrow", "tfrecord": "tfrecord",
    "tfrecords": "tfrecord", "avro": "avro",
}  # fmt: skip
_COMPRESSED = (".gz", ".bz2", ".zst")


def source_of_files(files: FileSet, format: str = "auto") -> Source:
    """The source that bare `files(...)` stand for; `auto` goes by the names' endings. Errors: DataError."""
    if format not in FORMATS:
        raise DataError(f"unknown format {format!r}", hint=did_you_mean(format, FORMATS))
    _check_any(files)
    if format == "auto":
        endings = {_ENDINGS.get(_ending(file.uri), "") for file in files.files}
        if len(endings) != 1 or endings == {""}:
            raise DataError(
                f"cannot tell the format of {files.files[0].uri!r} from its name",
                where=repr(files.pattern),
                hint="set format='csv' or format='parquet', or give a source such as Csv(files(...))",
            )
        (format,) = endings
    return _OF_FORMAT[format](files)


def open_source(
    source: FileSet | Source, format: str, column_types: Mapping[str, str], null_values: Sequence[str],
    *, files: Sequence[SourceFile] | None = None, tolerant: bool = False,
) -> TableSource:  # fmt: skip
    """What gives the tables of a source. `files`: only these, of a source with several input splits.

    With `tolerant`, rows that cannot be read are going to be put aside. Errors: DataError.
    """
    if isinstance(source, FileSet):
        source = source_of_files(source, format)
    if isinstance(source, Query):
        from tidemill.data.query_source import open_query

        return open_query(source, column_types)
    if isinstance(source, Custom):
        from tidemill.data.custom_source import open_custom

        given = {} if source.files is None else {"files": source.files}
        return open_custom(source.read, {**source.arguments, **given}, column_types)
    if files is None:
        found = getattr(source, "files", None)
        if not isinstance(found, FileSet):
            raise DataError(f"the {source.kind} source names no input split", hint="{'train': files(...)}")
        _check_any(found)
        files = found.files
    return _open_files(source, files, column_types, null_values, tolerant=tolerant)


def _open_files(
    source: Source, files: Sequence[SourceFile], column_types: Mapping[str, str],
    null_values: Sequence[str], *, tolerant: bool,
) -> TableSource:  # fmt: skip
    match source:
        case Csv():
            dialect = Dialect(source.delimiter, tuple(source.column_names or ()))
            return open_csv(files, column_types, null_values, dialect=dialect, tolerant=tolerant)
        case Parquet():
            return open_columnar(files, column_types, parquet_file)
        case Arrow():
            return open_columnar(files, column_types, arrow_file)
        case Jsonl():
            from tidemill.data.jsonl_source import open_jsonl

            return open_jsonl(files, column_types)
        case TFRecord():
            from tidemill.data.tfrecord_source import open_tfrecords

            return open_tfrecords(files, column_types, source.payload)
        case Avro():
            from tidemill.data.avro_file import avro_file

            return open_columnar(files, column_types, avro_file)
    raise AssertionError(f"no reader for {source.kind}")


def _check_any(files: FileSet) -> None:
    if not files.files:
        raise DataError("the pattern matched no file", where=repr(files.pattern))


def _ending(uri: str) -> str:
    name = uri.lower()
    for compression in _COMPRESSED:
        name = name.removesuffix(compression)
    return name.rpartition(".")[2]
