"""Plain values as bytes, for the states of analyzers: equal values give equal bytes, on every machine.

The form is frozen, because artifacts hold it. Numbers are little-endian; a value is a tag and what follows:

    N T F    None, True, False
    i        int within 64 bits: 8 bytes        I  other int: u32 length, two's complement
    f        float: 8 bytes (IEEE 754)          s  text: u32 length, UTF-8
    b        bytes: u64 length, the bytes       l  list or tuple: u32 length, the values
    d        mapping: u32 length, then each key (without its tag, as s) and value, in the mapping's order
    a        numpy array of one dimension: letter (? bool, i int64, u uint64, f float64), u64 length, items

Tuples come back as lists. Nothing else can be written; nothing that is read can run code.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

_TYPES = {"?": np.dtype("?"), "i": np.dtype("<i8"), "u": np.dtype("<u8"), "f": np.dtype("<f8")}
_LETTERS = {"b": "?", "i": "i", "u": "u", "f": "f"}
_SINGLE = {b"N": None, b"T": True, b"F": False}


def pack(value: Any) -> bytes:
    """The value as bytes. TypeError for one that has no form here."""
    parts: list[bytes] = []
    _write(value, parts)
    return b"".join(parts)


def unpack(data: bytes) -> Any:
    """Inverse of `pack`. ValueError when the bytes are something else, or not all of it."""
    try:
        value, end = _read(memoryview(data), 0)
    except (struct.error, IndexError, KeyError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not a state: {error!r}") from None
    if end != len(data):
        raise ValueError(f"not a state: {len(data) - end} bytes too many")
    return value


def _write(value: Any, parts: list[bytes]) -> None:
    if value is None or isinstance(value, bool):
        parts.append(b"N" if value is None else b"T" if value else b"F")
    elif isinstance(value, int):
        parts.append(_integer(value))
    elif isinstance(value, float):
        parts.append(struct.pack("<cd", b"f", value))
    elif isinstance(value, str):
        text = value.encode()
        parts += [struct.pack("<cI", b"s", len(text)), text]
    elif isinstance(value, bytes):
        parts += [struct.pack("<cQ", b"b", len(value)), value]
    elif isinstance(value, list | tuple):
        parts.append(struct.pack("<cI", b"l", len(value)))
        for item in value:
            _write(item, parts)
    elif isinstance(value, Mapping):
        parts.append(struct.pack("<cI", b"d", len(value)))
        for key, item in value.items():
            text = key.encode()
            parts += [struct.pack("<I", len(text)), text]
            _write(item, parts)
    elif isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in _LETTERS:
        letter = _LETTERS[value.dtype.kind]
        items = value.astype(_TYPES[letter], copy=False)
        parts += [struct.pack("<ccQ", b"a", letter.encode(), len(items)), items.tobytes()]
    else:
        raise TypeError(f"a state cannot hold a {type(value).__name__}: {value!r}")


def _integer(value: int) -> bytes:
    if -(2**63) <= value < 2**63:
        return struct.pack("<cq", b"i", value)
    size = value.bit_length() // 8 + 1
    return struct.pack("<cI", b"I", size) + value.to_bytes(size, "little", signed=True)


def _read(data: memoryview, at: int) -> tuple[Any, int]:
    tag, at = bytes(data[at : at + 1]), at + 1
    if tag in _SINGLE:
        return _SINGLE[tag], at
    if tag in (b"i", b"f"):
        return struct.unpack_from("<q" if tag == b"i" else "<d", data, at)[0], at + 8
    if tag == b"a":
        letter, count = struct.unpack_from("<cQ", data, at)
        dtype = _TYPES[letter.decode()]
        raw, at = _take(data, at + 9, count * dtype.itemsize)
        return np.frombuffer(raw, dtype).copy(), at
    if tag == b"b":
        (count,) = struct.unpack_from("<Q", data, at)
        return _take(data, at + 8, count)
    (count,), at = struct.unpack_from("<I", data, at), at + 4
    if tag == b"s":
        raw, at = _take(data, at, count)
        return raw.decode(), at
    if tag == b"I":
        raw, at = _take(data, at, count)
        return int.from_bytes(raw, "little", signed=True), at
    return _read_many(tag, data, at, count)


def _read_many(tag: bytes, data: memoryview, at: int, count: int) -> tuple[Any, int]:
    if tag == b"l":
        items = []
        for _ in range(count):
            item, at = _read(data, at)
            items.append(item)
        return items, at
    if tag != b"d":
        raise KeyError(tag)
    found = {}
    for _ in range(count):
        (length,) = struct.unpack_from("<I", data, at)
        key, at = _take(data, at + 4, length)
        found[key.decode()], at = _read(data, at)
    return found, at


def _take(data: memoryview, at: int, count: int) -> tuple[bytes, int]:
    if at + count > len(data):
        raise IndexError("the bytes end too early")
    return bytes(data[at : at + count]), at + count
