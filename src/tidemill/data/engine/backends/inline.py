"""Blocks done one after the other in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tidemill.data.engine.backends import Backend, flags
from tidemill.data.engine.blocks import Block
from tidemill.data.engine.work import Work


class Inline:
    """This process."""

    def map(self, work: Work, blocks: Sequence[Block]) -> Iterator[tuple[int, bytes]]:
        """As they are asked for, in order."""
        return map(work, blocks)


@contextmanager
def inline(options: Sequence[str] = ()) -> Iterator[Backend]:
    """Opens it; it has no options."""
    flags("inline", options, ())
    yield Inline()
