"""Pages of nodes: order, limit, the token of the next page, and what a page is taken from.

A page begins after the last node of the page before, by its value and id, so that it costs the same
wherever it lies. The token is MLMD's message, encoded; it is only good for the order it was made in.
"""

from __future__ import annotations

import base64
import binascii

from tidemill.metadata.filter import CompiledFilter, FilterError, compile_filter
from tidemill.metadata.sql.database import Transaction
from tidemill.metadata.sql.mlmd.kinds import TIMES, Kind, Message
from tidemill.metadata.sql.mlmd.refusal import invalid
from tidemill.metadata.sql.reading import is_small

MOST_NODES = 1000
"""Nodes of one page; whoever asks for more gets this many and a token."""

_ORDERS = {1: TIMES[0], 2: TIMES[1], 3: "id"}
"""Number of OrderByField.Field -> column."""

_EVERYTHING = CompiledFilter(joins="", where="1 = 1", values=(), repeats=False)


def page(
    tx: Transaction, kind: Kind, options: Message, response: Message, *, context_id: int | None = None,
    type_id: int | None = None,
) -> list[int]:  # fmt: skip
    """Ids of one page of nodes, of a context or type if one is given. Sets `next_page_token`."""
    if options.max_result_size <= 0:
        raise invalid(f"max_result_size must be greater than 0, not {options.max_result_size}")
    column = _ORDERS.get(options.order_by_field.field)
    if column is None:
        raise invalid("order_by_field.field must be CREATE_TIME, LAST_UPDATE_TIME or ID")
    ascending = options.order_by_field.is_asc
    source = _source(kind, options.filter_query)
    joins, conditions, parameters = source.joins, [f"({source.where})"], list[object](source.values)
    if context_id is not None:
        link = f"{kind.link} listed ON listed.{kind.owner} = n.id"
        # From the newest node on, asking of each whether it is in the context; unless that asks too many.
        ordered = not options.filter_query and not is_small(tx, kind.link or "", "context_id", context_id)
        joins += f" CROSS JOIN {link}" if ordered else f" JOIN {link}"
        conditions.append("listed.context_id = ?")
        parameters.append(context_id)
    if type_id is not None:
        small = bool(options.filter_query) or is_small(tx, kind.table, "type_id", type_id)
        conditions.append(f"{'' if small else '+'}n.type_id = ?")  # `+` keeps an index from being used
        parameters.append(type_id)
    if options.next_page_token:
        value, last_id = _decode(options)
        sign = ">" if ascending else "<"
        conditions.append(f"n.{column} {sign}= ? AND (n.{column} {sign} ? OR n.id {sign} ?)")
        parameters += [value, value, last_id]
    direction = "ASC" if ascending else "DESC"
    order = f"n.{column} {direction}" + ("" if column == "id" else f", n.id {direction}")
    size = min(options.max_result_size, MOST_NODES)
    what = f"{'DISTINCT ' if source.repeats else ''}n.id, n.{column} AS place"
    rows = tx.rows(
        f"SELECT {what} FROM {kind.table} n {joins} "
        f"WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT ?",
        [*parameters, size + 1],
    )
    if len(rows) > size:
        last_id, value = rows[size - 1]
        response.next_page_token = _encode(options, value, last_id)
    return [i for i, _ in rows[:size]]


def matching(tx: Transaction, kind: Kind, query: str, among: set[int] | None = None) -> set[int]:
    """Ids of all nodes, or of those `among` some, that a filter query describes."""
    source = _source(kind, query)
    sql = f"SELECT n.id FROM {kind.table} n {source.joins} WHERE ({source.where})"
    if among is None:
        return {i for (i,) in tx.rows(sql, source.values)}
    return {i for (i,) in tx.rows_in(f"{sql} AND n.id IN ({{ids}})", among, source.values)}


def _source(kind: Kind, query: str) -> CompiledFilter:
    """The condition that a filter query puts on the rows of `n`."""
    if not query:
        return _EVERYTHING
    try:
        return compile_filter(query, kind.type_kind)
    except FilterError as error:
        raise invalid(str(error)) from error


def _encode(options: Message, value: int, last_id: int) -> str:
    token = _token_of(options)
    token.field_offset, token.id_offset = value, last_id
    token.set_options.CopyFrom(options)
    token.set_options.ClearField("next_page_token")
    return base64.urlsafe_b64encode(token.SerializeToString()).decode()


def _decode(options: Message) -> tuple[int, int]:
    from google.protobuf.message import DecodeError

    token = _token_of(options)
    try:
        token.ParseFromString(base64.b64decode(options.next_page_token, altchars=b"-_", validate=True))
    except (binascii.Error, DecodeError, ValueError):
        raise invalid("Failed to decode next page token string") from None
    before, now = token.set_options.order_by_field, options.order_by_field
    if (before.field, before.is_asc) != (now.field, now.is_asc):
        raise invalid("ListOperationOptions mismatch: next_page_token was made for another order")
    return token.field_offset, token.id_offset


def _token_of(options: Message) -> Message:
    """An empty ListOperationNextPageToken, from the same pool as the options."""
    from google.protobuf.message_factory import GetMessageClass

    file = options.DESCRIPTOR.file
    return GetMessageClass(file.message_types_by_name["ListOperationNextPageToken"])()
