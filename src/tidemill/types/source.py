"""What an external file pattern resolves to: the exact files, with their fingerprints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One external file as it was when the node was resolved."""

    uri: str
    size: int
    """Bytes."""
    digest: str
    """sha256 for local files; what the storage offers (etag, generation) for remote ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSet:
    """The files a pattern matched, oldest span first.

    `span` is the newest span read: days since 1970-01-01 for date patterns, the number itself for
    `{SPAN}`, and None for a pattern without either. The cache key uses `digest`s, so the same bytes
    under another timestamp are the same source.
    """

    pattern: str
    files: tuple[SourceFile, ...]
    span: int | None = None
    version: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, inverse of `from_json`."""
        return {
            "pattern": self.pattern,
            "span": self.span,
            "version": self.version,
            "files": [{"uri": f.uri, "size": f.size, "digest": f.digest} for f in self.files],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> FileSet:
        """Inverse of `to_json`."""
        return cls(
            pattern=value["pattern"],
            span=value["span"],
            version=value["version"],
            files=tuple(SourceFile(**f) for f in value["files"]),
        )
