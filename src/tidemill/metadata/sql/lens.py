"""Reading a database that lacks tables and columns as if it had them, without writing to it.

Each query is given definitions (WITH ...) under the names of the tables that lack something; they add
NULLs to what is stored. This file knows no database.
"""

from __future__ import annotations

from tidemill.metadata.sql.catalog import read_catalog
from tidemill.metadata.sql.database import Transaction
from tidemill.metadata.sql.schema import MLMD_TABLES, OWN_TABLES


def lens(tx: Transaction) -> str:
    """The definitions; empty when nothing is missing."""
    found = read_catalog(tx)
    row = tx.row(tx.dialect.home)
    assert row is not None
    definitions = []
    for table in (*MLMD_TABLES, *OWN_TABLES):
        shape = found.get(table.name.lower())
        stored = shape.columns if shape else {}
        more = {
            column: expression
            for column, expression in tx.dialect.stand_in(table.name).items()
            if shape and column not in stored
        }
        kinds = table.kinds()
        if not more and kinds.keys() <= stored.keys():
            continue
        columns = [
            name if name in stored else f"{tx.dialect.nothing(kinds[name])} AS {name}" for name in kinds
        ]
        columns += [f"{expression} AS {column}" for column, expression in more.items()]
        source = f"{row[0]}.{table.name}" if shape else f"{row[0]}.Type WHERE 1 = 0"
        definitions.append(f"{table.name} AS (SELECT {', '.join(columns)} FROM {source})")
    return f"WITH {', '.join(definitions)} " if definitions else ""
