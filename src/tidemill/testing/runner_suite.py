"""What every runner must do, as tests. Subclass `RunnerSuite` and say how a pipeline is run:

    class TestMyRunner(RunnerSuite):
        def run(self, order: RunOrder) -> str: ...

Everything else is read from the store. There is one golden lineage per scenario, not per runner; what a
runner cannot do, or not yet, stands in `differences` with a reason. A difference that is gone fails.
"""

from __future__ import annotations

import difflib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

from tidemill.metadata.sql import SqlStore, open_store
from tidemill.testing.lineage_golden import Record, graph_of, record_of, runs_of
from tidemill.testing.scenario_list import SCENARIOS, Scenario, Start


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOrder:
    """Run a pipeline to its end."""

    file: Path
    parameters: Mapping[str, Any]
    date: str
    root: Path
    """Pipeline root."""
    metadata: str
    """URL of the metadata store."""
    workdir: Path
    only: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    """The part to run, on the newest run that has the results of the rest; see `Start`."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a runner does not do as the others.

    `notimpl`: it could, and nobody wrote it. `notyet`: the engine below cannot, and may one day. `never`:
    it makes no sense there.
    """

    kind: Literal["notimpl", "notyet", "never"]
    reason: str


class RunnerSuite:
    """All scenarios, against one runner."""

    differences: ClassVar[Mapping[str, Difference]] = {}
    """By name of the scenario."""
    writes_goldens: ClassVar[bool] = False
    """Whether this runner's lineages become the goldens when pytest is given --update-goldens."""

    def run(self, order: RunOrder) -> str:
        """Run a pipeline to its end; the state in which it ended. To be given by the subclass."""
        raise NotImplementedError("subclass RunnerSuite and define run")

    def foreign_record(self, metadata: str) -> Record | None:
        """What another client reads in the same store; None where there is none."""
        del metadata
        return None

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """An empty folder for record, root and files of one scenario."""
        return tmp_path

    @pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
    def test_scenario(self, scenario: Scenario, folder: Path, request: pytest.FixtureRequest) -> None:
        """Each start ends as it must, and the record then is the golden lineage."""
        update = self.writes_goldens and bool(request.config.getoption("--update-goldens", default=False))
        difference = self.differences.get(scenario.name)
        try:
            self._check(scenario, folder, update=update)
        except (Exception, pytest.fail.Exception) as error:
            if difference is None:
                raise
            pytest.xfail(f"{difference.kind}: {difference.reason} ({type(error).__name__})")
        if difference is not None:
            pytest.fail(f"{scenario.name} works; it is declared {difference.kind}: {difference.reason}")

    def _check(self, scenario: Scenario, folder: Path, *, update: bool) -> None:
        place = folder / "place"
        place.mkdir()
        metadata = f"sqlite:///{folder / 'metadata.db'}"
        for number, start in enumerate(scenario.starts, 1):
            if start.prepare is not None:
                start.prepare(place)
            order = RunOrder(
                file=scenario.file, parameters=start.given(place), date=start.date, root=folder / "root",
                metadata=metadata, workdir=folder, only=start.only, first=start.first, last=start.last,
            )  # fmt: skip
            with _meanwhile(start, metadata):
                state = self.run(order)
            assert state == start.state, f"start {number} of {scenario.name} ended {state}"
        store = open_store(metadata, read_only=True)
        try:
            found = self._lineage(store, {str(place): "FOLDER", str(folder): "WORKDIR"})
            assert store.findings() == []
            self._compare_foreign(store, metadata, found, {str(place): "FOLDER", str(folder): "WORKDIR"})
        finally:
            store.close()
        text = json.dumps(found, indent=1, ensure_ascii=False, sort_keys=False) + "\n"
        if update:
            scenario.golden.write_text(text, encoding="utf-8")
        assert scenario.golden.is_file(), f"{scenario.golden} is missing; `make goldens` writes it"
        wanted = scenario.golden.read_text(encoding="utf-8")
        if found != json.loads(wanted):
            lines = difflib.unified_diff(wanted.splitlines(), text.splitlines(), "golden", "found", n=3)
            pytest.fail(f"the lineage of {scenario.name} is another one:\n" + "\n".join(lines))

    def _lineage(self, store: SqlStore, places: Mapping[str, str]) -> dict[str, Any]:
        graph = graph_of(record_of(store), _run_ids(store), places)
        found: dict[str, Any] = json.loads(json.dumps({"runs": runs_of(store, places), "graph": graph}))
        return found

    def _compare_foreign(
        self, store: SqlStore, metadata: str, found: Mapping[str, Any], places: Mapping[str, str]
    ) -> None:
        record = self.foreign_record(metadata)
        if record is not None:
            theirs = graph_of(record, _run_ids(store), places)
            assert json.loads(json.dumps(theirs)) == found["graph"]


@contextmanager
def _meanwhile(start: Start, metadata: str) -> Iterator[None]:
    """Does what is to be done while the newest run of the store is under way."""
    act = start.meanwhile
    if act is None:
        yield
        return
    over, errors = threading.Event(), []

    def watch() -> None:
        try:
            with closing(open_store(metadata)) as store:
                while not over.wait(0.02):
                    newest = store.get_runs(limit=1)
                    if newest and not newest[0].state.ended and act(store, newest[0]):
                        return
        except Exception as error:
            errors.append(error)

    watcher = threading.Thread(target=watch, name="meanwhile")
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    assert errors == []


def _run_ids(store: SqlStore) -> list[str]:
    return [run.id for run in reversed(store.get_runs(limit=1000))]
