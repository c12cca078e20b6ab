"""Filter queries on the record: which artifacts, executions or contexts a condition holds of, page by page.

Pages are cut by key, not by count: a page begins after the last row of the one before, so rows that are
added or deleted meanwhile neither repeat nor hide others, and the hundredth page costs what the first
did. This file knows nothing of the language; metadata.filter compiles it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Literal

from tidemill.errors import StoreError
from tidemill.metadata.filter import CompiledFilter, compile_filter
from tidemill.metadata.filter.fields import TABLES
from tidemill.metadata.model import TypeKind
from tidemill.metadata.sql.database import Transaction

OrderBy = Literal["id", "create_time", "update_time"]

_COLUMNS: dict[OrderBy, str] = {
    "id": "id",
    "create_time": "create_time_since_epoch",
    "update_time": "last_update_time_since_epoch",
}
_EVERYTHING = CompiledFilter(joins="", where="1 = 1", values=(), repeats=False)


def find_ids(
    tx: Transaction,
    kind: TypeKind,
    filter_query: str,
    *,
    order_by: OrderBy = "id",
    descending: bool = False,
    limit: int,
    after: str | None = None,
) -> tuple[list[int], str | None]:
    """Ids of at most `limit` nodes for which `filter_query` holds ("" holds for all), and where to go on.

    Nodes of the same time are in order of their ids. The second value is None at the end, else the token
    to pass as `after` with the same other arguments (`limit` may change). A node whose time changes
    between two pages is found where it is then. FilterError for a query that is none; StoreError for a
    token that belongs to another question, or a negative limit.
    """
    if limit < 0:
        raise StoreError(f"a page of {limit} nodes cannot be had", hint="give a limit of 0 or more")
    compiled = compile_filter(filter_query, kind) if filter_query else _EVERYTHING
    pages = _Pages(f"n.{_COLUMNS[order_by]}", descending, _digest(kind, filter_query, order_by, descending))
    condition, position = pages.after(after)
    rows = tx.rows(
        f"SELECT {'DISTINCT ' if compiled.repeats else ''}n.id, {pages.column} "
        f"FROM {TABLES[kind]} n {compiled.joins} WHERE {compiled.where}{condition} "
        f"ORDER BY {pages.order} LIMIT ?",
        [*compiled.values, *position, limit + 1],
    )
    found = rows[:limit]
    if len(rows) <= limit:
        return [id for id, _ in found], None
    return [id for id, _ in found], pages.token(found[-1]) if found else after


@dataclass(frozen=True, slots=True)
class _Pages:
    """Pages in order of a column, then of the id. `question` tells tokens of other questions apart."""

    column: str
    descending: bool
    question: str

    @property
    def order(self) -> str:
        way = " DESC" if self.descending else ""
        return f"n.id{way}" if self.column == "n.id" else f"{self.column}{way}, n.id{way}"

    def token(self, row: tuple[int, int]) -> str:
        """Stands for the rows after `row`, an id and its position."""
        id, position = row
        return base64.urlsafe_b64encode(json.dumps([self.question, position, id]).encode()).decode()

    def after(self, token: str | None) -> tuple[str, list[object]]:
        """The condition that only later rows fulfil, and its parameters."""
        if token is None:
            return "", []
        position, id = self._read(token)
        sign = "<" if self.descending else ">"
        if self.column == "n.id":
            return f" AND n.id {sign} ?", [id]
        # The first half lets an index on the column be used; the second cuts within the same time.
        condition = f" AND {self.column} {sign}= ? AND ({self.column} {sign} ? OR n.id {sign} ?)"
        return condition, [position, position, id]

    def _read(self, token: str) -> tuple[int, int]:
        hint = "pass the token of the page before, with the same filter and order; or none, to begin again"
        try:
            question, position, id = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
        except (ValueError, TypeError, RecursionError):
            raise StoreError("the page token is damaged", hint=hint) from None
        if question != self.question:
            raise StoreError("the page token belongs to another question", hint=hint)
        if not all(type(n) is int and -(2**63) <= n < 2**63 for n in (position, id)):
            raise StoreError("the page token is damaged", hint=hint)
        return position, id


def _digest(kind: TypeKind, filter_query: str, order_by: OrderBy, descending: bool) -> str:
    question = json.dumps([kind.value, filter_query, order_by, descending])
    return hashlib.sha256(question.encode()).hexdigest()[:16]
