"""TFRecord files, byte by byte: frames with checksums, plain or gzip.

Format (TensorFlow, lib/io/record_writer.h): for each record a little-endian uint64 with its length, the
masked CRC-32C of these eight bytes, the record, and the masked CRC-32C of it. A checksum is masked as
((crc >> 15) | (crc << 17)) + 0xa282ead8, modulo 2^32. What is in a record is not known here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from tidemill.data.csv_records import BROKEN_STREAM, cut_off
from tidemill.data.external import open_seekable
from tidemill.errors import DataError
from tidemill.types.source import SourceFile

BATCH_RECORDS = 20_000
BATCH_BYTES = 32 << 20
_READ_BYTES = 4 << 20
_HEAD = struct.Struct("<QI")
_FOOT = struct.Struct("<I")


def record_batches(file: SourceFile) -> Iterator[tuple[int, list[bytes]]]:
    """The records of a file in batches, with the index of the first one of each, counting from 0.

    DataError, with the record and its byte, for a wrong checksum and a file that ends in the middle.
    """
    checksum = _crc32c()
    first, batch, size = 0, list[bytes](), 0
    with open_seekable(file) as source:
        is_gzip = source.read(2) == b"\x1f\x8b"
        source.seek(0)
        stream: Any = pa.CompressedInputStream(source, "gzip") if is_gzip else source
        try:
            for record in _records(stream, file, checksum):
                batch.append(record)
                size += len(record)
                if len(batch) >= BATCH_RECORDS or size >= BATCH_BYTES:
                    yield first, batch
                    first, batch, size = first + len(batch), [], 0
        except BROKEN_STREAM as error:
            raise cut_off(file, error) from error
    if batch:
        yield first, batch


def _records(stream: Any, file: SourceFile, checksum: Any) -> Iterator[bytes]:
    buffer, at, offset, index = b"", 0, 0, 0

    def need(count: int) -> bool:
        """Have that many bytes from `at` on; False at a clean end of the file."""
        nonlocal buffer, at, offset
        if len(buffer) - at >= count:
            return True
        parts, have = [buffer[at:]], len(buffer) - at
        offset, at = offset + at, 0
        while have < count and (chunk := stream.read(max(_READ_BYTES, count - have))):
            parts.append(chunk)
            have += len(chunk)
        buffer = b"".join(parts)
        return have >= count

    while need(_HEAD.size):
        length, crc = _HEAD.unpack_from(buffer, at)
        if _masked(checksum(buffer[at : at + 8])) != crc:
            raise _damaged(file, index, offset + at, "the checksum of its length is wrong")
        if not need(_HEAD.size + length + _FOOT.size):
            raise _damaged(file, index, offset + at, "the file ends in the middle of it")
        start = at + _HEAD.size
        record = buffer[start : start + length]
        (crc,) = _FOOT.unpack_from(buffer, start + length)
        if _masked(checksum(record)) != crc:
            raise _damaged(file, index, offset + at, "the checksum of its bytes is wrong")
        yield record
        at = start + length + _FOOT.size
        index += 1
    if len(buffer) > at:
        raise _damaged(file, index, offset + at, "the file ends in the middle of its length")


def write_records(path: str, records: Iterator[bytes]) -> None:
    """Write a TFRecord file, for consumers that read nothing else, and for tests."""
    checksum = _crc32c()
    with pa.OSFile(path, "wb") as out:
        for record in records:
            length = struct.pack("<Q", len(record))
            out.write(length + _FOOT.pack(_masked(checksum(length))))
            out.write(record + _FOOT.pack(_masked(checksum(record))))


def _masked(crc: int) -> int:
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _crc32c() -> Any:
    try:
        from google_crc32c import value  # only TFRecord needs it
    except ImportError as error:
        raise DataError(
            "TFRecord files need the package google-crc32c", hint="install tidemill[tfrecord]"
        ) from error
    return value


def _damaged(file: SourceFile, index: int, offset: int, what: str) -> DataError:
    return DataError(
        f"record {index} at byte {offset}: {what}",
        where=file.uri,
        hint="the file is damaged, truncated or no TFRecord file: deliver it again",
    )
