"""The frozen text hash of `data.hashing` for transforms: a few texts in plain Python, many in numpy.

A server hashes one text at a time and should not load Arrow for it; a property test holds the two equal.
"""

from __future__ import annotations

import hashlib

import numpy as np

from tidemill.data.transform.values import Array

_MASK = 0xFFFF_FFFF_FFFF_FFFF
_GOLDEN = 0x9E3779B97F4A7C15
_LONG = 256
_FEW = 64


def buckets_of(texts: Array, buckets: int) -> Array:
    """The number of each text from 0 to `buckets - 1`: its hash "tide64-1", modulo."""
    if len(texts) <= _FEW:
        return np.array([text_hash(text) % buckets for text in texts.tolist()], dtype=np.int64)
    import pyarrow as pa

    from tidemill.data.hashing import hash_column

    column: object = pa.array(texts.tolist(), pa.large_string())
    return (hash_column(column) % np.uint64(buckets)).astype(np.int64)


def text_hash(text: str) -> int:
    """tide64-1 of one text, 0 to 2^64 - 1; `data.hashing` has the definition."""
    value = text.encode("utf-8")
    if len(value) > _LONG:
        word = int.from_bytes(hashlib.blake2b(value, digest_size=8).digest(), "little")
        return _mix(word ^ _mix(7 * _GOLDEN & _MASK))
    found = _mix((6 * _GOLDEN + len(value)) & _MASK)
    for at in range(0, len(value), 8):
        found = _mix(found ^ int.from_bytes(value[at : at + 8], "little"))
    return found


def _mix(x: int) -> int:
    x ^= x >> 30
    x = x * 0xBF58476D1CE4E5B9 & _MASK
    x ^= x >> 27
    x = x * 0x94D049BB133111EB & _MASK
    return x ^ x >> 31
