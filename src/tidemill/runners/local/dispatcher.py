"""The dispatcher: slots of one machine, handed to the sessions of any number of runs.

One thread decides; workers launch. Time and workers are given to it, so that a simulation can drive it.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from tidemill.runners.local.capacity import Capacity
from tidemill.runners.local.scheduler import Place
from tidemill.runners.local.session import RunResult, Session
from tidemill.runtime.call import NodeCall
from tidemill.runtime.launch import Outcome
from tidemill.runtime.plan import Step

CHECK_SECONDS = 0.5
"""How often sessions look whether they shall end early, when nothing else happens."""

News = tuple[Session, Place, Outcome | BaseException]


class Workers(Protocol):
    """Where launches happen, and the clock they happen by."""

    def now(self) -> float:
        """Seconds on a clock that never goes back."""

    def start(self, session: Session, place: Place) -> None:
        """Launch a place some time from now on; how it ended will be news."""

    def news(self, timeout: float) -> News | None:
        """What ended, after at most `timeout` seconds; None when nothing did. May raise KeyboardInterrupt."""

    def close(self) -> None:
        """Wait for what was started."""


class Dispatcher:
    """Drives sessions to their ends."""

    def __init__(self, capacity: Capacity, workers: Workers) -> None:
        self.capacity = capacity
        self.workers = workers
        self.sessions: list[Session] = []
        self.results: dict[str, RunResult] = {}
        """By id of the run."""
        self.errors: dict[str, BaseException] = {}
        """What ended a run from outside, such as a store that failed; also by id."""

    def add(self, session: Session) -> None:
        """One more run; those that were added first come first."""
        self.sessions.append(session)

    def drive(self) -> None:
        """Until all sessions are over."""
        try:
            while self.sessions:
                self.step()
        except BaseException:
            for session in self.sessions:
                session.stop()
            raise
        finally:
            self.workers.close()

    def step(self) -> None:
        """Start what can start, end what is over, and wait for one piece of news."""
        for session in self.sessions:
            session.check_cancel()
        self._start()
        over = [session for session in self.sessions if session.over]
        for session in over:
            self._finish(session)
        if over:
            return
        try:
            news = self.workers.news(self._patience())
        except KeyboardInterrupt:
            for session in self.sessions:
                (session.exit_token if session.cancel_token.canceled else session.cancel_token).cancel()
            return
        if news is not None:
            self._settle(*news)

    def _finish(self, session: Session) -> None:
        self.sessions.remove(session)
        try:
            if session.error is not None:
                raise session.error
            self.results[session.run.id] = session.finish()
        except Exception as error:
            self.errors[session.run.id] = error

    def _start(self) -> None:
        now = self.workers.now()
        for session in self.sessions:
            session.note_ready()
            # Who is full does not ask: looking for a node that fits costs more than all else here.
            while not self.capacity.full and session.error is None:
                place = session.scheduler.take(now, self._fits)
                if place is None:
                    break
                self.capacity.take(session.scheduler.steps[place[0]].options.resources)
                self.workers.start(session, place)

    def _fits(self, step: Step) -> bool:
        return self.capacity.fits(step.options.resources)

    def _settle(self, session: Session, place: Place, ended: Outcome | BaseException) -> None:
        self.capacity.give(session.scheduler.steps[place[0]].options.resources)
        if isinstance(ended, BaseException):
            session.stop(ended)
            session.scheduler.running.discard(place)
            return
        session.settle(place, ended, self.workers.now())

    def _patience(self) -> float:
        """Seconds until something happens by itself. On a full machine, and in a session that is being
        ended, nothing does, whatever is due."""
        waiting = [] if self.capacity.full else [s for s in self.sessions if s.error is None]
        wakes = [at for session in waiting if (at := session.scheduler.wake_at()) is not None]
        due = min(wakes) - self.workers.now() if wakes else CHECK_SECONDS
        return max(0.0, min(due, CHECK_SECONDS))


class Threads:
    """Workers that are threads of this process."""

    def __init__(self, jobs: int) -> None:
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="launch")
        self._news: queue.SimpleQueue[News] = queue.SimpleQueue()

    def now(self) -> float:
        """The monotonic clock: changes of the wall clock move nothing."""
        return time.monotonic()

    def start(self, session: Session, place: Place) -> None:
        """On a thread."""
        self._pool.submit(self._launch, session, place, session.call(place))

    def _launch(self, session: Session, place: Place, call: NodeCall) -> None:
        self._news.put((session, place, attempted(session, place, call)))

    def news(self, timeout: float) -> News | None:
        """What a thread left."""
        try:
            return self._news.get(timeout=timeout)
        except queue.Empty:
            return None

    def close(self) -> None:
        """Wait for the threads."""
        self._pool.shutdown()


class Here:
    """No workers: each launch happens at once, in this very thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._news: list[News] = []

    def now(self) -> float:
        """The monotonic clock."""
        return self._clock()

    def start(self, session: Session, place: Place) -> None:
        """Now."""
        self._news.append((session, place, attempted(session, place, session.call(place))))

    def news(self, timeout: float) -> News | None:
        """The oldest."""
        if self._news:
            return self._news.pop(0)
        time.sleep(timeout)
        return None

    def close(self) -> None:
        """Nothing to wait for."""


def attempted(session: Session, place: Place, call: NodeCall) -> Outcome | BaseException:
    """One attempt; what it raises is an answer too."""
    try:
        return session.launch(place, call)
    except BaseException as error:
        return error
