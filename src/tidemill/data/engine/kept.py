"""States of whole files, kept from one analysis to a later one, found by the content of the file.

A key is the analyzer's version and the SHA-256 of the file's bytes, so a state can be neither stale nor
taken for another. This room says what is kept; where it lies is decided by whoever gives a `KeptStates`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from tidemill.data.engine.encoding import pack
from tidemill.storage import manifest


class KeptStates(Protocol):
    """Where states are looked for and put."""

    def find(self, version: str, path: Path) -> bytes | None:
        """The state of an analyzer for a file; None when there is none."""
        ...

    def keep(self, version: str, path: Path, state: Callable[[], bytes]) -> None:
        """Keep a state for later, if states are kept at all."""
        ...


def key_of(version: str, path: Path) -> str:
    """The key of an analyzer's state of one file, 64 hex digits."""
    return hashlib.sha256(pack(["tidemill.state/1", version, content_of(path)])).hexdigest()


def content_of(path: Path) -> str:
    """SHA-256 of a file: from the manifest of its artifact where there is one, else of the file itself."""
    for folder in path.parents[:2]:
        if (sealed := manifest.read(folder)) is not None:
            name = path.relative_to(folder).as_posix()
            for entry in sealed.files:
                if entry.path == name and entry.size == path.stat().st_size:
                    return entry.sha256
    return manifest.survey(path).files[0].sha256
