"""300 seeds of the simulation: kills at every crash point, duplicates, jumps of the clock, cancels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tidemill.metadata.model import NodeState
from tidemill.metadata.sql import claim
from tidemill.metadata.sql.claim import Standing
from tidemill.runners.local import session
from tidemill.runtime.crashpoint import POINTS
from tidemill.testing.fibers import Group, Killed, World
from tidemill.testing.simulation import empty_store, simulate, simulate_many

SEEDS, PARTS = 300, 4
FAILED_ONCE = (3492,)
"""Seeds that found a fault, kept so that it stays away."""


@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_is_lost_and_nothing_happens_twice(part: int) -> None:
    size = SEEDS // PARTS
    fired = simulate_many(range(part * size, (part + 1) * size))
    assert set(fired) == set(POINTS), f"never fired: {set(POINTS) - set(fired)}"


@pytest.mark.parametrize("seed", FAILED_ONCE)
def test_what_a_seed_once_found_stays_mended(seed: int, tmp_path: Path) -> None:
    simulate(seed, empty_store(tmp_path))


def test_the_same_seed_is_the_same_story(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    template = empty_store(tmp_path)
    stories = []
    for _ in range(2):
        simulate(7, template, trace=True)
        stories.append(capsys.readouterr().out)
    assert stories[0] == stories[1]
    assert "dies at" in stories[0]


def test_work_that_is_done_again_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulation can fail: the runner forgets what succeeded, and is granted claims for it (which the
    compare-and-set on the row then refuses, so that the run never ends)."""
    honest = claim.standing

    def forgetful(*given: Any) -> Standing:
        found = honest(*given)
        return replace(found, state=NodeState.FAILED) if found.state.succeeded else found

    monkeypatch.setattr(claim, "standing", forgetful)
    monkeypatch.setattr(session, "ended_before", lambda *_: {})
    with pytest.raises(AssertionError, match=r"had succeeded|does not end"):
        simulate_many(range(40))


def test_fibers_take_turns_and_die_together() -> None:
    world, told = World(), list[str]()
    one, two = Group("one"), Group("two")

    def count(group: Group, step: float) -> None:
        fiber = world.current
        assert fiber is not None
        for i in range(4):
            told.append(f"{group.name}{i}@{world.now:g}")
            fiber.wait(step)

    world.spawn(one, lambda: count(one, 1.0))
    world.spawn(two, lambda: count(two, 1.5))
    world.at(2.2, lambda: world.kill(one))
    world.run()
    assert told == ["one0@0", "two0@0", "one1@1", "two1@1.5", "one2@2", "two2@3", "two3@4.5"]


def test_what_a_fiber_raises_ends_the_world() -> None:
    world = World()

    def wrong() -> None:
        raise ValueError("wrong")

    world.spawn(Group("one"), wrong)
    with pytest.raises(ValueError, match="wrong"):
        world.run()
    assert issubclass(Killed, BaseException)
