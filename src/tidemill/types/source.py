"""What ExampleGen can read: external files as they were found, and the kinds of sources made of them.

A source is a frozen object of plain values and `files(...)`. It is a mapping too, of its kind and its
fields, so it is written into the IR as it is and any field may be a placeholder. How a kind is read is the
data engine's affair. Nothing secret has a field here: a secret is named by the environment variable that
holds it where the node runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from tidemill.errors import DataError, DefinitionError, did_you_mean
from tidemill.types.tagged import Tagged


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One external file as it was when the node was resolved."""

    uri: str
    size: int
    """Bytes."""
    digest: str
    """sha256 for local files; what the storage offers (etag, generation) for remote ones."""
    stamp: str = ""
    """Of local files: what changes whenever the file is written, so that an equal stamp means equal bytes.
    Empty when the file was written too short a time before it was read to be sure of that."""
    span: int | None = None
    """The span that the pattern's placeholders give this file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSet:
    """The files a pattern matched, oldest span first.

    `span` is the newest span read: days since 1970-01-01 for date patterns, the number itself for
    `{SPAN}`, and None for a pattern without either. The cache key uses `digest`s, so the same bytes
    under another timestamp are the same source.
    """

    pattern: str
    files: tuple[SourceFile, ...]
    span: int | None = None
    version: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, inverse of `from_json`."""
        return {
            "pattern": self.pattern,
            "span": self.span,
            "version": self.version,
            "files": [_file_json(f) for f in self.files],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> FileSet:
        """Inverse of `to_json`."""
        return cls(
            pattern=value["pattern"],
            span=value["span"],
            version=value["version"],
            files=tuple(SourceFile(**f) for f in value["files"]),
        )


def _file_json(file: SourceFile) -> dict[str, Any]:
    plain: dict[str, Any] = {"uri": file.uri, "size": file.size, "digest": file.digest}
    if file.stamp:
        plain["stamp"] = file.stamp
    if file.span is not None:
        plain["span"] = file.span
    return plain


Files = FileSet | Mapping[str, FileSet]
"""One `files(...)`, or one for each split that the data comes in: `{"train": files(...), ...}`."""


class Source(Tagged):
    """The root of all kinds: `Csv`, `Parquet`, `Jsonl`, `Arrow`, `TFRecord`, `Avro`, `Query`, `Custom`."""

    def _names(self) -> list[str]:
        """Fields that say something: those with their default stay out of the IR."""
        return [
            item.name
            for item in fields(self)  # type: ignore[arg-type]  # every kind is a dataclass
            if not _is_default(getattr(self, item.name), item.default)
        ]


def _is_default(value: Any, default: Any) -> bool:
    """Placeholders answer no comparison, so only equal types are compared."""
    empty = isinstance(value, Mapping) and not isinstance(value, Source) and not value
    return empty or value is None or (type(value) is type(default) and bool(value == default))


@dataclass(frozen=True)
class Csv(Source):
    """CSV files (RFC 4180, UTF-8) with one header, plain or as .gz, .bz2 or .zst."""

    kind: ClassVar[str] = "csv"
    files: Files
    delimiter: str = ","
    """One character."""
    column_names: Sequence[str] | None = None
    """For files without a header: their columns."""


@dataclass(frozen=True)
class Parquet(Source):
    """Parquet files; every type Arrow knows is carried whole."""

    kind: ClassVar[str] = "parquet"
    files: Files


@dataclass(frozen=True)
class Jsonl(Source):
    """One JSON object a line; a key that a line lacks is null there, lists and objects stay what they are."""

    kind: ClassVar[str] = "jsonl"
    files: Files


@dataclass(frozen=True)
class Arrow(Source):
    """Arrow IPC, as files (Feather 2) or streams; which of both a file is, it says itself."""

    kind: ClassVar[str] = "arrow"
    files: Files


@dataclass(frozen=True)
class TFRecord(Source):
    """TFRecord files, plain or gzip, with a tf.train message in each record; needs `tidemill[tfrecord]`.

    A feature with one value everywhere becomes a plain column, any other a list column; a feature that a
    record lacks, or that has no value there, is null. Of a SequenceExample the feature lists become lists of
    lists. With `bytes` the records become one column, `record`.
    """

    kind: ClassVar[str] = "tfrecord"
    files: Files
    payload: str = "example"
    """`example`, `sequence_example` or `bytes`."""


@dataclass(frozen=True)
class Avro(Source):
    """Avro object container files; needs `tidemill[avro]`."""

    kind: ClassVar[str] = "avro"
    files: Files


@dataclass(frozen=True)
class Query(Source):
    """The rows of a SQL query: over files, by DuckDB, or of a database, by SQLAlchemy; needs `tidemill[sql]`.

    Over files: `Query("select * from trips where fare > 0", tables={"trips": files("trips/*.parquet")})`.
    Of a database: `Query("select * from trips where day = :day", url="postgresql+psycopg://reader@db/city",
    password_env="CITY_PASSWORD", parameters={"day": run.date}, as_of=run.date)`.
    """

    kind: ClassVar[str] = "query"
    sql: str
    tables: Mapping[str, FileSet] = field(default_factory=dict)
    """CSV, Parquet or JSON Lines files by the name that the query knows them under."""
    url: str = ""
    """A SQLAlchemy URL without a password in it."""
    password_env: str = ""
    """The environment variable with the password, where the node runs."""
    url_env: str = ""
    """In place of `url`: the environment variable with the whole URL."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Values for `:name` (database) or `$name` (files) in the query."""
    as_of: str = ""
    """Asked for with a database, whose content no cache key can cover: a text that changes when the rows may
    have. `run.date` for a table that is complete for each day, `run.id` to ask anew in every run."""

    def __post_init__(self) -> None:
        """DefinitionError for a password in `url`: it would stand in the IR, the record and the logs."""
        url: Any = self.url
        plain = re.sub("\x00tidemill:\\d+\x00", "x", url) if isinstance(url, str) else ""
        if re.match(r"[^/]*//[^/@]*:[^/@]+@", plain):
            raise DefinitionError(
                "the url of a Query has a password in it, which would be recorded",
                hint="leave it out and name the variable that holds it: password_env='DB_PASSWORD'",
            )


@dataclass(frozen=True)
class Custom(Source):
    """Rows that a function of yours gives: an iterator of pyarrow tables with equal columns.

    `read(**arguments)` is called, with `files=` as well if files are given. Its code, the arguments and
    the files' content are the cache key; `as_of` is for whatever else it looks at.
    """

    kind: ClassVar[str] = "custom"
    read: Callable[..., Any]
    files: FileSet | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    as_of: str = ""


KINDS: dict[str, type[Source]] = {
    cls.kind: cls for cls in (Csv, Parquet, Jsonl, Arrow, TFRecord, Avro, Query, Custom)
}
"""Every source by its kind."""


def source_of(value: Mapping[str, Any]) -> Source:
    """A source from its plain form, as an executor gets it. DataError for what is none."""
    if isinstance(value, Source):
        return value
    given = dict(value)
    kind = str(given.pop("kind", ""))
    if kind not in KINDS:
        raise DataError(f"there is no source of the kind {kind!r}", hint=did_you_mean(kind, KINDS))
    names = [item.name for item in fields(KINDS[kind])]  # type: ignore[arg-type]  # every kind is a dataclass
    for name in given:
        if name not in names:
            raise DataError(f"a {kind} source has no {name!r}", hint=did_you_mean(name, names))
    try:
        return KINDS[kind](**given)
    except TypeError as error:
        raise DataError(f"a {kind} source is not complete: {error}") from None


def file_sets(source: Source) -> dict[str, FileSet]:
    """The files of a source by input split, or by table of a query; by "" where there is one set only."""
    files = getattr(source, "tables", None) or getattr(source, "files", None)
    if isinstance(files, FileSet):
        return {"": files}
    return dict(files) if isinstance(files, Mapping) else {}
