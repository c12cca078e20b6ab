"""MariaDB and MySQL: writers beside each other on rows they lock, a consistent view for readers.

The only file that knows what is special about them and about PyMySQL. It knows nothing of tables, types
or runs. Sessions run READ COMMITTED without autocommit: a transaction begins with its first statement and
locks no gaps. Tables that we make have a collation that compares bytes, so that neither case nor trailing
spaces are lost; tables that ml-metadata made keep theirs.

Text is sent as ml-metadata sends it: UTF-8, while the server is told latin1, the default of the client
library in every release of it. Byte for byte nothing is lost, and both read what the other wrote; a tool
that asks the server for utf8mb4 sees characters beyond ASCII encoded twice. A server that is set to ignore
what clients say (skip-character-set-client-handshake) stores them as they are, for both.

Sources: mariadb.com/kb: set-transaction, innodb-lock-modes, get_lock, mariadb-error-code-reference;
dev.mysql.com/doc/refman/8.0: innodb-locking-reads, charset-binary-collations.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

from tidemill.errors import StoreError
from tidemill.metadata.sql.address import Address, driver_of, parse
from tidemill.metadata.sql.dialect import LOCK_SECONDS, Dialect, Trouble, Waiting, percent_style

_SSL = ("ssl_ca", "ssl_capath", "ssl_cert", "ssl_key", "ssl_cipher", "ssl_verify_cert", "ssl_verify_identity")
OPTIONS = ("unix_socket", *_SSL)
"""Options an address may have. Any of TLS asks for a connection with TLS; the last two are true or false."""

_SETTINGS = (
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', autocommit = 0, "
    f"innodb_lock_wait_timeout = {LOCK_SECONDS}, transaction_isolation = 'READ-COMMITTED'"
)
_OLD_SETTINGS = _SETTINGS.replace("transaction_isolation", "tx_isolation")
"""MariaDB before 11.1 has the variable under its old name only."""

_LOST = {
    0,
    1040,
    1053,
    1077,
    1079,
    1152,
    1158,
    1159,
    1160,
    1161,
    1927,
    2002,
    2003,
    2006,
    2013,
    2014,
    2055,
    4031,
}
_AGAIN = {1020, 1205, 1213}
_NO_ENTRY = {1044, 1045, 1130, 1698}
_MEANINGS = {
    1062: ("the record contradicts one that is stored ({error})", "nothing was recorded"),
    1406: ("a name or text is longer than its column takes ({error})", "choose a shorter one"),
    1264: (
        "a number is larger than its column takes: ml-metadata's own tables keep integers of 32 bits",
        "store it as text, or give int_value of ml-metadata's property tables the type BIGINT",
    ),
    1366: (
        "a text holds a character that the column cannot keep ({error})",
        "convert the tables to the character set utf8mb4",
    ),
    1021: ("the disk is full: nothing was recorded", "free some space and ask again"),
    1114: ("the disk is full: nothing was recorded", "free some space and ask again"),
    1049: ("there is no such database ({error})", "make it once: CREATE DATABASE"),
    1142: ("this user may not do that ({error})", "grant it the tables of this database"),
    1153: ("the record is larger than the server takes ({error})", "raise its max_allowed_packet"),
    1205: (
        "another transaction kept what is needed here locked ({error})",
        "find who holds a transaction open (SHOW ENGINE INNODB STATUS) and end it",
    ),
    1213: ("other transactions kept coming in between ({error})", "ask again"),
    1290: ("the database is read-only ({error})", "connect to the primary server"),
    **dict.fromkeys(
        _NO_ENTRY,
        ("the server refused the user ({error})", "check user and password; MYSQL_PWD is read too"),
    ),
}
"""Error number -> (what happened, how to mend it)."""


class MariadbDialect(Dialect):
    """A database on a MariaDB or MySQL server."""

    longest_name = 255
    keeps_infinity = False
    keep_stored = " ON DUPLICATE KEY UPDATE id = id"  # INSERT IGNORE would hide other errors too
    column_types: ClassVar = {
        "id": "INT PRIMARY KEY AUTO_INCREMENT",
        "key": "INT PRIMARY KEY",
        "int": "INT",
        "int64": "BIGINT",  # MLMD: INT, which cannot keep the 64 bits of its own protocol
        "ref": "INT NOT NULL",
        "time": "BIGINT NOT NULL DEFAULT 0",
        "time?": "BIGINT",
        "kind!": "TINYINT(1) NOT NULL",
        "flag!": "TINYINT(1) NOT NULL",
        "name": "VARCHAR(255)",
        "name!": "VARCHAR(255) NOT NULL",
        "unique": "VARCHAR(255) UNIQUE",
        "text": "TEXT",
        "value": "MEDIUMTEXT",
        "own!": "VARCHAR(255) NOT NULL",
        "own": "VARCHAR(255) NOT NULL DEFAULT ''",
        "count": "INT NOT NULL DEFAULT 0",
        "text!": "LONGTEXT NOT NULL",
        "bool": "BOOLEAN",
        "double": "DOUBLE",
        "bytes": "MEDIUMBLOB",
    }
    tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
    columns = (
        "SELECT table_name, column_name, column_type, is_nullable = 'NO', column_default "
        "FROM information_schema.columns WHERE table_schema = DATABASE() "
        "ORDER BY table_name, ordinal_position"
    )
    indexes = (
        "SELECT table_name, index_name, non_unique = 0, column_name, NULL "
        "FROM information_schema.statistics "
        "WHERE table_schema = DATABASE() ORDER BY table_name, index_name, seq_in_index"
    )
    home = "SELECT CONCAT('`', REPLACE(DATABASE(), '`', '``'), '`')"
    kind = "MariaDB or MySQL"
    # path_order is empty: EventPath has no key, so InnoDB counts its rows itself, and both the table and
    # its index by event give them in that order. A sort could only disturb it.

    def __init__(self, address: Address, *, read_only: bool) -> None:
        super().__init__(str(address), read_only=read_only)
        self._pymysql = driver_of("pymysql", extra="mysql", where=self.where)
        self._address = address
        # It would say SET NAMES after the handshake, which a server cannot be set to ignore.
        self._client = type("Client", (self._pymysql.connections.Connection,), {"set_character_set": _quiet})
        self._version = ""

    @classmethod
    def locate(cls, url: str, *, read_only: bool) -> MariadbDialect:
        """The database that `url` names; nothing is connected yet."""
        return cls(parse(url, OPTIONS), read_only=read_only)

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What PyMySQL raises, and what it lets through from the socket."""
        return (self._pymysql.err.Error, OSError)

    def connect(self) -> Any:
        """A connection whose transactions begin with their first statement."""
        to = self._address
        connection = self._client(
            host=to.host or "localhost",
            port=to.port or 3306,
            user=to.user or None,
            password=(to.password or os.environ.get("MYSQL_PWD", "")).encode(),
            database=to.database,
            charset="latin1",
            # Rows that matched, not rows that changed: what a compare-and-set must count.
            client_flag=self._pymysql.constants.CLIENT.FOUND_ROWS,
            autocommit=None,  # as _SETTINGS says, without a round trip of its own
            connect_timeout=10,
            read_timeout=300,
            write_timeout=60,
            unix_socket=to.options.get("unix_socket"),
            ssl=_tls(to.options),
        )
        try:
            connection.encoding = "utf8"
            self._version = connection.get_server_info()
            self._set(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _set(self, connection: Any) -> None:
        with connection.cursor() as cursor:
            try:
                cursor.execute(_OLD_SETTINGS if "MariaDB" in self._version else _SETTINGS)
            except self._pymysql.err.OperationalError as error:
                if error.args[0] != 1193:  # no such variable
                    raise
                cursor.execute(_SETTINGS)

    def begin(self, cursor: Any, *, write: bool) -> Waiting:
        """Nothing to send for a writer; a reader asks for one state."""
        if not write:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        return []

    def rollback(self, connection: Any) -> None:
        """Undo."""
        connection.rollback()

    def execute(self, cursor: Any, sql: str, values: Sequence[object], before: Waiting) -> None:
        """Parameters become literals in the driver, which asks for text that is valid Unicode."""
        del before
        for value in values:
            if isinstance(value, str) and not value.isascii():
                value.encode()  # PyMySQL would send half a surrogate pair as a byte of its own
        cursor.execute(percent_style(sql), tuple(values))

    def trouble(self, error: Exception) -> Trouble:
        """By error number."""
        number = _number(error)
        if number in _LOST:
            return Trouble.LOST
        if number in _AGAIN:
            return Trouble.AGAIN
        return Trouble.RACED if number == 1062 else Trouble.REFUSED

    def explain(self, error: Exception) -> StoreError:
        """What an error of PyMySQL means, for people."""
        number = _number(error)
        theirs = isinstance(error, self._pymysql.err.Error) and len(error.args) > 1 and error.args[1]
        said = str(error.args[1] if theirs else error)
        if number in _MEANINGS:
            what, hint = _MEANINGS[number]
            return StoreError(what.format(error=said), where=self.where, hint=hint)
        if number in _LOST:
            hint = "check the address and that the server runs; what was asked can be asked again"
            return StoreError(f"the database server cannot be reached: {said}", where=self.where, hint=hint)
        return StoreError(f"the store refused: {said}", where=self.where)

    def index(self, name: str, table: str, columns: str, *, sparse: str, text: str, wide: bool) -> str:
        """Inside CREATE TABLE, which is whole or not there; of text, the first 255 characters."""
        del table, sparse, wide
        if text:
            columns = columns.replace(text, f"{text}(255)")
        return f"INDEX {name} ({columns})"

    def drop_index(self, table: str, name: str) -> str:
        """Names of indexes belong to their table here."""
        return f"ALTER TABLE {table} DROP INDEX {name}"

    def drop_rule(self, table: str, name: str) -> str:
        """A unique rule is an index here."""
        return self.drop_index(table, name)

    def rename_column(self, table: str, old: str, new: str, kind: str) -> str:
        """In the words that every version knows."""
        return f"ALTER TABLE {table} CHANGE COLUMN {old} {new} {self.column_types[kind]}"

    def retype(self, table: str, column: str, kind: str) -> tuple[str, ...]:
        """By its name here."""
        return (f"ALTER TABLE {table} MODIFY COLUMN {column} {self.column_types[kind]}",)

    def facts(self, connection: Any) -> dict[str, str]:
        """The server's version."""
        del connection
        return {"version": self._version}

    def length(self, name: str) -> int:
        """In bytes: the server takes each for a character."""
        return len(name.encode(errors="replace"))

    def exact(self, parameter: str) -> str:
        """Compared by bytes; an index by another collation does not help then."""
        return f"CONVERT({parameter} USING utf8mb4) COLLATE {self._collation()}"

    def table_options(self) -> str:
        """Transactions, all of Unicode, and text that is equal only when its bytes are."""
        return f" ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE {self._collation()}"

    def _collation(self) -> str:
        """By bytes and without padding; MySQL has it since 8.0.17 under another name than MariaDB."""
        return "utf8mb4_nopad_bin" if "MariaDB" in self._version else "utf8mb4_0900_bin"

    @contextmanager
    def creating(self, connection: Any) -> Iterator[None]:
        """A lock of the session: CREATE TABLE ends transactions here, with whatever they locked."""
        name = "tidemill:" + hashlib.sha256(self._address.database.encode()).hexdigest()[:32]
        with connection.cursor() as cursor:
            cursor.execute("SELECT GET_LOCK(%s, %s)", (name, 60))
            if cursor.fetchone()[0] != 1:
                raise StoreError(
                    "another process has been creating the tables for a minute",
                    where=self.where,
                    hint="ask again",
                )
            # Whoever has a transaction open on a table keeps it from being changed, and the change that
            # waits keeps all others from the table: by default for a day.
            cursor.execute(f"SET SESSION lock_wait_timeout = {LOCK_SECONDS}")
            try:
                yield
            finally:
                with suppress(*self.errors):  # a connection that is gone holds no lock
                    cursor.execute("SET SESSION lock_wait_timeout = DEFAULT")
                    cursor.execute("SELECT RELEASE_LOCK(%s)", (name,))


def _quiet(connection: Any, charset: str, collation: str | None = None) -> None:
    """Leave the character set as the handshake made it."""


def _tls(options: Mapping[str, str]) -> Any:
    """The rules of a connection with TLS; None where an address does not ask for it.

    A given authority is checked unless ssl_verify_cert=false; the host's name with ssl_verify_identity=true.
    """
    given = {name.removeprefix("ssl_"): value for name, value in options.items() if name in _SSL}
    if not given:
        return None
    import ssl

    context = ssl.create_default_context(cafile=given.get("ca"), capath=given.get("capath"))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # servers sign their own certificates, not by the book
    identity = given.get("verify_identity") == "true"
    checked = given.get("verify_cert", "true" if given.keys() & {"ca", "capath"} else "false") == "true"
    context.check_hostname = identity
    context.verify_mode = ssl.CERT_REQUIRED if checked or identity else ssl.CERT_NONE
    if "cert" in given:
        context.load_cert_chain(given["cert"], given.get("key"))
    if "cipher" in given:
        context.set_ciphers(given["cipher"])
    return context


def _number(error: Exception) -> int:
    """The server's or the client's number of an error; 0 for one of the socket."""
    number = error.args[0] if error.args else 0
    if isinstance(error, OSError):
        return 0
    return number if isinstance(number, int) else -1
