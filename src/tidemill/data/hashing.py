"""A 64-bit hash of values that means the same on every machine and in every release.

Splits and distinct counts depend on it, so its definition is frozen under `HASH_VERSION`; a change
of even one bit needs a new version. `hash()` of Python and the hashes of polars and Arrow promise
no such thing.

Definition of "tide64-1". All arithmetic is modulo 2^64.

    mix(x):  x ^= x >> 30; x *= 0xBF58476D1CE4E5B9; x ^= x >> 27; x *= 0x94D049BB133111EB; x ^= x >> 31
             (the finaliser of SplitMix64; Steele, Lea and Flood, OOPSLA 2014)
    word(tag, w)   = mix(mix(tag * 0x9E3779B97F4A7C15) ^ w)
    null           = word(1, 0)
    boolean        = word(2, 0 or 1)
    whole number   = word(3, its two's complement); floats with a whole value below 2^53 count as such,
                     so that a column read as int one day and as float the next hashes alike
    other float    = word(4, bits of the IEEE double; one pattern, 0x7FF8000000000000, for every NaN)
    date, time stamp = word(5, microseconds since 1970-01-01T00:00Z)
    text, bytes    = UTF-8 bytes in little-endian 8-byte words, the last padded with zero bytes:
                     h = mix(6 * 0x9E3779B97F4A7C15 + length); for each word w: h = mix(h ^ w).
                     Above 256 bytes: word(7, first 8 bytes, little-endian, of BLAKE2b-64 of the bytes)
    anything else  = as text: JSON of the value, keys sorted, no spaces
    row            = columns in order of their names: h = 0; h = mix(h ^ text(name)); h = mix(h ^ value)
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

HASH_VERSION = "tide64-1"

Hashes = npt.NDArray[np.uint64]
Column = Any
"""An Arrow array or chunked array; their stubs are too narrow to be of use here."""

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 0xFFFF_FFFF_FFFF_FFFF
_LONG = 256
_SAMPLE = 1024
"""Values looked at to see whether a column repeats itself."""
_AT_ONCE = 8192
"""Values hashed at a time, so that what is computed with them stays in the CPU's cache."""
_CANONICAL_NAN = np.uint64(0x7FF8000000000000)


def hash_column(column: Column) -> Hashes:
    """One hash per value, uint64, of any Arrow column; nulls have one too."""
    if isinstance(column, pa.ChunkedArray):
        parts = [hash_column(chunk) for chunk in column.chunks]
        return np.concatenate(parts) if parts else np.empty(0, np.uint64)
    array: Column = column
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if len(array) == 0:
        return np.empty(0, np.uint64)
    hashes = _hash_values(array)
    if array.null_count:
        missing = array.is_null().to_numpy(zero_copy_only=False)
        hashes[missing] = _words(1, np.zeros(1, np.uint64))[0]
    return hashes


def hash_rows(table: pa.Table) -> Hashes:
    """One hash per row over all columns, independent of the order of the columns."""
    hashes = np.zeros(table.num_rows, np.uint64)
    names = sorted(table.column_names)
    for name, hashed in zip(names, hash_column(pa.array(names, pa.string())), strict=True):
        hashes = _mix_into(hashes ^ hashed)
        hashes = _mix_into(hashes ^ hash_column(table.column(name)))
    return hashes


def _hash_values(array: Column) -> Hashes:
    kind = array.type
    if pa.types.is_null(kind):
        return np.zeros(len(array), np.uint64)
    if pa.types.is_boolean(kind):
        return _words(2, _numpy(array.cast(pa.uint8())).astype(np.uint64))
    if pa.types.is_unsigned_integer(kind):
        return _words(3, _numpy(array).astype(np.uint64))
    if pa.types.is_integer(kind):
        return _words(3, _numpy(array).astype(np.int64).view(np.uint64))
    if pa.types.is_floating(kind):
        return _hash_floats(_numpy(array).astype(np.float64))
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        instants = array.cast(pa.timestamp("us", getattr(kind, "tz", None)), safe=False)
        return _words(5, _numpy(instants.cast(pa.int64())).view(np.uint64))
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return _hash_texts(array)
    if pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        return _hash_texts(array)
    texts = [json.dumps(v, sort_keys=True, separators=(",", ":"), default=str) for v in array.to_pylist()]
    return _hash_bytes(pa.array(texts, pa.large_string()).cast(pa.large_binary()))


def _numpy(array: Column) -> npt.NDArray[Any]:
    """Values without nulls (as zero), copied or not; all numeric types."""
    filled: Column = pc.fill_null(array, 0) if array.null_count else array
    values: npt.NDArray[Any] = filled.to_numpy(zero_copy_only=False)
    return values


def _hash_floats(values: npt.NDArray[np.float64]) -> Hashes:
    whole = (np.abs(values) < 2.0**53) & (np.floor(values) == values)
    bits = np.where(np.isnan(values), _CANONICAL_NAN, values.view(np.uint64))
    integers = np.where(whole, values, 0.0).astype(np.int64).view(np.uint64)
    return np.where(whole, _words(3, integers), _words(4, bits))


def _hash_texts(array: Column) -> Hashes:
    """Texts that come again and again are hashed once each."""
    if len(array) > 4 * _SAMPLE and len(array.slice(0, _SAMPLE).unique()) <= _SAMPLE // 2:
        encoded = array.dictionary_encode()
        hashes = _hash_bytes(encoded.dictionary.cast(pa.large_binary()))
        return hashes[_numpy(encoded.indices)] if len(hashes) else np.zeros(len(array), np.uint64)
    return _hash_bytes(array.cast(pa.large_binary()))


def _hash_bytes(array: Column) -> Hashes:
    offsets, data = offsets_and_data(array)
    padded = np.concatenate([data, np.zeros(8, np.uint8)])
    # word i of this view is the 8 bytes from byte i on, so a gather of starts is a gather of words
    words = np.ndarray((len(data) + 1,), "<u8", padded, strides=(1,))
    hashes = np.empty(len(array), np.uint64)
    for first in range(0, len(array), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        hashes[part] = _hash_short(offsets[first : first + _AT_ONCE + 1], words)
    for row in np.flatnonzero(np.diff(offsets) > _LONG):
        digest = hashlib.blake2b(data[offsets[row] : offsets[row + 1]].tobytes(), digest_size=8).digest()
        hashes[row] = _words(7, np.array([int.from_bytes(digest, "little")], np.uint64))[0]
    return hashes


def _hash_short(offsets: npt.NDArray[np.int64], words: Hashes) -> Hashes:
    """Hashes of values of up to 256 bytes; those of longer ones are without meaning."""
    starts, lengths = offsets[:-1], np.diff(offsets)
    hashes = _mix(lengths.astype(np.uint64) + np.uint64(6 * _GOLDEN & _MASK))
    longest, shortest = min(int(lengths.max()), _LONG), int(lengths.min())
    for at in range(0, longest, 8):
        if at + 8 <= shortest:
            hashes = _mix_into(hashes ^ words[starts + at])
            continue
        rows = np.flatnonzero(lengths > at)
        rest = 8 - np.minimum(lengths[rows] - at, 8)
        word = words[starts[rows] + at] & (np.uint64(_MASK) >> (rest.astype(np.uint64) * np.uint64(8)))
        hashes[rows] = _mix_into(hashes[rows] ^ word)
    return hashes


def offsets_and_data(array: Column) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Offsets (one more than values) into the bytes of a large_binary or large_string array."""
    buffers: list[Any] = array.buffers()
    _, offset_buffer, data_buffer = buffers
    every = np.frombuffer(offset_buffer, np.int64) if offset_buffer else np.zeros(1, np.int64)
    offsets = every[array.offset : array.offset + len(array) + 1]
    first, last = int(offsets[0]), int(offsets[-1])
    data = np.frombuffer(data_buffer, np.uint8)[first:last] if data_buffer else np.empty(0, np.uint8)
    return offsets - first, data


def hash_whole_numbers(values: npt.NDArray[Any]) -> Hashes:
    """`hash_column` for a numpy array of whole numbers, signed or not."""
    return _words(3, values.astype(np.int64 if values.dtype.kind == "i" else np.uint64).view(np.uint64))


def _words(tag: int, words: Hashes) -> Hashes:
    return _mix(words ^ _mix(np.array([tag * _GOLDEN & _MASK], np.uint64))[0])


def _mix(x: Hashes) -> Hashes:
    return _mix_into(x.copy())


def _mix_into(x: Hashes) -> Hashes:
    """`_mix` in the memory of its argument, which is given back."""
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x
