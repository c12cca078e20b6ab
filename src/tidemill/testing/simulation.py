"""A deterministic simulation of the local runner: real scheduler, dispatcher, launcher and store.

    python -m tidemill.testing.simulation --seeds 300 [--first N] [--trace]

Simulated are the clock, the threads, the processes that execute nodes, and death: of a runner at every
named point, of node processes, of runners that were taken for dead and come back. A seed decides all of
it. Whatever happens, the record must be sound, nothing that ended may run again, and the lineage must be
that of a run to which nothing happened.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import sys
import tempfile
import types
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from tidemill.errors import FencedError, RunnerError, StoreError
from tidemill.ir import model as ir
from tidemill.metadata.model import RunState
from tidemill.metadata.sql import database, open_store, transaction
from tidemill.runners.local import session
from tidemill.runners.local.capacity import Capacity
from tidemill.runners.local.dispatcher import Dispatcher, News, attempted
from tidemill.runners.local.runner import LocalRunner
from tidemill.runners.local.scheduler import Place
from tidemill.runners.local.session import Session
from tidemill.runtime import child, crashpoint, owner, terms
from tidemill.runtime.crashpoint import POINTS
from tidemill.runtime.execute import CancelToken
from tidemill.runtime.failure import Failure, FailureKind
from tidemill.runtime.order import Answer, Order
from tidemill.runtime.spawner import Spawner
from tidemill.testing.fibers import Fiber, Group, Killed, World
from tidemill.testing.simulated_pipelines import PipelineMaker
from tidemill.testing.simulation_checks import check, lineage

IN_NODE = tuple(point for point in POINTS if point.startswith("child."))
MEMORY = Path("/dev/shm")
RUN = "simulated-1"
MOST_RUNNERS = 15
"""A run that does not end although so many runners went on with it will never end."""


class NodeDied(KeyboardInterrupt):
    """The process of a node is dead. Of this base, because that is what executors' errors pass on."""


@dataclass
class Process(Group):
    """A runner's process."""

    name: str
    presumed_dead: bool = False
    """Others think that it died, but it comes back."""
    cancel: CancelToken = field(default_factory=CancelToken)
    ended: str = ""

    def __post_init__(self) -> None:
        super().__init__(self.name)


class SimulatedWorkers:
    """Workers of one dispatcher, whose threads are fibers."""

    def __init__(self, simulation: Simulation, process: Process) -> None:
        self.simulation = simulation
        self.process = process
        self.queue: list[News] = []
        self.waiting: Fiber | None = None

    def now(self) -> float:
        """The counted clock."""
        return self.simulation.world.now

    def start(self, session: Session, place: Place) -> None:
        """Soon, on a fiber of its own."""
        call = session.call(place)

        def work() -> None:
            outcome = attempted(session, place, call)
            if self.process.dead:
                raise Killed
            self.queue.append((session, place, outcome))
            if self.waiting is not None:
                self.simulation.world.wake(self.waiting)

        self.simulation.world.spawn(self.process, work, after=self.simulation.luck.random() * 0.1)

    def news(self, timeout: float) -> News | None:
        """The oldest; others go on meanwhile."""
        if not self.queue:
            self.waiting = self.simulation.world.current
            assert self.waiting is not None
            self.waiting.wait(timeout)
            self.waiting = None
        return self.queue.pop(0) if self.queue else None

    def close(self) -> None:
        """Threads of a process that ended are gone."""


class Simulation:
    """One seed."""

    def __init__(self, seed: int, folder: Path, *, disturbed: bool, trace: bool = False) -> None:
        self.seed = seed
        self.folder = folder
        self.url = f"sqlite:///{folder / 'metadata.db'}"
        self.luck = random.Random(f"{'events' if disturbed else 'quiet'} {seed}")
        self.trace = trace
        self.world = World()
        self.pipeline: ir.PipelineIR = PipelineMaker(seed).make()
        self.processes: list[Process] = []
        self.fired: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        """How often an order failed that must fail some times before it succeeds."""
        self.performed: Counter[str] = Counter()
        """How often an order was performed to its end, by the folder of its execution."""
        self.jump = 0.0
        """What the wall clock is wrong by."""
        self.canceled = False
        self.kills: list[tuple[str, int]] = []
        if disturbed:
            self._plan_disturbances()

    def _plan_disturbances(self) -> None:
        first = POINTS[self.seed % len(POINTS)]
        points = [first, *self.luck.choices(POINTS, k=self.luck.choice([0, 1, 2]))]
        self.kills = [(point, self.luck.choice([1, 1, 2, 3])) for point in points]
        self.kills[0] = (first, 1)
        for _ in range(self.luck.choice([0, 0, 1, 2])):
            self.world.at(self.luck.uniform(0, 20), self._start_again)
        if self.luck.random() < 0.15:
            self.world.at(self.luck.uniform(0, 15), self._presume_dead)
        if self.luck.random() < 0.15:
            self.world.at(self.luck.uniform(0, 15), self._cancel)
        for _ in range(self.luck.choice([0, 1, 3])):
            self.world.at(self.luck.uniform(0, 20), self._jump)

    # --- disturbances -------------------------------------------------------------------------------

    def _jump(self) -> None:
        self.jump += self.luck.choice([-86400.0, -3600.0, 3600.0, 86400.0])
        self.tell(f"the wall clock jumps to {self.jump:+g} s")

    def _cancel(self) -> None:
        for process in self.processes:
            if not process.dead and not process.ended:
                self.canceled = True
                process.cancel.cancel()
                self.tell(f"{process.name} is canceled")

    def _presume_dead(self) -> None:
        """As if a machine had been suspended: another runner takes over, and the old one comes back."""
        for process in self.processes:
            if not process.dead and not process.ended:
                process.presumed_dead = True
                self.tell(f"{process.name} is taken for dead")
        self._start_again()

    def _start_again(self) -> None:
        store = open_store(self.url)
        run = store.get_run(RUN)
        store.close()
        if run is None or run.state is RunState.RUNNING:
            self.start()

    def reach(self, point: str) -> None:
        """A crash point: the place to die, or to let others go first."""
        fiber = self.world.current
        assert fiber is not None
        if self.kills and self.kills[0][0] == point:
            nth = self.kills[0][1]
            if nth == 1:
                self.kills.pop(0)
                self.fired[point] += 1
                self._die(point, fiber)
            else:
                self.kills[0] = (point, nth - 1)
        if point not in IN_NODE and self.luck.random() < 0.5:
            fiber.wait(self.luck.random() * 0.05)

    def _die(self, point: str, fiber: Fiber) -> None:
        if point in IN_NODE:
            self.tell(f"a node's process dies at {point}")
            raise NodeDied
        self.tell(f"{fiber.group.name} dies at {point}")
        self.world.kill(fiber.group)
        self.world.at(self.luck.uniform(0, 5), self._start_again)
        raise Killed

    # --- what is simulated --------------------------------------------------------------------------

    def perform(self, order: Order, log: Path) -> Answer | Failure:
        """In place of a process: the real executor, some time, and perhaps a failure."""
        del log
        fiber = self.world.current
        assert fiber is not None
        key = f"{order.executor} {sorted(order.parameters.items())}"
        fate = random.Random(f"{self.seed} {key}").random()
        if fate < 0.08:
            return Failure(kind=FailureKind.VALIDATION, message="never")
        if fate < 0.25 and self.failures[key] < 1:
            self.failures[key] += 1
            return Failure(kind=FailureKind.EXCEPTION, message="not yet")
        try:
            crashpoint.reach("child.started")
            answer = child.perform(order)
        except NodeDied:
            return Failure(kind=FailureKind.KILLED, message="the process was killed by SIGKILL")
        fiber.wait(self.luck.expovariate(0.7))
        (output,) = order.outputs.values()
        self.performed[str(Path(output.artifact.uri).parent)] += 1
        return answer

    def start(self) -> None:
        """One more runner, as if the same command was given again."""
        assert len(self.processes) < MOST_RUNNERS, "the run does not end"
        process = Process(f"runner{len(self.processes) + 1}")
        self.processes.append(process)
        self.tell(f"{process.name} starts")
        self.world.spawn(process, lambda: self._drive(process))

    def _drive(self, process: Process) -> None:
        store = open_store(self.url)
        try:
            runner = LocalRunner(
                store=store, metadata=self.url, root=str(self.folder), cancel=process.cancel,
                perform=self.perform,
            )  # fmt: skip
            capacity = Capacity(jobs=3, cpu=2.0, memory=1, gpu=0)
            workers = SimulatedWorkers(self, process)
            driven = runner.begin(self.pipeline, {}, capacity, Spawner(), run_id=RUN, now=workers.now())
            dispatcher = Dispatcher(capacity, workers)
            dispatcher.add(driven)
            dispatcher.drive()
            for error in dispatcher.errors.values():
                raise error
            process.ended = dispatcher.results[driven.run.id].state.value
        except (RunnerError, StoreError) as error:
            # Another runner does the work, or did it, perhaps to the end of the run.
            fenced = isinstance(error, (RunnerError, FencedError))
            if not fenced and "there is a run" not in error.message:
                raise
            process.ended = str(error).split("\n", 1)[0]
        finally:
            store.close()
        self.tell(f"{process.name} ended: {process.ended}")

    def run(self) -> None:
        """To the end of the run."""
        with self._simulated():
            self.start()
            self.world.run()
            while self._unfinished():
                self.start()
                self.world.run()

    def _unfinished(self) -> bool:
        store = open_store(self.url)
        run = store.get_run(RUN)
        store.close()
        return run is None or run.state is RunState.RUNNING

    @contextlib.contextmanager
    def _simulated(self) -> Iterator[None]:
        """Owners, clocks and luck are this simulation's."""
        names = {process.name: process for process in self.processes}

        def myself() -> str:
            assert self.world.current is not None
            return self.world.current.group.name

        def is_alive(name: str) -> bool:
            names.update((p.name, p) for p in self.processes)
            process = names[name]
            return not (process.dead or process.ended or process.presumed_dead)

        base = 1_700_000_000.0
        clock = types.SimpleNamespace(
            time=lambda: base + self.world.now + self.jump, monotonic=lambda: self.world.now,
            perf_counter=lambda: self.world.now, sleep=_no_sleep,
        )  # fmt: skip
        state = random.getstate()
        random.seed(self.seed)
        try:
            with (
                mock.patch.object(owner, "myself", myself),
                mock.patch.object(owner, "is_alive", is_alive),
                mock.patch.object(database, "time", clock),
                mock.patch.object(transaction, "time", clock),
                mock.patch.object(session, "time", clock),
                mock.patch.object(terms, "time", clock),
                mock.patch.object(terms, "_RNG", random.Random(self.seed)),
                mock.patch.object(crashpoint, "hook", self.reach),
            ):
                yield
        finally:
            random.setstate(state)

    def tell(self, what: str) -> None:
        """For whoever replays a seed."""
        if self.trace:
            sys.stdout.write(f"{self.world.now:9.3f}  {what}\n")


def _no_sleep(seconds: float) -> None:
    raise AssertionError(f"a simulated process slept for {seconds} s")


def simulate(seed: int, template: Path, *, trace: bool = False) -> Counter[str]:
    """Run a seed twice, disturbed and not; which crash points fired. AssertionError when a promise broke."""
    lineages = []
    fired: Counter[str] = Counter()
    for disturbed in (False, True):
        with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
            folder = Path(name)
            shutil.copy(template, folder / "metadata.db")
            simulation = Simulation(seed, folder, disturbed=disturbed, trace=trace and disturbed)
            simulation.run()
            store = open_store(simulation.url)
            try:
                check(store, simulation.pipeline, simulation.performed)
                lineages.append(lineage(store, RUN))
            finally:
                store.close()
            fired = simulation.fired
    if not simulation.canceled:
        quiet, disturbed_lineage = lineages
        assert disturbed_lineage == quiet, f"another lineage:\n{disturbed_lineage}\ninstead of\n{quiet}"
    return fired


def empty_store(folder: Path) -> Path:
    """A store to copy: making one costs more than a seed."""
    path = folder / "template.db"
    open_store(f"sqlite:///{path}").close()
    return path


def simulate_many(seeds: range, *, trace: bool = False) -> Counter[str]:
    """All crash points that fired; AssertionError says how to replay the seed that failed."""
    fired: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
        template = empty_store(Path(name))
        for seed in seeds:
            try:
                fired += simulate(seed, template, trace=trace)
            except BaseException as error:
                error.add_note(f"replay: python -m {__spec__.name} --first {seed} --seeds 1 --trace")
                raise
    return fired


def main() -> None:
    """Simulate on all cores; print what fired."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=300, help="how many (default 300)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--trace", action="store_true", help="tell what happens, on one core")
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds)
    fired = simulate_many(seeds, trace=options.trace) if options.trace else _on_all_cores(seeds)
    sys.stdout.write(f"{len(seeds)} seeds: every promise kept\n")
    for point in POINTS:
        sys.stdout.write(f"  {point:<20} fired {fired[point]} times\n")


def _on_all_cores(seeds: range) -> Counter[str]:
    import multiprocessing
    import os

    parts = [seeds[i : i + 25] for i in range(0, len(seeds), 25)]
    total: Counter[str] = Counter()
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        for done, fired in enumerate(pool.imap_unordered(simulate_many, parts), 1):
            total += fired
            if done % 40 == 0:
                sys.stdout.write(f"{done * 25} seeds\n")
                sys.stdout.flush()
    return total


if __name__ == "__main__":
    main()
