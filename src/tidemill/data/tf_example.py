"""tf.train.Example and SequenceExample as Arrow columns, without TensorFlow and protobuf.

Messages (TensorFlow, core/example/example.proto and feature.proto), by field number:
    Example          1 features: Features
    SequenceExample  1 context: Features   2 feature_lists: FeatureLists
    Features         1 feature: map<string, Feature>
    FeatureLists     1 feature_list: map<string, FeatureList>
    FeatureList      1 feature: repeated Feature
    Feature          one of 1 bytes_list, 2 float_list, 3 int64_list; each has 1 value: repeated (or packed)
Unknown fields are skipped, as protocol buffers ask for. Errors are ValueErrors; who reads files adds the
place.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

Feature = tuple[int, tuple[Any, ...]]
"""Kind (0 when none is set, else the field number above) and values."""

_NONE: Feature = (0, ())
_BYTES, _FLOAT, _INT = 1, 2, 3
_TYPES: dict[int, pa.DataType] = {
    0: pa.null(), _BYTES: pa.binary(), _FLOAT: pa.float32(), _INT: pa.int64()
}  # fmt: skip
_NAMES = {_BYTES: "bytes", _FLOAT: "float", _INT: "int64"}
_MEMO = 50_000


class ExampleDecoder:
    """Records to columns. Entries that were met before are not decoded again: most values repeat."""

    def __init__(self, payload: str) -> None:
        self._sequences = payload == "sequence_example"
        self._memo: dict[bytes, tuple[str, Feature]] = {}

    def columns(self, records: Sequence[bytes]) -> dict[str, Any]:
        """Arrow columns by feature, sorted by name; a row for each record. ValueError, with the index of the
        record in front, for a message that is broken."""
        rows = len(records)
        features: dict[str, list[Feature]] = {}
        lists: dict[str, list[list[Feature] | None]] = {}
        for at, record in enumerate(records):
            try:
                for field, body in _fields(record):
                    if field == 1:
                        self._features(body, at, rows, features)
                    elif field == 2 and self._sequences:
                        _feature_lists(body, at, rows, lists)
            except (ValueError, IndexError, struct.error) as error:
                raise ValueError(at, f"not a tf.train message: {error}") from None
        both = features.keys() & lists.keys()
        if both:
            raise ValueError(0, f"{min(both)!r} is a feature of the context and a feature list")
        columns = {name: _column(name, values) for name, values in features.items()}
        columns |= {name: _sequence_column(name, values) for name, values in lists.items()}
        return dict(sorted(columns.items()))

    def _features(self, body: bytes, at: int, rows: int, found: dict[str, list[Feature]]) -> None:
        memo, at_byte, end = self._memo, 0, len(body)
        while at_byte < end:
            # What `_fields` does, for the one loop in which the time is spent.
            tag, size, start = body[at_byte], body[at_byte + 1], at_byte + 2
            if tag != 0x0A:
                at_byte = _skip(body, *_tag(body, at_byte))
                continue
            if size > 127:
                size, start = _varint(body, at_byte + 1)
            at_byte = start + size
            if at_byte > end:
                raise ValueError("a field is longer than its message")
            entry = body[start:at_byte]
            known = memo.get(entry)
            if known is None:
                known = _entry(entry)
                if len(memo) >= _MEMO:
                    memo.clear()
                memo[entry] = known
            name, feature = known
            column = found.get(name)
            if column is None:
                column = found[name] = [_NONE] * rows
            column[at] = feature


def _entry(entry: bytes) -> tuple[str, Feature]:
    name, value = "", b""
    for field, body in _fields(entry):
        if field == 1:
            name = body.decode()
        elif field == 2:
            value = body
    return name, _feature(value)


def _feature(body: bytes) -> Feature:
    feature = _NONE
    for kind, values in _fields(body):
        if kind == _BYTES:
            feature = kind, tuple(value for field, value in _fields(values) if field == 1)
        elif kind == _FLOAT:
            feature = kind, tuple(_floats(values))
        elif kind == _INT:
            feature = kind, tuple(_integers(values))
    return feature


def _feature_lists(body: bytes, at: int, rows: int, found: dict[str, list[list[Feature] | None]]) -> None:
    for field, entry in _fields(body):
        if field != 1:
            continue
        name, steps = "", list[Feature]()
        for part, value in _fields(entry):
            if part == 1:
                name = value.decode()
            elif part == 2:
                steps = [_feature(feature) for number, feature in _fields(value) if number == 1]
        found.setdefault(name, [None] * rows)[at] = steps


# -- the wire format (protocol buffers, "Encoding")


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each length-delimited field; others are skipped."""
    at, end = 0, len(message)
    while at < end:
        tag = message[at]
        at += 1
        if tag > 127:
            tag, at = _varint(message, at - 1)
        wire = tag & 7
        if wire == 2:
            size = message[at]
            at += 1
            if size > 127:
                size, at = _varint(message, at - 1)
            if at + size > end:
                raise ValueError("a field is longer than its message")
            yield tag >> 3, message[at : at + size]
            at += size
        else:
            at = _skip(message, at, wire)


def _floats(body: bytes) -> Iterator[float]:
    at = 0
    while at < len(body):
        tag, at = _varint(body, at)
        if tag == 0x0A:
            size, at = _varint(body, at)
            if size % 4 or at + size > len(body):
                raise ValueError("a float_list has a broken length")
            yield from struct.unpack_from(f"<{size // 4}f", body, at)
            at += size
        elif tag == 0x0D:
            yield struct.unpack_from("<f", body, at)[0]
            at += 4
        else:
            at = _skip(body, at, tag & 7)


def _integers(body: bytes) -> Iterator[int]:
    at = 0
    while at < len(body):
        tag, at = _varint(body, at)
        if tag == 0x0A:
            size, at = _varint(body, at)
            if at + size > len(body):
                raise ValueError("an int64_list has a broken length")
            end = at + size
            while at < end:
                value, at = _varint(body, at)
                yield value - (1 << 64) if value >> 63 else value
        elif tag == 0x08:
            value, at = _varint(body, at)
            yield value - (1 << 64) if value >> 63 else value
        else:
            at = _skip(body, at, tag & 7)


def _tag(message: bytes, at: int) -> tuple[int, int]:
    """Where a field's content begins, and its wire type."""
    tag, at = _varint(message, at)
    return at, tag & 7


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
        if shift > 63:
            raise ValueError("a number has more than ten bytes")


def _skip(message: bytes, at: int, wire: int) -> int:
    if wire == 0:
        return _varint(message, at)[1]
    if wire == 2:
        size, at = _varint(message, at)
        at += size
    elif wire in (1, 5):
        at += 8 if wire == 1 else 4
    else:
        raise ValueError(f"wire type {wire} does not exist")
    if at > len(message):
        raise ValueError("a field is longer than its message")
    return at


# -- columns


def _column(name: str, features: Sequence[Feature]) -> Any:
    """A plain column when no record has more than one value, else lists; null where nothing is set."""
    kind = _kind(name, features)
    if all(len(values) <= 1 for _, values in features):
        plain = [values[0] if values else None for _, values in features]
        return _text(pa.array(plain, _TYPES[kind]))
    return _lists([None if not found else values for found, values in features], kind)


def _sequence_column(name: str, rows: Sequence[list[Feature] | None]) -> Any:
    """Lists of lists: a list for each record, in it one for each step."""
    steps = [step for row in rows if row is not None for step in row]
    inner = _lists([values for _, values in steps], _kind(name, steps))
    return _nest(inner, [None if row is None else len(row) for row in rows])


def _lists(rows: Sequence[Sequence[Any] | None], kind: int) -> Any:
    flat = pa.array([value for row in rows if row is not None for value in row], _TYPES[kind])
    return _nest(_text(flat), [None if row is None else len(row) for row in rows])


def _nest(values: Any, lengths: Sequence[int | None]) -> Any:
    offsets = np.concatenate([[0], np.cumsum([length or 0 for length in lengths])]).astype(np.int32)
    missing = pa.array([length is None for length in lengths], pa.bool_())
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values, mask=missing)


def _kind(name: str, features: Iterable[Feature]) -> int:
    kinds = {kind for kind, _ in features if kind}
    if len(kinds) > 1:
        found = " and ".join(_NAMES[kind] for kind in sorted(kinds))
        raise ValueError(0, f"feature {name!r} has {found} values")
    return kinds.pop() if kinds else 0


def _text(values: Any) -> Any:
    """Bytes as text when all of them are: the messages do not tell one from the other."""
    if values.type != pa.binary():
        return values
    try:
        return values.cast(pa.string())
    except pa.ArrowInvalid:
        return values
