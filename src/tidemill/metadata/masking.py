"""Addresses as people may see them: nothing that may be secret is shown, logged or recorded."""

from __future__ import annotations

import re


def masked(url: str) -> str:
    """The URL without what may be secret: everything before its last `@`, and its options."""
    return re.sub(r"://.*@", "://***@", url.partition("?")[0] if "@" not in url.rpartition("?")[2] else url)
