"""The calls of a metadata server over gRPC, to be added to a gRPC server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from tidemill.metadata.remote.grpc_wire import SERVICE
from tidemill.metadata.remote.methods import methods
from tidemill.metadata.remote.service import Service


def handlers(service: Service) -> grpc.GenericRpcHandler[Any, Any]:
    """One unary call for each method. A method that is none gets UNIMPLEMENTED from gRPC itself."""

    def answering(name: str) -> Callable[[bytes, grpc.ServicerContext], bytes]:
        def answer(body: bytes, context: grpc.ServicerContext) -> bytes:
            if not context.is_active():  # whoever asked has given up, perhaps to ask again
                return b""
            return service.call(name, body).body

        return answer

    return grpc.method_handlers_generic_handler(
        SERVICE, {name: grpc.unary_unary_rpc_method_handler(answering(name)) for name in methods()}
    )
