"""The HTTP server: the metadata store for clients, and what operators ask about it.

It hands requests to what other rooms do and never imports user code, nor reads anything but JSON. The
gRPC service stands in `mlmd`; both serve the same store.
"""

from __future__ import annotations
