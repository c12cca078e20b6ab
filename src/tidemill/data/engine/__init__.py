"""Work over rows that do not fit into memory, or are many: a state per part, merged to one result.

An analyzer says how to begin (`empty`), take in the rows of one row group (`add`), put two states together
(`merge`) and answer (`finish`). `analyze` runs it where the user wants; the answer has the same bytes there:

    class Longest(Analyzer[int, int]):
        def empty(self) -> int:
            return 0
        def add(self, state: int, table: pa.Table) -> int:
            return max(state, pc.max(pc.utf8_length(table["name"])).as_py() or 0)
        def merge(self, state: int, later: int) -> int:
            return max(state, later)

    longest = analyze(Longest(), Dataset.of([examples], ["train"]), backend="pool")

This room knows row groups, states as bytes and backends. It does not know what an analyzer looks for.
"""

from __future__ import annotations

from tidemill.data.engine.analyze import Progress, analyze
from tidemill.data.engine.analyzer import Analyzer
from tidemill.data.engine.backends import BACKENDS, Backend, open_backend

__all__ = ["BACKENDS", "Analyzer", "Backend", "Progress", "analyze", "open_backend"]
