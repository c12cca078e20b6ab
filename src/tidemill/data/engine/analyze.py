"""One analyzer over all rows: plan blocks, have them done, merge them in order, and count.

Blocks may end in any order and on any machine; here they are put back into theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidemill.data.dataset import Dataset
from tidemill.data.engine.analyzer import Analyzer, Result, State
from tidemill.data.engine.backends import Backend, open_backend
from tidemill.data.engine.blocks import FileBlocks, plan
from tidemill.data.engine.kept import KeptStates
from tidemill.data.engine.work import BlockWork, state_of
from tidemill.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an analysis is, after a block of it was merged."""

    rows: int
    """Rows taken in, those from kept states included."""
    of_rows: int


def analyze(
    analyzer: Analyzer[State, Result],
    data: Dataset | Sequence[Path],
    *,
    backend: Backend | str = "inline",
    kept: KeptStates | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Result:
    """The analyzer's answer for all rows of `data`: a Dataset, or folders of Parquet files.

    backend: a name of `BACKENDS`, or an open backend, which can serve several analyses.
    kept: states of files from an earlier analysis, taken instead of reading; the new ones are put there.
    progress: called in this process, after each block and each file taken from `kept`.

    Memory: a row group per worker, the states of the blocks that wait for an earlier one, and one of all.
    DataError for broken files, an unknown column, a wrong count of rows, and a backend that is unknown or
    not installed.
    """
    if isinstance(backend, str):
        with open_backend(backend) as opened:
            return analyze(analyzer, data, backend=opened, kept=kept, progress=progress)
    files = plan(data)
    merged = _Merge(analyzer, files, kept if analyzer.version else None, progress)
    return analyzer.finish(merged.run(backend))


class _Merge:
    def __init__(
        self,
        analyzer: Analyzer[Any, Any],
        files: list[FileBlocks],
        kept: KeptStates | None,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self.analyzer = analyzer
        self.files = files
        self.kept = kept
        self.progress = progress
        self.rows = 0
        self.of_rows = sum(file.rows for file in files)

    def run(self, backend: Backend) -> Any:
        """The state of all files."""
        analyzer = self.analyzer
        known = self._known()
        blocks = [block for at, file in enumerate(self.files) if at not in known for block in file.blocks]
        outcomes = backend.map(BlockWork(analyzer), blocks)
        try:
            total = self._merge(known, _in_order(outcomes, [block.index for block in blocks]))
        finally:
            if isinstance(outcomes, Generator):
                outcomes.close()  # now, not when it is collected: it may hold files and workers
        if self.rows != self.of_rows:
            raise DataError(
                f"the footers say {self.of_rows} rows, but {self.rows} were read",
                where=", ".join(sorted({str(file.path.parent) for file in self.files})),
            )
        return total

    def _merge(self, known: dict[int, bytes], states: Iterator[bytes]) -> Any:
        analyzer = self.analyzer
        total = analyzer.empty()
        for at, file in enumerate(self.files):
            if at in known:
                state = analyzer.from_bytes(known.pop(at))
                self._took(file.rows)
            else:
                state = self._file(file, states)
            total = analyzer.merge(total, state)
        return total

    def _known(self) -> dict[int, bytes]:
        if self.kept is None:
            return {}
        found = {at: self.kept.find(self.analyzer.version, file.path) for at, file in enumerate(self.files)}
        return {at: state for at, state in found.items() if state is not None}

    def _file(self, file: FileBlocks, states: Iterator[bytes]) -> Any:
        state = self.analyzer.empty()
        for block in file.blocks:
            state = self.analyzer.merge(state, self.analyzer.from_bytes(state_of(next(states))))
            self._took(block.rows)
        if self.kept is not None:
            self.kept.keep(self.analyzer.version, file.path, lambda: self.analyzer.to_bytes(state))
        return state

    def _took(self, rows: int) -> None:
        self.rows += rows
        if self.progress is not None:
            self.progress(Progress(rows=self.rows, of_rows=self.of_rows))


def _in_order(outcomes: Iterable[tuple[int, bytes]], wanted: list[int]) -> Iterator[bytes]:
    """The outcomes in the order of `wanted`; each exactly once, whatever the backend gave."""
    waiting: dict[int, bytes] = {}
    given = iter(outcomes)
    for index in wanted:
        while index not in waiting:
            try:
                at, outcome = next(given)
            except StopIteration:
                raise DataError(
                    f"the backend ended without the result of block {index}",
                    hint="look into its log; the rows of that block would be missing",
                ) from None
            waiting.setdefault(at, outcome)
        yield waiting.pop(index)
