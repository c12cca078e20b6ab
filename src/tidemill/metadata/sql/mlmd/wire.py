"""Properties as the bytes that protobuf would write for them.

A node has several properties, and setting each costs more than reading its row. One parse of bytes per
node costs a third of that. Only the usual kinds of values are packed here; values.py sets the others.
Source: protobuf.dev/programming-guides/encoding; the numbers of the fields are MLMD's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from functools import lru_cache

from tidemill.metadata.sql.mlmd import values
from tidemill.metadata.sql.mlmd.kinds import Message
from tidemill.metadata.sql.properties import StoredRow

_PROPERTIES, _CUSTOM = 4, 5
"""Numbers of the fields `properties` and `custom_properties`, the same in all kinds of nodes."""
_KEY, _VALUE = 1, 2
"""Numbers of the parts of a map's entry."""
_VARINT, _EIGHT_BYTES, _SIZED = 0, 1, 2
"""How protobuf packs a field."""

_SMALL = tuple(bytes([n]) if n < 1 << 7 else bytes([n & 127 | 128, n >> 7]) for n in range(1 << 14))
"""Numbers of one or two bytes, packed."""
_pack_double = struct.Struct("<d").pack


def fill_properties(nodes: Mapping[int, Message], rows: Iterable[StoredRow]) -> None:
    """Set the properties of nodes by id. It is fast where the rows of a node come together."""
    last, packed = 0, list[bytes]()
    for node_id, name, custom, value in rows:
        if node_id != last:
            if packed:
                nodes[last].MergeFromString(b"".join(packed))
                packed.clear()
            last = node_id
        kind: type[object] = type(value)
        if kind is str and value[:13] != values.STRUCT:
            data = value.encode()
        elif kind is float:
            data = _pack_double(value)
        elif kind is int and value >= 0:
            data = _SMALL[value] if value < len(_SMALL) else _varint(value)
        else:
            node = nodes[node_id]
            values.fill((node.custom_properties if custom else node.properties)[name], value)
            continue
        packed += (_head(name, custom, kind, len(data)), data)
    if packed:
        nodes[last].MergeFromString(b"".join(packed))


@lru_cache(maxsize=4096)
def _head(name: str, custom: int, kind: type[object], size: int) -> bytes:
    """All that comes before a property's data, which has `size` bytes."""
    if kind is str:
        before = _tag(3, _SIZED) + _varint(size)
    else:
        before = _tag(2, _EIGHT_BYTES) if kind is float else _tag(1, _VARINT)
    key = name.encode()
    entry = _tag(_KEY, _SIZED) + _varint(len(key)) + key
    entry += _tag(_VALUE, _SIZED) + _varint(len(before) + size) + before
    return _tag(_CUSTOM if custom else _PROPERTIES, _SIZED) + _varint(len(entry) + size) + entry


def _tag(field: int, packing: int) -> bytes:
    return _varint(field << 3 | packing)


def _varint(number: int) -> bytes:
    """A number that is not negative: seven bits a byte, the lowest first."""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])
