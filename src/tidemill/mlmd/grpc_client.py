"""A connection to a metadata server: ours, or the one that ML Metadata comes with.

It turns calls into gRPC and statuses into errors. What the calls mean is not its business.
"""

from __future__ import annotations

from typing import Any

import grpc

from tidemill.metadata.remote import token as tokens
from tidemill.mlmd import errors, grpc_wire
from tidemill.mlmd.connection import Connection


def connect_server(config: Any) -> Connection:
    """A connection as a MetadataStoreClientConfig describes it; the server is not asked anything yet.

    `client_timeout_sec` is the time each call may take (DeadlineExceededError), without it there is no
    limit. UnavailableError comes from the first call when there is no server. Messages may have
    grpc_wire.MOST_BYTES unless `channel_arguments` say otherwise (ResourceExhaustedError). The server is
    shown the token of the environment, if there is one.
    """
    channel = _open_channel(config)
    timeout = config.client_timeout_sec if config.HasField("client_timeout_sec") else None
    token = tokens.from_environment()
    shown = (("authorization", tokens.header(token)),) if token else ()
    stubs = {
        call: channel.unary_unary(
            grpc_wire.path(call), request_serializer=_to_bytes, response_deserializer=None
        )
        for call in grpc_wire.CALLS
    }

    def call(method: str, request: Any, response: Any) -> None:
        if timeout is not None and timeout <= 0:  # gRPC would let a fast server win the race
            raise errors.DeadlineExceededError(f"client_timeout_sec is {timeout:g}: there is no time to ask")
        try:
            response.ParseFromString(stubs[method](request, timeout=timeout, metadata=shown))
        except grpc.RpcError as error:
            raise errors.make_exception(error.details() or "", error.code().value[0]) from error

    return Connection(call, channel.close)


def _open_channel(config: Any) -> grpc.Channel:
    arguments = config.channel_arguments
    received = grpc_wire.MOST_BYTES
    if arguments.HasField("max_receive_message_length"):
        received = arguments.max_receive_message_length
    options = [("grpc.max_receive_message_length", received), ("grpc.max_send_message_length", -1)]
    if arguments.HasField("http2_max_ping_strikes"):
        options.append(("grpc.http2.max_ping_strikes", arguments.http2_max_ping_strikes))
    address = grpc_wire.target(config.host, config.port)
    if not config.HasField("ssl_config"):
        return grpc.insecure_channel(address, options=options)
    ssl = config.ssl_config
    given = (ssl.custom_ca, ssl.client_key, ssl.server_cert)
    credentials = grpc.ssl_channel_credentials(*(text.encode() or None for text in given))
    return grpc.secure_channel(address, credentials, options=options)


def _to_bytes(message: Any) -> bytes:
    packed: bytes = message.SerializeToString()
    return packed
