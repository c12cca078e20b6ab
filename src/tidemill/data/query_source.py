"""The rows of a SQL query as Arrow tables: over files by DuckDB, of a database by SQLAlchemy.

DuckDB sees the files that it is given and nothing else, on one thread, so that the same files give the same
rows in the same order. A password comes from the environment, and no message shows it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tidemill.data.column_types import DECLARABLE, check_column_types
from tidemill.data.columnar_source import check_names, plain_type
from tidemill.data.external import check_unchanged
from tidemill.data.nested_types import MixedTypesError, common_type, exact_array, merge_schemas
from tidemill.data.parquet import ROW_GROUP_ROWS
from tidemill.data.source import BadRows, Reread
from tidemill.errors import DataError, TransientError
from tidemill.storage.uri import is_local
from tidemill.types.source import FileSet, Query, SourceFile

_FETCH_ROWS = 10_000
_READERS = {"parquet": "read_parquet", "pq": "read_parquet", "csv": "read_csv", "jsonl": "read_json",
            "ndjson": "read_json", "json": "read_json"}  # fmt: skip
QUOTE, TICK = '"', "'"
_WHERE = "the query of ExampleGen's source"


@dataclass(frozen=True)
class FilesQuery:
    """A query over files."""

    query: Query
    schema: pa.Schema

    @property
    def names(self) -> list[str]:
        """What is asked, for messages."""
        return [_WHERE]

    def tables(
        self,
        bad: BadRows,  # noqa: ARG002 - DuckDB gives whole rows only
        files: Sequence[SourceFile] | None = None,  # noqa: ARG002 - there are none
    ) -> Iterator[pa.Table]:
        """Its rows, in the order in which DuckDB gives them."""
        for batch in _duckdb_batches(self.query):
            yield pa.Table.from_batches([batch]).cast(self.schema)


@dataclass(frozen=True)
class DatabaseQuery:
    """A query of a database."""

    query: Query
    schema: pa.Schema
    declared: frozenset[str]
    complete: bool = False

    @property
    def names(self) -> list[str]:
        """What is asked, for messages."""
        return [_WHERE]

    def tables(
        self,
        bad: BadRows,  # noqa: ARG002 - a database gives whole rows only
        files: Sequence[SourceFile] | None = None,  # noqa: ARG002 - there are none
    ) -> Iterator[pa.Table]:
        """Its rows; Reread when a later row needs a wider type."""
        for _, rows in _database(self.query):
            if not rows:
                continue
            columns = []
            for at, field in enumerate(self.schema):
                values = [row[at] for row in rows]
                try:
                    columns.append(exact_array(values, field.type))
                except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, OverflowError) as error:
                    if self.complete or field.name in self.declared:
                        raise DataError(
                            f"column {field.name!r} has a value that is not {field.type}: {error}",
                            where=_WHERE, hint="cast the column in the query",
                        ) from error  # fmt: skip
                    schema = _learned(self.query, None)
                    raise Reread(
                        dataclasses.replace(
                            self, schema=_declare(schema, self.schema, self.declared), complete=True
                        )
                    ) from None
            yield pa.Table.from_arrays(columns, schema=self.schema)


def open_query(query: Query, column_types: Mapping[str, str]) -> FilesQuery | DatabaseQuery:
    """Ask for the columns. DataError for a query that fails, tables and a database at once, or neither."""
    database = bool(query.url or query.url_env)
    if database == bool(query.tables):
        raise DataError(
            "a query needs either tables, or url or url_env", where=_WHERE,
            hint="give it tables={'trips': files('trips/*.parquet')}, or url=..., as_of=run.date",
        )  # fmt: skip
    if database and not query.as_of:
        raise DataError(
            "a query of a database needs as_of: nothing else says when its rows may have changed",
            where=_WHERE,
            hint="as_of=run.date if each day's rows are final, as_of=run.id to ask anew in every run",
        )
    schema = _learned(query, 1) if database else _duckdb_schema(query)
    check_names(schema, _WHERE)
    check_column_types(column_types, schema.names)
    wanted = pa.schema([(name, DECLARABLE[type]) for name, type in column_types.items()])
    schema = _declare(schema, wanted, frozenset(column_types))
    return DatabaseQuery(query, schema, frozenset(column_types)) if database else FilesQuery(query, schema)


def _declare(schema: pa.Schema, declared: pa.Schema, names: frozenset[str]) -> pa.Schema:
    return pa.schema([(f.name, declared.field(f.name).type if f.name in names else f.type) for f in schema])


# -- files


def _duckdb(query: Query) -> Any:
    try:
        import duckdb  # only queries need it
    except ImportError as error:
        raise DataError(
            "a query over files needs the package duckdb", hint="install tidemill[sql]"
        ) from error
    connection = duckdb.connect(
        ":memory:", config={"threads": 1, "autoinstall_known_extensions": False, "memory_limit": "1GiB"}
    )
    allowed: list[str] = []
    for name, files in query.tables.items():
        reader = _READERS.get(_ending(files))
        if reader is None:
            raise DataError(
                f"table {name!r}: cannot tell the format of {files.files[0].uri!r} from its name",
                hint="a query reads .csv, .parquet and .jsonl files, plain or compressed",
            )
        for file in files.files:
            check_unchanged(file)
            if not is_local(file.uri):
                raise DataError(
                    f"table {name!r} is not on a local disk", where=file.uri,
                    hint="DuckDB is given local files only; read it with Parquet(...) or Csv(...) instead",
                )  # fmt: skip
            allowed.append(file.uri)
        listed = ", ".join(_quoted(file.uri, TICK) for file in files.files)
        options = ", format='newline_delimited'" if reader == "read_json" else ""
        table = f"{reader}([{listed}], union_by_name=true{options})"
        connection.execute(f"create view {_quoted(name, QUOTE)} as select * from {table}")
    connection.execute(f"set allowed_paths=[{', '.join(_quoted(path, TICK) for path in allowed)}]")
    connection.execute("set enable_external_access=false")
    connection.execute("set lock_configuration=true")
    return connection


def _quoted(text: str, mark: str) -> str:
    return mark + text.replace(mark, mark * 2) + mark


def _ending(files: FileSet) -> str:
    name = files.files[0].uri.lower() if files.files else ""
    for compression in (".gz", ".zst"):
        name = name.removesuffix(compression)
    return name.rpartition(".")[2]


def _duckdb_batches(query: Query) -> Iterator[pa.RecordBatch]:
    with _duckdb_reader(query, ROW_GROUP_ROWS) as reader:
        yield from reader


def _duckdb_schema(query: Query) -> pa.Schema:
    with _duckdb_reader(query, 1) as reader:
        schema: pa.Schema = reader.schema
    return pa.schema([(f.name, plain_type(f.type)) for f in schema])


@contextlib.contextmanager
def _duckdb_reader(query: Query, rows: int) -> Iterator[Any]:
    """The answer, streamed. DataError for whatever DuckDB says to the query."""
    connection = _duckdb(query)
    import duckdb

    try:
        relation = connection.sql(query.sql, params=dict(query.parameters) or None)
        if relation is None:
            raise DataError("the query gives no rows: it is no SELECT", where=_WHERE)
        yield relation.to_arrow_reader(rows)
    except (duckdb.Error, pa.ArrowException) as error:
        raise DataError(f"the query failed: {error}", where=_WHERE) from error
    finally:
        connection.close()


# -- databases


def _database(query: Query) -> Iterator[tuple[list[str], list[Any]]]:
    """Names of the columns with batches of rows, at least once; streamed by the database where it can."""
    try:
        import sqlalchemy
    except ImportError as error:
        raise DataError("a query of a database needs SQLAlchemy", hint="install tidemill[sql]") from error
    url = _database_url(query)
    try:
        engine = sqlalchemy.create_engine(url, hide_parameters=True, poolclass=sqlalchemy.NullPool)
    except (sqlalchemy.exc.ArgumentError, ImportError) as error:
        raise DataError(
            f"{url.drivername} databases cannot be read: {error}", where=_WHERE,
            hint="install the driver that the URL names",
        ) from None  # fmt: skip
    try:
        with _connected(engine, url) as connection:
            streaming = connection.execution_options(stream_results=True, max_row_buffer=_FETCH_ROWS)
            result = streaming.execute(sqlalchemy.text(query.sql), dict(query.parameters))
            names = list(result.keys())
            yield names, []
            while rows := result.fetchmany(_FETCH_ROWS):
                yield names, rows
    except sqlalchemy.exc.SQLAlchemyError as error:
        text = _said(error, url)
        if getattr(error, "connection_invalidated", False):
            raise TransientError(f"the database was lost in the middle of the query: {text}") from None
        raise DataError(f"the query failed: {text}", where=_WHERE) from None
    finally:
        engine.dispose()


def _database_url(query: Query) -> Any:
    import sqlalchemy

    try:
        url = sqlalchemy.make_url(_secret(query.url_env) if query.url_env else query.url)
    except sqlalchemy.exc.ArgumentError:
        name = f"the value of {query.url_env}" if query.url_env else "url"
        raise DataError(
            f"{name} is no SQLAlchemy URL",
            where=_WHERE,
            hint="it looks like postgresql+psycopg://user@host/name",
        ) from None
    return url.set(password=_secret(query.password_env)) if query.password_env else url


def _connected(engine: Any, url: Any) -> Any:
    import sqlalchemy

    try:
        return engine.connect()
    except sqlalchemy.exc.OperationalError as error:
        raise TransientError(f"the database cannot be reached: {_said(error, url)}") from None


def _secret(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise DataError(f"the environment variable {name} is not set where the node runs", where=_WHERE)
    return value


def _said(error: Exception, url: Any) -> str:
    """What the driver said, on one line, without the password whatever happens."""
    text = " ".join(str(getattr(error, "orig", None) or error).split())
    return text.replace(str(url.password), "***") if url.password else text


def _learned(query: Query, batches: int | None) -> pa.Schema:
    """Names and types of the columns, from the first batches of rows, or from all of them."""
    schema = pa.schema([])
    seen = 0
    for names, rows in _database(query):
        try:
            columns = [(name, common_type(row[at] for row in rows)) for at, name in enumerate(names)]
            if not seen:
                check_names(pa.schema(columns), _WHERE)
            schema = merge_schemas(schema, pa.schema(columns))
        except MixedTypesError as error:
            raise DataError(
                f"the rows have columns of mixed types: {error}", where=_WHERE,
                hint="cast the column in the query",
            ) from None  # fmt: skip
        seen += bool(rows)
        if batches is not None and seen >= batches:
            break
    return schema
