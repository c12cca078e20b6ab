"""Kept states as files of artifacts: what one analysis wrote, a later one reads.

A file is written once, together with the artifact it belongs to, and never changed; so several analyses may
read it at any time, and equal analyses write equal bytes. Its form: the line `tidemill.states/1`; the length
of the index as 8 bytes, little-endian; the index, a packed mapping (`engine.encoding`) from key to [offset,
length, SHA-256]; then the states, to which the offsets refer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tidemill.data.engine.encoding import pack, unpack
from tidemill.data.engine.kept import key_of
from tidemill.errors import DataError

FILE = "states.bin"
MAGIC = b"tidemill.states/1\n"


class StatesFiles:
    """States found in the files of some folders, and all states that were found or made, to be written."""

    def __init__(self, folders: Iterable[Path] = ()) -> None:
        """Read the indexes. Folders without such a file count as empty; DataError for a broken one."""
        self.found = 0
        """Files whose state was taken and not computed again."""
        self._places: dict[str, tuple[Path, list[Any]]] = {}
        self._used: dict[str, bytes] = {}
        for folder in folders:
            if (folder / FILE).is_file():
                for key, place in _index(folder / FILE).items():
                    self._places.setdefault(key, (folder / FILE, place))

    def find(self, version: str, path: Path) -> bytes | None:
        """The state of an analyzer for a file; None when there is none. DataError for broken bytes."""
        key = key_of(version, path)
        if key not in self._used:
            if key not in self._places:
                return None
            self._used[key] = _state(*self._places[key])
        self.found += 1
        return self._used[key]

    def keep(self, version: str, path: Path, state: Callable[[], bytes]) -> None:
        """Keep a state until `write`."""
        self._used[key_of(version, path)] = state()

    def write(self, folder: Path) -> None:
        """Write every state that was found or kept; equal states give equal bytes."""
        index, offset = {}, 0
        for key, state in sorted(self._used.items()):
            index[key] = [offset, len(state), hashlib.sha256(state).digest()]
            offset += len(state)
        head = pack(index)
        with (folder / FILE).open("wb") as file:
            file.write(MAGIC + len(head).to_bytes(8, "little") + head)
            for _, state in sorted(self._used.items()):
                file.write(state)


def _index(path: Path) -> dict[str, list[Any]]:
    """Key to absolute offset, length and hash."""
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise ValueError("it begins otherwise")
            length = int.from_bytes(file.read(8), "little")
            found = unpack(file.read(length))
            start = len(MAGIC) + 8 + length
            return {key: [start + offset, size, sha] for key, (offset, size, sha) in found.items()}
    except (ValueError, TypeError, AttributeError, OSError) as error:
        raise DataError(f"not readable as kept states: {error}", where=str(path), hint=_HINT) from None


def _state(path: Path, place: list[Any]) -> bytes:
    offset, length, sha = place
    with path.open("rb") as file:
        file.seek(offset)
        state = file.read(length)
    if hashlib.sha256(state).digest() != sha:
        raise DataError("a kept state has other bytes than were written", where=str(path), hint=_HINT)
    return state


_HINT = "leave `previous` out once: the statistics are then computed from the examples"
