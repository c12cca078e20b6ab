"""How large the record is, for figures that are asked for again and again: cheap, and therefore rough."""

from __future__ import annotations

from tidemill.metadata.sql import schema
from tidemill.metadata.sql.database import Transaction

MOST_COUNTED = 100_000


def estimate(tx: Transaction) -> dict[str, int]:
    """Rows by table: the largest id where ids are counted, else a count that ends at MOST_COUNTED.

    Ids are never given again and hardly a row is ever deleted, so the largest one is close. Either costs
    the same in a store of any size.
    """
    found = {}
    for table in (*schema.MLMD_TABLES, *schema.OWN_TABLES):
        counted = f"SELECT COUNT(*) FROM (SELECT 1 FROM {table.name} LIMIT {MOST_COUNTED}) x"
        has_id = table.columns.startswith("id id,")
        row = tx.row(f"SELECT MAX(id) FROM {table.name}" if has_id else counted)
        found[table.name] = int(row[0] or 0) if row else 0
    return found
