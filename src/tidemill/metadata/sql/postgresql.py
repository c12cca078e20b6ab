"""PostgreSQL: writers beside each other on rows they lock, a consistent view for readers.

The only file that knows what is special about PostgreSQL and psycopg 3. It knows nothing of tables, types
or runs. Statements that wait (BEGIN, locks) travel with the next one in one round trip (pipeline mode);
each still sees what is committed when it starts, so what is read after a lock is fresh.

Sources: postgresql.org/docs/15: transaction-iso, explicit-locking, errcodes-appendix; libpq-pipeline-mode.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tidemill.errors import StoreError
from tidemill.metadata.sql.address import Address, driver_of, parse
from tidemill.metadata.sql.dialect import LOCK_SECONDS, Dialect, Trouble, Waiting, percent_style

OPTIONS = (
    "host", "hostaddr", "sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl",
    "channel_binding", "application_name", "target_session_attrs", "passfile", "service",
)  # fmt: skip
"""Options an address may have: libpq's, of the same name. `host` may be the folder of a unix socket."""

_KEEPALIVE = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # milliseconds; without it a vanished server is noticed after hours
}
_SETTINGS = (
    f"SET lock_timeout = '{LOCK_SECONDS}s'; "
    # A writer that is stopped in the middle would keep its rows locked for everybody, for ever.
    "SET idle_in_transaction_session_timeout = '60s'; "
    "SET client_min_messages = warning; SET standard_conforming_strings = on"
)
_CREATION_KEY = 0x7469_6465_6D69_6C6C
"""Key of the advisory lock: `tidemill` in ASCII."""

_LOST = ("08", "57P01", "57P02", "57P03", "57P05", "25P03")
_AGAIN = ("40001", "40P01", "55P03")
_MEANINGS = {
    "23505": ("the record contradicts one that is stored ({error})", "nothing was recorded"),
    "22001": ("a name is longer than the 255 characters that MLMD's tables take", "choose a shorter one"),
    "22003": (
        "a number is larger than its column takes: ml-metadata's own tables keep integers of 32 bits",
        "store it as text, or give int_value of ml-metadata's property tables the type BIGINT",
    ),
    "22021": ("a text holds a character that the database cannot keep ({error})", "leave it out"),
    "22P05": ("a text holds a character that the database cannot keep ({error})", "use encoding UTF8"),
    "25006": ("the database is read-only ({error})", "connect to the primary server"),
    "28": ("the server refused the user ({error})", "check user and password; PGPASSWORD is read too"),
    "3D000": ("there is no such database ({error})", "make it once, for example with createdb"),
    "40": ("other transactions kept coming in between ({error})", "ask again"),
    "42501": ("this user may not do that ({error})", "grant it the tables of this database"),
    "53100": ("the disk is full: nothing was recorded", "free some space and ask again"),
    "53": ("the server has no room for this ({error})", "ask again later, or give it more"),
    "54000": (
        "a text is too long for an index that ml-metadata made ({error})",
        "make its indexes idx_artifact_property_string and the like anew, on left(string_value, 255)",
    ),
    "55P03": (
        "another transaction kept what is needed here locked ({error})",
        "find who holds a transaction open (pg_stat_activity) and end it",
    ),
}
"""SQLSTATE, or the class it starts with -> (what happened, how to mend it)."""


class PostgresqlDialect(Dialect):
    """A database on a PostgreSQL server."""

    longest_name = 255
    column_types: ClassVar = {
        "id": "SERIAL PRIMARY KEY",
        "key": "INT PRIMARY KEY",
        "int": "INT",
        "int64": "BIGINT",  # MLMD: INT, which cannot keep the 64 bits of its own protocol
        "ref": "INT NOT NULL",
        "time": "BIGINT NOT NULL DEFAULT 0",
        "time?": "BIGINT",
        "kind!": "SMALLINT NOT NULL",
        "flag!": "BOOLEAN NOT NULL",
        "name": "VARCHAR(255)",
        "name!": "VARCHAR(255) NOT NULL",
        "unique": "VARCHAR(255) UNIQUE",
        "text": "TEXT",
        "value": "TEXT",
        "own!": 'VARCHAR(255) COLLATE "C" NOT NULL',
        "own": "VARCHAR(255) COLLATE \"C\" NOT NULL DEFAULT ''",
        "count": "INT NOT NULL DEFAULT 0",
        "text!": "TEXT NOT NULL",
        "bool": "BOOLEAN",
        "double": "DOUBLE PRECISION",
        "bytes": "BYTEA",
    }
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
    path_order = "ORDER BY event_id, tidemill_order"
    creation_lock = f"SELECT pg_advisory_xact_lock({_CREATION_KEY})"
    columns = (
        "SELECT table_name, column_name, CASE WHEN character_maximum_length IS NULL THEN data_type ELSE "
        "CONCAT(data_type, '(', character_maximum_length, ')') END, is_nullable = 'NO', column_default "
        "FROM information_schema.columns WHERE table_schema = current_schema() "
        "ORDER BY table_name, ordinal_position"
    )
    indexes = (
        "SELECT t.relname, i.relname, x.indisunique, pg_get_indexdef(i.oid, place, true), NULL "
        "FROM pg_index x "
        "JOIN pg_class t ON t.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid "
        "JOIN pg_namespace n ON n.oid = t.relnamespace, generate_series(1, x.indnkeyatts) place "
        "WHERE n.nspname = current_schema() ORDER BY t.relname, i.relname, place"
    )
    home = "SELECT quote_ident(current_schema())"
    kind = "PostgreSQL"

    def __init__(self, address: Address, *, read_only: bool) -> None:
        super().__init__(str(address), read_only=read_only)
        self._psycopg = driver_of("psycopg", extra="postgresql", where=self.where)
        self._address = address

    @classmethod
    def locate(cls, url: str, *, read_only: bool) -> PostgresqlDialect:
        """The database that `url` names; nothing is connected yet."""
        return cls(parse(url, OPTIONS), read_only=read_only)

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What psycopg raises."""
        return (self._psycopg.Error,)

    def connect(self) -> Any:
        """A connection that begins no transaction by itself."""
        to = self._address
        named = {"host": to.host, "port": to.port, "user": to.user, "password": to.password}
        words: dict[str, object] = {"application_name": "tidemill", **_KEEPALIVE, "dbname": to.database}
        words.update({name: value for name, value in named.items() if value}, **to.options)
        connection = self._psycopg.connect(**words, autocommit=True)
        try:
            connection.execute(_SETTINGS)
        except BaseException:
            connection.close()
            raise
        return connection

    def begin(self, cursor: Any, *, write: bool) -> Waiting:
        """Writers see what is committed when each statement starts, readers one state."""
        del cursor
        mode = "READ COMMITTED READ WRITE" if write else "REPEATABLE READ READ ONLY"
        return [(f"BEGIN ISOLATION LEVEL {mode}", ())]

    def rollback(self, connection: Any) -> None:
        """Undo, if anything was begun."""
        if connection.info.transaction_status != self._psycopg.pq.TransactionStatus.IDLE:
            connection.execute("ROLLBACK")

    def execute(self, cursor: Any, sql: str, values: Sequence[object], before: Waiting) -> None:
        """All of them in one round trip."""
        if not before:
            cursor.execute(percent_style(sql), values)
            return
        connection = cursor.connection
        with connection.pipeline():
            for statement, parameters in before:
                connection.execute(percent_style(statement), parameters)
            cursor.execute(percent_style(sql), values)

    def lock(self, cursor: Any, sql: str, values: Sequence[object]) -> Waiting:
        """To be sent with the next statement, which sees what was committed meanwhile."""
        del cursor
        return [(f"{sql} FOR UPDATE", values)]

    def insert(self, cursor: Any, sql: str, values: Sequence[object], before: Waiting) -> int:
        """The id comes with the answer."""
        self.execute(cursor, f"{sql} RETURNING id", values, before)
        return int(cursor.fetchone()[0])

    def commit(self, cursor: Any, before: Waiting) -> None:
        """COMMIT of a transaction that failed answers ROLLBACK, which is no error to the server."""
        self.execute(cursor, "COMMIT", (), before)
        if cursor.statusmessage != "COMMIT":
            raise self._psycopg.InternalError(f"the server answered {cursor.statusmessage} to COMMIT")

    def trouble(self, error: Exception) -> Trouble:
        """By SQLSTATE; an operational error without one comes from a connection that ended."""
        state = str(getattr(error, "sqlstate", None) or "")
        if state.startswith(_LOST) or (not state and isinstance(error, self._psycopg.OperationalError)):
            return Trouble.LOST
        if state in _AGAIN:
            return Trouble.AGAIN
        return Trouble.RACED if state == "23505" else Trouble.REFUSED

    def explain(self, error: Exception) -> StoreError:
        """What an error of psycopg means, for people."""
        state = str(getattr(error, "sqlstate", None) or "")
        said = " ".join(str(error).split()) or type(error).__name__
        for prefix, (what, hint) in _MEANINGS.items():
            if state.startswith(prefix):
                return StoreError(what.format(error=said), where=self.where, hint=hint)
        if self.trouble(error) is Trouble.LOST:
            hint = "check address, user and password, and that the server runs; then ask again"
            return StoreError(f"the database server cannot be reached: {said}", where=self.where, hint=hint)
        return StoreError(f"the store refused: {said}", where=self.where)

    def index(self, name: str, table: str, columns: str, *, sparse: str, text: str, wide: bool) -> str:
        """MLMD's, but of long values the start: a page must take three entries."""
        del sparse
        if text and wide:
            columns = columns.replace(text, f"left({text}, 255)")
        return f"CREATE INDEX IF NOT EXISTS {name} ON {table} ({columns})"

    def keep_order(self, table: str) -> tuple[str, ...]:
        """A column that counts the rows: their place in the file may be reused by later ones."""
        return (
            "SET LOCAL synchronize_seqscans = off",  # so that stored rows are counted from the first on
            f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS tidemill_order BIGSERIAL",
        )

    def nothing(self, kind: str) -> str:
        """With a type: else it would be text."""
        bare = re.split(r" (?:NOT|PRIMARY|UNIQUE|COLLATE)", self.column_types[kind].replace("SERIAL", "INT"))
        return f"CAST(NULL AS {bare[0]})"

    def stand_in(self, table: str) -> Mapping[str, str]:
        """Where the rows lie is where they were put, as long as nothing of ours changes them."""
        return {"tidemill_order": "ctid"} if table == "EventPath" else {}

    def facts(self, connection: Any) -> dict[str, str]:
        """The server's version."""
        return {"version": str(connection.execute("SHOW server_version").fetchone()[0])}
