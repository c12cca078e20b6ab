"""Values that are frozen objects where they are written and mappings where they are read.

So one goes into the IR as it is, and any of its fields may be a placeholder. Sources and destinations are
such values; what their fields mean is theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, ClassVar


class Tagged(Mapping[str, Any]):
    """The base of frozen dataclasses that are mappings of their `kind` and their fields."""

    kind: ClassVar[str] = ""

    def __getitem__(self, key: str) -> Any:
        if key == "kind":
            return self.kind
        if key in self._names():
            return getattr(self, key)
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        yield "kind"
        yield from self._names()

    def __len__(self) -> int:
        return 1 + len(self._names())

    def _names(self) -> list[str]:
        """The fields that the mapping has."""
        return [item.name for item in fields(self)]  # type: ignore[arg-type]  # every kind is a dataclass
