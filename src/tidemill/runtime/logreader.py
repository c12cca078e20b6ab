"""Reading the log of an attempt from its beginning to its end, while it is written and when it is whole.

Positions count what was printed. When a log is full only its end is kept besides its beginning, so a reader
that is slower than the node misses something and is told how much; whoever keeps up misses nothing. The file
of an attempt that ended has a note in the place of what was left out. This knows neither runs nor terminals.
"""

from __future__ import annotations

import re

from tidemill.storage.shelf import Shelf

PIECE = 1 << 20
_NOTE = re.compile(rb"\n\[tidemill: (\d+) bytes are left out here\]\n")
_NOTE_MOST = 80


def kept_end(most: int) -> int:
    """Bytes of the end that are kept of a log of `most` bytes; the others are its beginning's."""
    return max(1, most - most // 2)


def note(count: int) -> bytes:
    """What stands in a log for bytes that are left out."""
    return f"\n[tidemill: {count} bytes are left out here]\n".encode()


def find_note(shelf: Shelf, size: int, most: int) -> tuple[int, int, int] | None:
    """Where the note of a whole log begins and ends, and what it counts; None when there is none.

    Only a note before exactly the end that is kept is one: a node may print the same words.
    """
    end = size - kept_end(most)
    start = max(0, end - _NOTE_MOST)
    window = shelf.read(None, start, end - start) if end > 0 else b""
    for found in _NOTE.finditer(window):
        if found.end() == end - start:
            return start + found.start(), end, int(found[1])
    return None


class LogReader:
    """Reads on where it stopped. `most` is the log's limit; 0 when it has none or it is not known."""

    def __init__(self, shelf: Shelf, most: int = 0) -> None:
        self.shelf = shelf
        self.position = 0
        """How much had been printed before what is read next; no longer counted when the log is `whole`."""
        self._most = most
        self._first = 0
        """Where the beginning ends, when that was seen."""
        self._at = -1
        """Where to read on in the file of a log that is whole and leaves something out; -1 before."""

    @property
    def whole(self) -> bool:
        """Whether the log is one file with something left out, so that its attempt is over."""
        return self._at >= 0

    def read(self) -> bytes:
        """What follows, about `PIECE` bytes at most; nothing when there is no more now.

        A note comes before what follows something that was missed.
        """
        missed, data = self.take()
        return (note(missed) if missed else b"") + data

    def take(self) -> tuple[int, bytes]:
        """The same in two parts: how much was missed, and what follows that."""
        missed = 0
        if not self.whole:
            size = self.shelf.size()
            missed = self._look_for_note(size)
        if self.whole:
            data = self.shelf.read(None, self._at, PIECE)
            self._at += len(data)
            return missed, data
        if self.position < size:
            data = self.shelf.read(None, self.position, min(PIECE, size - self.position))
            self.position += len(data)
            return 0, data
        return self._from_pieces(size)

    def _from_pieces(self, size: int) -> tuple[int, bytes]:
        pieces = self.shelf.pieces()
        if pieces and size:
            self._first = self._first or min(size, pieces[0])
        here = max((p for p in pieces if p <= self.position), default=None)
        if here is not None and (data := self.shelf.read(here, self.position - here, PIECE)):
            self.position += len(data)
            return 0, data
        later = min((p for p in pieces if p > self.position), default=None)
        if later is None or not (data := self.shelf.read(later, 0, PIECE)):
            return 0, b""
        missed, self.position = later - self.position, later + len(data)
        return missed, data

    def _look_for_note(self, size: int) -> int:
        """Notice that the log is whole now, without reading anything twice; how much was missed."""
        found = None
        if self._most:
            found = find_note(self.shelf, size, self._most)
        elif self._first and size > self._first:
            match = _NOTE.match(self.shelf.read(None, self._first, _NOTE_MOST))
            found = (self._first, self._first + match.end(), int(match[1])) if match else None
        if found is None:
            return 0
        first, after, left_out = found
        if self.position <= first:
            self._at = self.position
            return 0
        missed = max(0, first + left_out - self.position)
        self._at = after + max(0, self.position - first - left_out)
        return missed
