"""tidemill's own tables: the numbered steps that made them what they are, and who may use which.

A step only adds. Then a client of an earlier version, which names its columns, goes on beside a newer one:
it may use every database whose `tidemill_env` asks for no more than it knows, whatever was added since. A
step that earlier clients cannot live with says so in `oldest_client`. This file knows nothing of MLMD's
versions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tidemill.metadata.sql.altering import Change, additions, run
from tidemill.metadata.sql.catalog import Catalog, read_catalog
from tidemill.metadata.sql.database import Transaction
from tidemill.metadata.sql.dialect import Dialect
from tidemill.metadata.sql.history import Form
from tidemill.metadata.sql.schema import OWN_INDEXES, OWN_TABLES

ENV, LOG = "tidemill_env", "tidemill_migration"
TIDEMILL, MLMD = "tidemill", "mlmd"
"""Subjects in the log."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one version added to the one before. The things themselves are declared in schema.py."""

    version: int
    why: str
    tables: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    """As `table.column`; they must allow NULL or have a default."""
    indexes: tuple[str, ...] = ()
    oldest_client: int = 1
    """The oldest version whose clients can use a database with this step."""


STEPS: tuple[Step, ...] = (
    Step(
        2,
        "find a node's contexts without reading all of them; remember what was migrated",
        tables=(LOG,),
        indexes=("tidemill_association_execution", "tidemill_attribution_artifact"),
    ),
    Step(
        3,
        "queue runs, cancel them, share slots, run a part, wait for approval",
        tables=("tidemill_pool", "tidemill_decision"),
        columns=(
            "tidemill_run.start_time",
            "tidemill_run.priority",
            "tidemill_run.request",
            "tidemill_run.base_run",
            "tidemill_run.settings",
            "tidemill_node.pool",
            "tidemill_node.slots",
        ),
        indexes=("tidemill_run_state", "tidemill_node_pool"),
        oldest_client=3,  # earlier ones do not know QUEUED, and would start nodes beyond a pool's slots
    ),
)
"""Version 1 had everything that no step names. A step that was released is never changed."""


def newest() -> int:
    """The version of our schema that this code writes."""
    return max((step.version for step in STEPS), default=1)


def oldest_client() -> int:
    """The oldest version whose clients can use what this code writes."""
    return max((step.oldest_client for step in STEPS), default=1)


def own_form(version: int) -> Form:
    """Our tables and indexes as they were at a version."""
    later = [step for step in STEPS if step.version > version]
    names = {name for step in later for name in (*step.tables, *step.indexes)}
    columns = {name for step in later for name in step.columns}
    tables = []
    for table in OWN_TABLES:
        kept = [f"{n} {k}" for n, k in table.kinds().items() if f"{table.name}.{n}" not in columns]
        if table.name not in names:
            tables.append(replace(table, columns=", ".join(kept)))
    return Form(tuple(tables), tuple(index for index in OWN_INDEXES if index.name not in names))


def pending(dialect: Dialect, found: Catalog) -> list[Change]:
    """What our tables lack."""
    return additions(dialect, found, own_form(newest()))


def migrate(tx: Transaction, known: int, *, oldest: int) -> None:
    """Bring our tables from a version (0: there are none) to the newest, and write that down.

    `oldest` is the client that the database asks for already; 0 when it asks for none yet. The version
    counts from the moment it is written, so it is written last.
    """
    run(tx, pending(tx.dialect, read_catalog(tx)))
    for version in [s.version for s in STEPS if s.version > known] if known else [newest()]:
        log(tx, TIDEMILL, version)
    if not oldest:
        tx.insert_rows(ENV, "schema_version", [(oldest_client(),)])
    elif oldest_client() > oldest:
        tx.execute(f"UPDATE {ENV} SET schema_version = ?", (oldest_client(),))


def log(tx: Transaction, subject: str, version: int) -> None:
    """Write down what the database was brought to."""
    if logged(tx, subject) != version:
        tx.insert(LOG, "subject, version, create_time", (subject, version, tx.now))


def logged(tx: Transaction, subject: str) -> int:
    """The version that was written down last; 0 for none."""
    row = tx.row(f"SELECT version FROM {LOG} WHERE subject = ? ORDER BY id DESC LIMIT 1", (subject,))
    return int(row[0]) if row else 0


def history(tx: Transaction) -> Sequence[tuple[str, int, int]]:
    """(subject, version, milliseconds) of all that was written down."""
    return [(s, v, t) for s, v, t in tx.rows(f"SELECT subject, version, create_time FROM {LOG} ORDER BY id")]
