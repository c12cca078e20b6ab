"""Turns of writers at one SQLite file: order, and that nobody depends on anybody's good behaviour."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tidemill.metadata.sql import open_store, turns
from tidemill.metadata.sql.sqlite import driver
from tidemill.metadata.sql.turns import Turns, turns_of

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def line(tmp_path: Path) -> Turns:
    path = tmp_path / "metadata.db"
    path.touch()
    return turns_of(path)


@pytest.fixture
def holder(line: Turns, tmp_path: Path) -> Iterator[Any]:
    """Another process that has the turn."""
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=hold, args=(tmp_path / "metadata.db", theirs))
    process.start()
    assert ours.recv() == "held"
    yield process, ours
    process.kill()
    process.join()


def hold(path: Path, pipe: Any) -> None:
    with turns_of(path).turn():
        pipe.send("held")
        pipe.recv()
    pipe.send("left")


def test_threads_come_in_the_order_they_asked(line: Turns) -> None:
    order: list[int] = []

    def write(number: int) -> None:
        with line.turn():
            order.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    with line.turn():
        for waiting, thread in enumerate(threads, 1):
            thread.start()
            while len(line._waiting) < waiting:
                thread.join(0.001)
    for thread in threads:
        thread.join()
    assert order == list(range(8))


def test_a_process_waits_for_another(line: Turns, holder: Any) -> None:
    process, pipe = holder
    entered = threading.Event()

    def write() -> None:
        with line.turn():
            entered.set()

    thread = threading.Thread(target=write)
    thread.start()
    assert not entered.wait(0.1)
    pipe.send("leave")
    assert entered.wait(10)
    thread.join()
    assert pipe.recv() == "left"
    process.join()


def test_a_killed_process_leaves_the_line(line: Turns, holder: Any) -> None:
    os.kill(holder[0].pid, signal.SIGKILL)
    began = time.monotonic()
    with line.turn():
        pass
    assert time.monotonic() - began < turns.PATIENCE_SECONDS
    assert line._alone_until == 0


def test_a_stopped_process_holds_nobody_up_for_long(
    line: Turns, holder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "PATIENCE_SECONDS", 0.05)
    os.kill(holder[0].pid, signal.SIGSTOP)
    with line.turn():
        pass
    assert line._alone_until > time.monotonic()
    monkeypatch.setattr(turns, "PATIENCE_SECONDS", 60.0)
    with line.turn():  # no second wait
        pass


def test_a_thread_that_keeps_its_turn_holds_nobody_up_for_long(
    line: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "PATIENCE_SECONDS", 0.05)
    entered: list[bool] = []

    def write() -> None:
        with line.turn():
            entered.append(True)

    with line.turn():
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
        assert entered
    with line.turn():  # it is nobody's again
        pass


def test_a_file_that_cannot_be_had_is_done_without(line: Turns, tmp_path: Path) -> None:
    (tmp_path / f"metadata.db{turns.SUFFIX}").mkdir()
    for _ in range(2):
        with line.turn():
            pass


def test_readers_need_no_turn_and_no_file(tmp_path: Path) -> None:
    path = tmp_path / "metadata.db"
    open_store(str(path)).close()
    (tmp_path / f"metadata.db{turns.SUFFIX}").unlink()
    store = open_store(str(path), read_only=True)
    with turns_of(path).turn():
        store.get_runs()
    store.close()


def test_who_knows_no_turns_is_kept_apart_by_sqlite(tmp_path: Path) -> None:
    """ML Metadata, for one. Its lock is waited for while the turn is ours."""
    path = tmp_path / "metadata.db"
    store = open_store(str(path))
    # With the store's own library: two of them in one process do not see each other's locks on a file.
    other = driver().connect(str(path), isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    thread = threading.Thread(target=store.put_pipeline_version, args=("v", "p", "{}"))
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    other.execute("COMMIT")
    thread.join()
    assert store.get_pipeline_version("v") == "{}"
    other.close()
    store.close()


def test_the_line_of_a_process_is_one_and_its_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "metadata.db"
    path.touch()
    line = turns_of(path)
    assert turns_of(path) is line
    with line.turn():
        file = line._file
    os.fstat(file)
    del line
    with pytest.raises(OSError):
        os.fstat(file)
