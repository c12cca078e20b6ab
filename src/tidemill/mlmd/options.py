"""How lists are asked for: order, limit, filter, and the fetching of page after page."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique
from typing import Any

from tidemill.mlmd import errors, metadata_store_service_pb2
from tidemill.mlmd.connection import Call
from tidemill.mlmd.metadata_store_pb2 import ListOperationOptions

PAGE = 100
"""Nodes that one call asks for, as MLMD's client does: its server gives no more."""

_Field = ListOperationOptions.OrderByField


@unique
class OrderByField(Enum):
    """What a list may be ordered by."""

    CREATE_TIME = _Field.CREATE_TIME
    UPDATE_TIME = _Field.LAST_UPDATE_TIME
    ID = _Field.ID


@dataclass
class ListOptions:
    """What to list and in which order.

    `limit` of None or 0 means all. Without `order_by`, nodes come by id. `filter_query` is a boolean
    expression in MLMD's query language.
    """

    limit: int | None = None
    order_by: OrderByField | None = None
    is_asc: bool = True
    filter_query: str | None = None


class ExtraOptions:
    """Accepted by every method and without effect, as in MLMD."""

    def __init__(self, euc: Any = None) -> None:
        """Take what MLMD takes."""


def call_with_list_options(
    call: Call, method: str, field: str, request: Any, options: ListOptions | None
) -> list[Any]:
    """All pages of a list, up to the limit. InvalidArgumentError when that is negative."""
    room = None
    if options is not None:
        room = options.limit or None
        if room is not None and room < 1:
            raise errors.InvalidArgumentError(
                f"Invalid list_options.limit value passed: {room}. It must be positive; None means all"
            )
        request.options.max_result_size = PAGE
        request.options.order_by_field.is_asc = options.is_asc
        if options.order_by:
            request.options.order_by_field.field = options.order_by.value
        if options.filter_query:
            request.options.filter_query = options.filter_query
    found: list[Any] = []
    while True:
        if room is not None:
            request.options.max_result_size = min(PAGE, room - len(found))
        response = getattr(metadata_store_service_pb2, f"{method}Response")()
        call(method, request, response)
        found += getattr(response, field)
        if not response.next_page_token or (room is not None and len(found) >= room):
            return found
        request.options.next_page_token = response.next_page_token
