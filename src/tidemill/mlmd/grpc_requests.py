"""Requests as they come from strangers: bytes into messages, and nothing that could not be read again.

Protobuf's proto2 lets a text hold any bytes, and gives Python bytes where it expects str. Such a name
would go into the database and break every later list. So requests are parsed with a second description
of the same messages first, which demands UTF-8; it differs from the one in descriptors.py in nothing else.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from tidemill.mlmd import errors, metadata_store_pb2, metadata_store_service_pb2
from tidemill.mlmd.descriptors import PACKAGE, POOL
from tidemill.mlmd.grpc_wire import CALLS


def parse_request(call: str, packed: bytes) -> Any:
    """The request of a call. InvalidArgumentError when the bytes are none."""
    try:
        _STRICT[call].FromString(packed)
    except DecodeError as error:
        raise errors.InvalidArgumentError(f"the request of {call} cannot be read: {error}") from error
    return getattr(metadata_store_service_pb2, f"{call}Request").FromString(packed)


def _strict_requests() -> dict[str, Any]:
    """Name of a call -> class of its request, as protobuf's edition 2023 checks it."""
    pool = descriptor_pool.DescriptorPool()
    ours = (metadata_store_pb2.DESCRIPTOR, metadata_store_service_pb2.DESCRIPTOR)
    for name in sorted({foreign.name for file in ours for foreign in file.dependencies} - {ours[0].name}):
        pool.AddSerializedFile(POOL.FindFileByName(name).serialized_pb)
    for descriptor in ours:
        file = descriptor_pb2.FileDescriptorProto()
        descriptor.CopyToProto(file)
        file.syntax, file.edition = "editions", descriptor_pb2.EDITION_2023
        file.options.features.utf8_validation = descriptor_pb2.FeatureSet.VERIFY
        file.options.features.enum_type = descriptor_pb2.FeatureSet.CLOSED
        pool.AddSerializedFile(file.SerializeToString())
    return {
        call: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{call}Request"))
        for call in CALLS
    }


_STRICT = _strict_requests()
