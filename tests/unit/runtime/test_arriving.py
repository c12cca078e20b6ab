"""Which spans of files start runs: each once, whole, in order, whoever watches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tidemill.errors import ResolutionError
from tidemill.metadata.model import Run, RunState
from tidemill.metadata.sql import open_store
from tidemill.metadata.store import MetadataStore
from tidemill.runtime.arriving import ARRIVALS, SpanWatch, day_of, span_of, started_spans

SPANS, DAYS = "in/{SPAN}.csv", "in/{YYYY}-{MM}-{DD}/*.csv"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MetadataStore]:
    with closing(open_store(f"sqlite:///{tmp_path}/metadata.db")) as opened:
        yield opened


class Place:
    """A folder that files arrive in, and the runs that they start."""

    def __init__(self, folder: Path, store: MetadataStore) -> None:
        self.folder, self.store = folder, store
        self.runs = 0

    def put(self, *spans: int, text: str = "x") -> None:
        for span in spans:
            (self.folder / "in").mkdir(exist_ok=True)
            (self.folder / "in" / f"{span}.csv").write_text(text)

    def watch(self, **how: Any) -> SpanWatch:
        return SpanWatch(**{"pipeline": "p", "pattern": SPANS, "base": self.folder, **how})

    def started(self, span: int, pattern: str = SPANS, pipeline: str = "p") -> None:
        self.runs += 1
        self.record([{"pattern": pattern, "span": span}], pipeline)

    def record(self, arrived: list[Mapping[str, Any]], pipeline: str = "p") -> None:
        self.store.put_pipeline_version("v", pipeline, "{}")
        run = Run(
            id=f"{pipeline}-{self.runs}", pipeline=pipeline, version="v", state=RunState.RUNNING, root="/r",
            owner="me", settings={ARRIVALS: arrived},
        )  # fmt: skip
        self.store.create_run(run, [])


@pytest.fixture
def place(tmp_path: Path, store: MetadataStore) -> Place:
    return Place(tmp_path, store)


def test_only_the_newest_of_the_first_spans_counts_and_then_each_after_it(place: Place) -> None:
    place.put(3, 5, 7)
    watch = place.watch()
    assert [watch.look(place.store) for _ in range(4)] == [None, 7, None, None], (
        "once, when it stays as it is"
    )
    place.put(8, 9)
    assert [watch.look(place.store) for _ in range(3)] == [None] * 3, "7 has no run yet"
    place.started(7)
    assert [watch.look(place.store) for _ in range(3)] == [None, 8, None]
    place.started(8)
    assert [watch.look(place.store) for _ in range(3)] == [None, 9, None]
    place.put(4)
    place.started(9)
    assert [watch.look(place.store) for _ in range(3)] == [None] * 3, "4 is late: it is for people to see to"


def test_with_catch_up_every_span_counts_oldest_first(place: Place) -> None:
    place.put(3, 5)
    watch = place.watch(catch_up=True)
    found = []
    for _ in range(6):
        if (span := watch.look(place.store)) is not None:
            found.append(span)
            place.started(span)
    assert found == [3, 5]
    place.put(4)
    assert [watch.look(place.store) for _ in range(2)] == [None, 4]


def test_a_watch_that_is_started_anew_goes_on_where_the_last_one_was(place: Place) -> None:
    place.put(3, 4)
    place.started(3)
    assert [place.watch(catch_up=up).look(place.store) for up in (True, False)] == [None, None]
    for up in (True, False):
        watch = place.watch(catch_up=up)
        assert [watch.look(place.store) for _ in range(3)] == [None, 4, None]


def test_a_span_that_still_grows_is_waited_for(place: Place) -> None:
    place.put(1)
    watch = place.watch()
    assert watch.look(place.store) is None
    place.put(1, text="xx")
    assert watch.look(place.store) is None
    assert watch.look(place.store) == 1


def test_days_before_the_start_of_the_schedule_do_not_count(place: Place) -> None:
    for day in ("2024-01-01", "2024-01-02"):
        (place.folder / "in" / day).mkdir(parents=True)
        (place.folder / "in" / day / "a.csv").touch()
    watch = place.watch(pattern=DAYS, catch_up=True, start="2024-01-02")
    assert [watch.look(place.store) for _ in range(2)] == [None, span_of("2024-01-02")]
    assert day_of(DAYS, span_of("2024-01-02")) == "2024-01-02"
    assert day_of(SPANS, 3) == ""


def test_runs_of_others_and_other_patterns_are_not_taken_for_ours(place: Place) -> None:
    place.started(1)
    place.started(2, pattern="other/{SPAN}")
    place.started(3, pipeline="q")
    place.runs += 1
    place.record([{"name": "an asset"}, {"pattern": SPANS, "span": "4"}])
    assert started_spans(place.store, "p", SPANS) == {1}


def test_nothing_there_is_no_span_and_a_pattern_without_spans_is_refused(place: Place) -> None:
    assert place.watch().look(place.store) is None
    with pytest.raises(ResolutionError, match="without spans"):
        place.watch(pattern="in/*.csv").look(place.store)
