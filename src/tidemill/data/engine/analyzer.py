"""What an analyzer is. It must not know where its work is done, nor how many take part in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar, cast

import pyarrow as pa

from tidemill.data.engine.encoding import pack, unpack

State = TypeVar("State")
Result = TypeVar("Result")


class Analyzer(ABC, Generic[State, Result]):
    """How rows become a result, part by part. Best a frozen dataclass: it is sent to other processes.

    Every method is called with states of this analyzer only, may change the state it is given first, and
    returns the new one. The same rows in the same order must give the same state.
    """

    version: str = ""
    """Names the analyzer with all its parameters, and the form of its states. States are kept for later
    only under a name: change it whenever the same rows give another state. Empty: never kept."""

    columns: Sequence[str] | None = None
    """The columns to read, in that order; None for all. A column that a file lacks is a DataError."""

    dictionaries: bool = False
    """Whether columns of text may come as Arrow dictionaries where the file holds them so, which is quicker
    to read and to count."""

    @abstractmethod
    def empty(self) -> State:
        """The state before any row."""

    @abstractmethod
    def add(self, state: State, table: pa.Table) -> State:
        """`state` and the rows of one row group."""

    @abstractmethod
    def merge(self, state: State, later: State) -> State:
        """`state` and that of rows that come after its own."""

    def finish(self, state: State) -> Result:
        """The answer; the state itself unless overridden."""
        return cast("Result", state)

    def to_bytes(self, state: State) -> bytes:
        """The state as bytes, equal for equal states. States of plain values need no override."""
        return pack(state)

    def from_bytes(self, data: bytes) -> State:
        """Inverse of `to_bytes`."""
        return cast("State", unpack(data))


AnyAnalyzer = Analyzer[Any, Any]
