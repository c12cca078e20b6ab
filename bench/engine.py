"""What the local engine costs, and what others cost for the same.

    python bench/engine.py [--repeats N] [--quick] [--peers] [--folder DIR] [--json]

Chains, fans and layered graphs of nodes that do nothing; many runs through one dispatcher; a restart with
a thousand nodes in flight. Figures are medians with the least and the most of all repeats. With --peers,
Dagster, Prefect and Kedro are installed into virtual environments of their own, by name only, and run the
same chain and fan; one that cannot be installed is left out, and why is said.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from engine_peers import peers
from shapes import chain, fan, layers, loop
from tidemill.ir.model import PipelineIR
from tidemill.metadata.model import ClaimRequest, NodeState, Publication, RunState
from tidemill.metadata.sql import SqlStore, open_store
from tidemill.runners.local.capacity import Capacity
from tidemill.runners.local.dispatcher import Dispatcher, Threads
from tidemill.runners.local.runner import LocalRunner
from tidemill.runners.local.scheduler import Scheduler
from tidemill.runtime.call import Isolation
from tidemill.runtime.launch import Outcome
from tidemill.runtime.plan import make_plan
from tidemill.runtime.spawner import Spawner

HERE = str(Path(__file__).parent)
Figures = dict[str, tuple[list[float], str]]
"""Name -> what was measured, and its unit."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="runs per figure (default 5)")
    parser.add_argument("--quick", action="store_true", help="small sizes only")
    parser.add_argument("--peers", action="store_true", help="others too")
    parser.add_argument("--folder", default=None, help="where stores are made (default: temporary files)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    tempfile.tempdir = options.folder
    figures: Figures = {}
    for part in (scheduling, running, many_runs, restart):
        figures |= part(options.repeats, options.quick)
        if not options.json:
            show({name: f for name, f in figures.items() if name not in _shown})
    if options.peers:
        figures |= peers(options.repeats)
        show({name: f for name, f in figures.items() if name not in _shown})
    if options.json:
        plain = {name: {"values": values, "unit": unit} for name, (values, unit) in figures.items()}
        sys.stdout.write(json.dumps(plain, indent=2) + "\n")


_shown: set[str] = set()


def show(figures: Figures) -> None:
    """Print median, least and most."""
    if not _shown:
        sys.stdout.write(f"{'':<58} {'median':>10} {'least':>10} {'most':>10}\n")
    for name, (values, unit) in figures.items():
        _shown.add(name)
        middle = statistics.median(values)
        sys.stdout.write(f"{name:<58} {middle:>10.1f} {min(values):>10.1f} {max(values):>10.1f} {unit}\n")
    sys.stdout.flush()


# --- the parts ------------------------------------------------------------------------------------


def scheduling(repeats: int, quick: bool) -> Figures:
    """Plan and schedule without a store, CPU per node: flat from 100 to 10,000 nodes."""
    found: Figures = {}
    for shape in (chain, fan, layers):
        for size in (100, 1000) if quick else (100, 2000, 10_000):
            pipeline = shape(size)
            often = max(1, 5000 // size)
            times = [_cpu(partial(_schedule, pipeline), often) / size * 1e6 for _ in range(repeats)]
            found[f"plan and schedule, {shape.__name__} of {size}"] = times, "us CPU per node"
    return found


def _schedule(pipeline: PipelineIR) -> None:
    scheduler = Scheduler(make_plan(pipeline, {}))
    capacity = Capacity(jobs=8, cpu=8.0, memory=1, gpu=0)
    running = []
    while not scheduler.over:
        while not capacity.full and (place := scheduler.take(0.0, lambda _: True)) is not None:
            capacity.take(scheduler.steps[place[0]].options.resources)
            running.append(place)
        place = running.pop(0)
        capacity.give(scheduler.steps[place[0]].options.resources)
        scheduler.ended(place, Outcome(state=NodeState.COMPLETE, node_id=place[0]))


def running(repeats: int, quick: bool) -> Figures:
    """Whole runs: in this process, and with a process for each node."""
    found: Figures = {}
    isolations: tuple[Isolation, ...] = ("none", "process")
    for isolation in isolations:
        for pipeline in (chain(10), fan(100)):
            name = f"{pipeline.name} of {len(pipeline.nodes)}, isolation {isolation}"
            found[name] = [_run(pipeline, isolation) * 1000 for _ in range(repeats)], "ms"
    for size in (100, 500) if quick else (100, 1000, 2000):
        times = [_run(layers(size), "none") / size * 1e6 for _ in range(max(1, repeats // 2))]
        found[f"layers of {size}, isolation none"] = times, "us per node"
        times = [_run(loop(size), "none") / size * 1e6 for _ in range(max(1, repeats // 2))]
        found[f"loop of {size} items, isolation none"] = times, "us per iteration"
    return found


def _run(pipeline: PipelineIR, isolation: Isolation) -> float:
    with fresh_store() as (store, folder):
        runner = LocalRunner(store=store, metadata="", root=str(folder), jobs=2, isolation=isolation)
        started = time.perf_counter()
        result = runner.run(pipeline, code_root=HERE)
        assert result.state is RunState.COMPLETE, result
        return time.perf_counter() - started


def many_runs(repeats: int, quick: bool) -> Figures:
    """Runs of five nodes through one dispatcher, a process for each node."""
    found: Figures = {}
    count = 20 if quick else 60
    times = [count / _runs_at_once(count, "process") * 60 for _ in range(max(1, repeats // 2))]
    found[f"five-step runs, isolation process ({count} at once)"] = times, "runs per minute"
    count = 50 if quick else 200
    times = [_runs_at_once(count, "none") for _ in range(max(1, repeats // 2))]
    found[f"{count} concurrent runs of five steps, isolation none"] = times, "s"
    return found


def _runs_at_once(count: int, isolation: Isolation) -> float:
    pipeline = chain(5)
    with fresh_store() as (store, folder):
        runner = LocalRunner(
            store=store, metadata="", root=str(folder), jobs=2, isolation=isolation, reuse="never"
        )
        capacity = Capacity(jobs=2 if isolation == "process" else 1, cpu=2.0, memory=1, gpu=0)
        dispatcher = Dispatcher(capacity, Threads(capacity.jobs))
        spawner = Spawner()
        started = time.perf_counter()
        for i in range(count):
            dispatcher.add(
                runner.begin(pipeline, {}, capacity, spawner, new=True, run_id=f"r{i}", code_root=HERE)
            )
        dispatcher.drive()
        spawner.close()
        states = {result.state for result in dispatcher.results.values()}
        assert states == {RunState.COMPLETE}, (states, dispatcher.errors)
        assert len(dispatcher.results) == count
        return time.perf_counter() - started


def restart(repeats: int, quick: bool) -> Figures:
    """From the command to the first claim, when a runner died with so many nodes in flight."""
    count = 100 if quick else 1000
    return {
        f"restart with {count} nodes in flight: first decision": (
            [_restart(count) for _ in range(max(1, repeats // 2))], "s",
        )
    }  # fmt: skip


class _Decided(Exception):
    """The first node is about to be executed."""


def _restart(count: int) -> float:
    pipeline = fan(count + 2)
    with fresh_store() as (store, folder):
        runner = LocalRunner(store=store, metadata="", root=str(folder), jobs=2, isolation="process")
        capacity = Capacity(jobs=2, cpu=2.0, memory=1, gpu=0)
        session = runner.begin(pipeline, {}, capacity, Spawner(), run_id="r")
        _leave(store, count, session.run.owner)
        decided: list[float] = []

        def first(_order: object, _log: object) -> None:
            decided.append(time.perf_counter())
            raise _Decided

        again = LocalRunner(
            store=store, metadata="", root=str(folder), jobs=1, isolation="none",
            perform=first,  # type: ignore[arg-type]  # it never answers
        )  # fmt: skip
        started = time.perf_counter()
        try:
            again.run(pipeline, code_root=HERE)
        except _Decided:
            return decided[0] - started
        raise AssertionError("nothing was decided")


def _leave(store: SqlStore, count: int, owner: str) -> None:
    """A run whose runner is dead: its first node is done, the others were claimed."""
    dead = owner.rsplit("/", 2)[0] + "/1/1"
    assert store.take_run("r", owner=dead, expected_owner=owner)
    for i in range(count + 1):
        claim = store.claim(ClaimRequest(run_id="r", node_id=f"n{i}", component="nothing", owner=dead))
        if i == 0:
            store.publish(claim, Publication(state=NodeState.COMPLETE))


# --- measuring ------------------------------------------------------------------------------------


@contextmanager
def fresh_store() -> Iterator[tuple[SqlStore, Path]]:
    """A store in a new folder."""
    with tempfile.TemporaryDirectory() as name:
        store = open_store(f"sqlite:///{name}/metadata.db")
        try:
            yield store, Path(name)
        finally:
            store.close()


def _cpu(action: Callable[[], None], times: int) -> float:
    before = time.process_time()
    for _ in range(times):
        action()
    return (time.process_time() - before) / times


if __name__ == "__main__":
    main()
