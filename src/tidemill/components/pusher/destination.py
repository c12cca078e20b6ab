"""A folder of model versions, where users of Pusher have always found it; it lives in `storage.versions`."""

from __future__ import annotations

from tidemill.storage.versions import (
    POINTER,
    VERSIONS,
    Pointer,
    Push,
    current,
    push,
    read_pointer,
    versions,
)

__all__ = ["POINTER", "VERSIONS", "Pointer", "Push", "current", "push", "read_pointer", "versions"]
