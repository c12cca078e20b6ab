"""The mirror stays small: what was not used for longest goes, what a living process holds never does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest

from tidemill.errors import StorageError
from tidemill.storage import eviction, holds, manifest, mirror

SIZE = 1000


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This machine's mirror."""
    folder = tmp_path / "mirror"
    monkeypatch.setenv(holds.FOLDER, str(folder))
    monkeypatch.setenv(eviction.LIMIT, "none")
    return folder


@pytest.fixture
def bucket(here: Path) -> Iterator[str]:
    """A root in a store of this process."""
    name = f"memory://{uuid.uuid4().hex}"
    yield f"{name}/root"
    if fsspec.filesystem("memory").exists(name):
        fsspec.filesystem("memory").rm(name, recursive=True)


def make(bucket: str, number: int, age: int = 0) -> str:
    """An artifact of SIZE bytes, made, kept, and last used `age` seconds ago."""
    uri = f"{bucket}/line/run/model/{number}/out"
    with holds.using():
        mirror.making(uri.removesuffix("/out"))
        folder = mirror.place(uri)
        folder.mkdir(parents=True)
        (folder / "weights").write_bytes(bytes([number]) * SIZE)
        manifest.seal(folder)
        mirror.keep(uri)
    now = (folder / manifest.NAME).stat().st_mtime
    os.utime(folder / manifest.NAME, (now - age, now - age))
    return uri


def there(uris: list[str]) -> list[bool]:
    """Which of them the mirror has."""
    return [mirror.place(uri).exists() for uri in uris]


def test_what_was_not_used_for_longest_goes_first(bucket: str) -> None:
    made = [make(bucket, number, age=100 - number) for number in range(5)]
    with holds.using():
        mirror.fetched(made[0])  # of use again
    assert eviction.clear(3 * SIZE) == 2 * SIZE
    assert there(made) == [True, False, False, True, True]
    assert eviction.usage().size == 3 * SIZE
    with holds.using():
        assert (mirror.fetched(made[1]) / "weights").read_bytes() == b"\1" * SIZE, "it is fetched again"


def test_what_is_held_stays_whatever_the_limit(bucket: str) -> None:
    made = [make(bucket, number) for number in range(3)]
    with holds.using():
        mirror.fetched(made[1])
        assert eviction.usage().held == SIZE
        eviction.clear()
        assert there(made) == [False, True, False]
    eviction.clear()
    assert there(made) == [False, False, False]
    assert not [p for p in holds.folder().iterdir() if not p.name.startswith(".")], (
        "no empty folders are left"
    )


def test_the_limit_is_kept_as_it_grows(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(eviction.LIMIT, str(5 * SIZE))
    for number in range(30):
        make(bucket, number)
        assert eviction.usage().size <= 5 * SIZE
    assert eviction.usage().size >= 4 * SIZE, "no more goes than has to"


def test_what_a_dead_process_held_and_began_goes(bucket: str, here: Path) -> None:
    made = make(bucket, 1)
    program = """
import sys, time
from tidemill.storage import holds, mirror
hold = holds.using(); hold.__enter__()
mirror.hold(sys.argv[1])
half = mirror.making(sys.argv[2]) / "out"
half.mkdir(parents=True); (half / "half").write_bytes(b"x" * 10)
print("held", flush=True); time.sleep(60)
"""
    attempt = f"{bucket}/line/run/model/2"
    process = subprocess.Popen([sys.executable, "-c", program, made, attempt], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    eviction.clear()
    assert mirror.place(made).exists()
    assert (mirror.place(attempt) / "out" / "half").exists()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert eviction.clear() == SIZE + 10
    assert not mirror.place(made).exists()
    assert not mirror.place(attempt).exists()
    assert list((here / holds.HOLDS).iterdir()) == []


def test_a_failed_attempt_leaves_nothing_for_long(bucket: str) -> None:
    attempt = f"{bucket}/line/run/model/2"
    with holds.using():
        half = mirror.making(attempt) / "out"
        half.mkdir(parents=True)
        (half / "half").write_bytes(b"x" * 10)
        eviction.clear()
        assert half.exists()
    assert eviction.clear() == 10
    assert not half.exists()


def test_logs_go_too_and_environments_stay(bucket: str) -> None:
    log = mirror.place(f"{bucket}/logs/run/node.0.1.log")
    log.parent.mkdir(parents=True)
    log.write_bytes(b"x" * 7)
    environment = mirror.place(f"{bucket}/environments/abc")
    environment.mkdir(parents=True)
    (environment / "pyvenv.cfg").write_text("home")
    with holds.using():
        mirror.hold(f"{bucket}/logs/run/node.0.1.log")
        assert eviction.clear() == 0
    assert eviction.clear() == 7
    assert (environment / "pyvenv.cfg").exists()


def test_a_forked_child_takes_no_hold_with_it(bucket: str) -> None:
    made = make(bucket, 1)
    ready, go = os.pipe(), os.pipe()
    with holds.using():
        mirror.fetched(made)
        child = os.fork()
        if child == 0:
            os.write(ready[1], b"x")
            os.read(go[0], 1)
            os._exit(0)
        os.read(ready[0], 1)
    try:
        assert eviction.clear() == SIZE
    finally:
        os.write(go[1], b"x")
        os.waitpid(child, 0)
        for descriptor in (*ready, *go):
            os.close(descriptor)


def test_many_read_while_everything_unheld_goes(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers of the same artifacts, with room for two of them, and somebody who clears all the time."""
    made = [make(f"local://{tmp_path}/bucket", number) for number in range(6)]
    monkeypatch.setenv(eviction.LIMIT, str(2 * SIZE))
    over = threading.Event()

    def sweep() -> int:
        freed = 0
        while not over.is_set():
            freed += eviction.clear()
        return freed

    def read(number: int) -> None:
        for turn in range(25):
            chosen = (number + turn) % len(made)
            with holds.using():
                folder = mirror.fetched(made[chosen])
                for _ in range(3):
                    assert (folder / "weights").read_bytes() == bytes([chosen]) * SIZE
                    assert manifest.damage(folder) == ""

    with ThreadPoolExecutor(6) as pool:
        sweeping = pool.submit(sweep)
        reading = [pool.submit(read, number) for number in range(4)]
        try:
            for one in reading:
                one.result()
        finally:
            over.set()
        assert sweeping.result() > SIZE * len(made)
    eviction.clear()
    assert eviction.usage() == eviction.Usage(holds.folder(), 0, 0, 0, 2 * SIZE)


@pytest.mark.parametrize(
    ("text", "expected"), [("none", None), ("NONE", None), ("5Gi", 5 << 30), ("1000", 1000)]
)
def test_limits(here: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: int | None) -> None:
    monkeypatch.setenv(eviction.LIMIT, text)
    assert eviction.limit() == expected


def test_a_limit_is_a_part_of_the_disk(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(eviction.LIMIT, "100%")
    whole = eviction.limit()
    monkeypatch.delenv(eviction.LIMIT)
    half = eviction.limit()
    assert whole is not None
    assert half is not None
    assert abs(whole - 2 * half) < 2


@pytest.mark.parametrize("text", ["much", "0%", "101%", "-3", "%"])
def test_limits_that_are_none(here: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(eviction.LIMIT, text)
    with pytest.raises(StorageError, match=eviction.LIMIT):
        eviction.limit()
