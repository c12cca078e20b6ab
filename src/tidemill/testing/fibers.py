"""Threads that take turns under a clock that is only counted: the same seed gives the same story.

One fiber runs at a time, until it waits or ends; then the world goes on with whatever is due next. Blocking
code such as the launcher runs unchanged, and what it does between two waits is one step of the story.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable


class Killed(BaseException):
    """The process that a fiber belongs to is dead: nothing of it may happen any more."""


class Group:
    """Fibers that die together: a process."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.fibers: list[Fiber] = []


class Fiber:
    """One thread of the world."""

    def __init__(self, world: World, group: Group, work: Callable[[], None]) -> None:
        self.world = world
        self.group = group
        self.done = False
        self.token = 0
        """Grows each time it goes on, so that older reasons to wake it are void."""
        self._work = work
        self._go = threading.Semaphore(0)
        self._back = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()

    def resume(self) -> None:
        """Let it run until it waits or ends. Called by the world alone."""
        self.token += 1
        self._go.release()
        self._back.acquire()

    def wait(self, seconds: float) -> None:
        """Called by the fiber itself: others run until it is woken, or its time has come."""
        self.world.wake(self, seconds)
        self._back.release()
        self._go.acquire()
        if self.group.dead:
            raise Killed

    def _main(self) -> None:
        self._go.acquire()
        try:
            if not self.group.dead:
                self._work()
        except Killed:
            pass
        except BaseException as error:
            self.world.failure = error
        finally:
            self.done = True
            self._back.release()


class World:
    """The clock, and what is due when."""

    def __init__(self) -> None:
        self.now = 0.0
        self.current: Fiber | None = None
        self.failure: BaseException | None = None
        """What no fiber caught: a mistake of the simulation, or a broken promise."""
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something that many seconds from now."""
        self._count += 1
        heapq.heappush(self._due, (self.now + seconds, self._count, action))

    def spawn(self, group: Group, work: Callable[[], None], after: float = 0.0) -> Fiber:
        """A new fiber."""
        fiber = Fiber(self, group, work)
        group.fibers.append(fiber)
        self.wake(fiber, after)
        return fiber

    def wake(self, fiber: Fiber, seconds: float = 0.0) -> None:
        """Let a fiber go on then, unless it went on before."""
        token = fiber.token

        def go() -> None:
            if not fiber.done and fiber.token == token:
                self.current = fiber
                fiber.resume()
                self.current = None

        self.at(seconds, go)

    def kill(self, group: Group) -> None:
        """kill -9: its fibers end where they stand, without a trace."""
        group.dead = True
        for fiber in group.fibers:
            if not fiber.done and fiber is not self.current:
                self.wake(fiber)

    def run(self) -> None:
        """Until nothing is due; raises what no fiber caught."""
        while self._due and self.failure is None:
            at, _, action = heapq.heappop(self._due)
            self.now = max(self.now, at)
            action()
        if self.failure is not None:
            raise self.failure
