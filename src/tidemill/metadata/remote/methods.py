"""One table for both ends: each method of the MetadataStore protocol as a call with a JSON request.

A request is an object of the arguments by name, an answer `{"answer": ...}`, an error `{"error": ...}`.
Nothing is listed by hand but what changes the record: a method that is added to the protocol is served.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from functools import cache
from typing import Any, get_type_hints

from tidemill.errors import StoreError
from tidemill.metadata.remote import codec
from tidemill.metadata.remote.codec import Field, Form, Malformed
from tidemill.metadata.store import MetadataStore

CHANGES = frozenset(
    {
        "put_pipeline_version", "create_run", "take_run", "end_run", "claim", "publish",
        "mark_for_deletion", "mark_deleted", "take_queued", "request_cancel", "put_pool", "remove_pool",
        "put_decision",
    }
)  # fmt: skip
"""Methods that change the record. Every other one may be asked of a store that is opened read-only."""

MOST_BYTES = 10 * 2**20
"""Size of a request over HTTP: some thirty thousand new artifacts in one publication."""

_OWN = {"close"}
"""Methods that end at the caller."""


@dataclass(frozen=True, slots=True)
class Method:
    """One call."""

    name: str
    signature: inspect.Signature
    fields: Mapping[str, Field]
    answer: Form

    @property
    def changes(self) -> bool:
        """Whether it changes the record."""
        return self.name in CHANGES

    def pack_request(self, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> bytes:
        """The request of a Python call without `self`. StoreError for values that cannot be stored."""
        bound = self.signature.bind(*arguments, **keywords)
        bound.apply_defaults()
        try:
            return _dump(codec.pack_fields(tuple(self.fields.values()), bound.arguments.__getitem__))
        except Malformed as error:
            raise StoreError(f"{error}", where=f"{self.name} of the metadata store") from error

    def unpack_request(self, body: bytes) -> dict[str, Any]:
        """The arguments by name. StoreError for bytes that are no request of this method."""
        try:
            return codec.unpack_fields(self.fields, _load(body), strict=True)
        except Malformed as error:
            raise StoreError(
                f"the request of {self.name} cannot be read: {error}",
                hint="client and server may be of different versions",
            ) from error

    def pack_answer(self, value: Any) -> bytes:
        """The answer as bytes."""
        return _dump({"answer": self.answer.pack(value)})

    def unpack_answer(self, plain: Any) -> Any:
        """The value of an answer; fields that are not known here are left out. Malformed when it is none."""
        return self.answer.unpack(plain, False)


@cache
def methods() -> Mapping[str, Method]:
    """Name of a method -> the call."""
    names = [name for name in vars(MetadataStore) if not name.startswith("_") and name not in _OWN]
    return {name: _method(name) for name in names if callable(getattr(MetadataStore, name))}


def _method(name: str) -> Method:
    function = getattr(MetadataStore, name)
    try:
        hints = get_type_hints(function)
    except NameError as error:
        raise TypeError(f"store.py must import what {name} names, for more than types: {error}") from error
    signature = inspect.signature(function)
    signature = signature.replace(parameters=list(signature.parameters.values())[1:])  # without self
    fields = {
        parameter.name: Field(
            parameter.name,
            codec.form(hints[parameter.name]),
            MISSING if parameter.default is inspect.Parameter.empty else parameter.default,
        )
        for parameter in signature.parameters.values()
    }
    return Method(name, signature, fields, codec.form(hints["return"]))


def _dump(plain: Any) -> bytes:
    return json.dumps(plain, allow_nan=False, separators=(",", ":")).encode("ascii")


def _load(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"is not JSON: {error}") from None


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def read_answer(body: bytes) -> dict[str, Any]:
    """The object in an answer's bytes, with a key `answer` or `error`. Malformed when it is none."""
    plain = _load(body)
    if not isinstance(plain, dict) or not plain.keys() & {"answer", "error"}:
        raise Malformed("is no answer of a metadata server")
    return plain


def pack_error(error: Mapping[str, Any]) -> bytes:
    """An error as the bytes of an answer; see failures.py."""
    return _dump({"error": error})
