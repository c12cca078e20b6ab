"""Which spans of external files are new, for whoever starts runs of a pipeline when they arrive.

What was started for which span is read from the record, so that nothing has to be remembered elsewhere: a
watch that is started anew goes on where the last one was. It looks at names and sizes; it reads no file and
changes nothing. What a run says of its arrivals is written by `runners.base.arrivals`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from tidemill.metadata.store import MetadataStore
from tidemill.storage.pattern import list_spans, span_sizes

ARRIVALS = "arrivals"
"""Key in the settings of a run: what arrived and started it, a list of objects."""
PATTERN, SPAN = "pattern", "span"
"""Keys in such an object, where files arrived."""
_RUNS_LOOKED_AT = 1000
_EPOCH = date(1970, 1, 1)


@dataclass(slots=True, kw_only=True)
class SpanWatch:
    """Looks for spans of one pattern that no run of a pipeline was started for. One at a time.

    Without `catch_up` only the newest of the spans that are there at first counts, and then those after it;
    with it every span from the day `start` on that no run was started for, oldest first.
    """

    pipeline: str
    pattern: str
    base: Path
    catch_up: bool = False
    start: str = ""
    _looked: tuple[int, Mapping[str, int]] | None = None
    """The span that was next at the last look, and its files."""
    _told: int | None = None
    """The span that was answered last and that no run is known for."""
    _started: set[int] = field(default_factory=set)

    def look(self, store: MetadataStore) -> int | None:
        """The next span to start a run for, or None. It is answered once, when two looks in a row found the
        same files of it with the same sizes; the one after it, when a run for it is on record.

        Errors: see `list_spans`; StoreError.
        """
        there = {span for span in list_spans(self.pattern, base=self.base) if span >= self._first()}
        if there <= self._started:
            return None
        self._started |= started_spans(store, self.pipeline, self.pattern)
        if self._told is not None and self._told not in self._started:
            return None
        wanted = self._wanted(there)
        if wanted is None:
            return None
        before, self._looked = self._looked, (wanted, span_sizes(self.pattern, wanted, base=self.base))
        if before != self._looked:
            return None
        self._told = wanted
        return wanted

    def _first(self) -> int:
        """The first span that could count."""
        return span_of(self.start) if self.start and "{YYYY}" in self.pattern else 0

    def _wanted(self, there: Collection[int]) -> int | None:
        if not self.catch_up:
            known = [*self._started, *([] if self._told is None else [self._told])]
            if not known:
                return max(there, default=None)
            there = [span for span in there if span > max(known)]
        return min((span for span in there if span not in self._started), default=None)


def started_spans(store: MetadataStore, pipeline: str, pattern: str) -> set[int]:
    """The spans of the pattern that arrived and started one of the newest runs of a pipeline."""
    found: set[int] = set()
    for run in store.get_runs(pipeline=pipeline, limit=_RUNS_LOOKED_AT):
        for arrival in run.settings.get(ARRIVALS) or ():
            if arrival.get(PATTERN) == pattern and isinstance(arrival.get(SPAN), int):
                found.add(arrival[SPAN])
    return found


def span_of(day: str) -> int:
    """The span of a date, YYYY-MM-DD: days since 1970-01-01."""
    return (date.fromisoformat(day) - _EPOCH).days


def day_of(pattern: str, span: int) -> str:
    """The day that a span of the pattern is, YYYY-MM-DD; empty for spans that are no days."""
    return (_EPOCH + timedelta(days=span)).isoformat() if "{YYYY}" in pattern else ""
