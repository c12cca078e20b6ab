"""Errors over the wire: the same class, message, place and remedy on the client as on the server.

A class travels by its stable code. A code that the client does not know is a StoreError with that code in
its text. What is not an error of tidemill never travels: its text may hold anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from tidemill import errors
from tidemill.errors import StoreError, TidemillError
from tidemill.metadata.filter.error import FilterError

_EXTRA = {"FILTER": ("query", "position", "end")}
"""Code -> what else such an error is made of."""


@cache
def _by_code() -> Mapping[str, type[TidemillError]]:
    found: list[type[TidemillError]] = [
        e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, TidemillError)
    ]
    found.append(FilterError)
    return {kind.code: kind for kind in found}


def codes() -> list[str]:
    """Every code that can travel."""
    return sorted(_by_code())


def to_plain(error: TidemillError) -> dict[str, Any]:
    """An error as a JSON object."""
    code = error.code if error.code in _by_code() else StoreError.code
    extra = {name: getattr(error, name) for name in _EXTRA.get(code, ())}
    return {"code": code, "message": error.message, "where": error.where, "hint": error.hint, **extra}


def from_plain(plain: Any) -> TidemillError:
    """The error that `to_plain` described; fields that are missing or of another type are empty."""
    given = plain if isinstance(plain, dict) else {}
    code, message, where, hint = (_text(given, name) for name in ("code", "message", "where", "hint"))
    kind = _by_code().get(code)
    if kind is FilterError and (place := _place(given)):
        query, position, end = place
        return FilterError(message, query=query, position=position, end=end, hint=hint)
    if kind is None or kind is FilterError:
        return StoreError(f"{message or 'the metadata server failed'} ({code})", where=where, hint=hint)
    return kind(message, where=where, hint=hint)


def _place(plain: Mapping[str, Any]) -> tuple[str, int, int] | None:
    """Where in a filter a mistake is, when the error says so."""
    query, position, end = _text(plain, "query"), plain.get("position"), plain.get("end")
    if type(position) is not int or type(end) is not int or not 0 <= position <= len(query):
        return None
    return query, position, end


def _text(plain: Mapping[str, Any], name: str) -> str:
    value = plain.get(name, "")
    return value if isinstance(value, str) else ""
