"""The record over the wire: a MetadataStore that asks a metadata server, and what the server does with it.

`methods` derives one call from each method of the MetadataStore protocol, `codec` turns its arguments and
answers into JSON and back, `client` asks until there is an answer, `service` answers with a store. The
two transports, HTTP and gRPC, carry bytes and know nothing of what is in them.
"""

from __future__ import annotations
