"""Executors of a family fork from a helper that has their libraries: loaded once, whole in every child."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidemill.runners.local.driver import LIBRARIES, STANDARD
from tidemill.runtime.limits import Limits
from tidemill.runtime.order import Answer
from tidemill.runtime.spawner import Spawner

EXECUTORS = """
    import sys, threading

    def loaded():
        print(*sorted({"numpy", "polars", "pyarrow", "math"} & set(sys.modules)), "math" in sys.modules)

    def works():
        import numpy, polars, pyarrow, pyarrow.compute, pyarrow.parquet
        numbers = numpy.random.default_rng(0).random((300, 300))
        assert numpy.allclose(numbers @ numpy.linalg.inv(numbers), numpy.eye(300))
        frame = polars.DataFrame({"a": numpy.arange(200_000) % 7, "b": numpy.arange(200_000)})
        sums = frame.group_by("a").agg(polars.col("b").sum()).sort("a")["b"].to_list()
        assert sum(sums) == 199_999 * 100_000, sums
        assert frame.lazy().filter(polars.col("b") > 5).collect(engine="streaming").height == 199_994
        table = pyarrow.table({"x": numbers[0]})
        pyarrow.parquet.write_table(table, "x.parquet")
        assert pyarrow.parquet.read_table("x.parquet").equals(table)
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(frame["b"].sort().sum())) for _ in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert len(set(answers)) == 1
        print("all of it works")
"""


@pytest.fixture(scope="module")
def family() -> Iterator[Spawner]:
    made = Spawner(family="executors_", libraries=("no_such_library", *LIBRARIES))
    yield made
    made.close()


def test_who_forks_from_which() -> None:
    plain = Spawner()
    assert plain.of(f"{STANDARD}example_gen.executor:run") is plain
    made = Spawner(("json",), family=STANDARD, libraries=LIBRARIES)
    heavy = made.of(f"{STANDARD}example_gen.executor:run")
    assert heavy is not made
    assert heavy.preload == ("json", *LIBRARIES)
    assert made.of("mine:run") is made
    assert heavy.of(f"{STANDARD}example_gen.executor:run") is heavy
    made.close()


def test_libraries_are_there_for_the_family_only(bench, family: Spawner) -> None:
    bench.write(EXECUTORS)
    assert isinstance(bench.run("loaded"), Answer)
    assert bench.log.read_text().split() == ["math", "True"]
    bench.log.unlink()
    heavy = dataclasses.replace(bench, spawner=family.of(f"{bench.module}:loaded"))
    assert isinstance(heavy.run("loaded"), Answer)
    assert bench.log.read_text().split() == ["math", "numpy", "polars", "pyarrow", "True"]


def test_what_was_loaded_before_the_fork_works_after_it(bench, family: Spawner, tmp_path: Path) -> None:
    """Ten at once and after each other: numpy's threads, polars' pool, Arrow's, each begun in the child."""
    from concurrent.futures import ThreadPoolExecutor

    def one(number: int) -> str:
        folder = tmp_path / f"bench{number}"
        folder.mkdir()
        mine = type(bench)(folder, family.of("executors_"))
        mine.write(EXECUTORS)
        answer = mine.run("works", Limits(run=120))
        assert isinstance(answer, Answer), answer
        return mine.log.read_text()

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(one, range(10))) == {"all of it works\n"}
