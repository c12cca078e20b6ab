"""Logs are followed while they are written, beyond their limit, and where only the storage is seen."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.errors import StorageError
from tidemill.runtime import sharedlog
from tidemill.runtime.logfile import LogFile, settle
from tidemill.runtime.logreader import LogReader, note
from tidemill.runtime.sharedlog import SharedLog
from tidemill.storage import holds, mirror
from tidemill.storage.shelf import LocalShelf, RemoteShelf, pieces_folder, shelf

NOTE = re.compile(rb"\n\[tidemill: (\d+) bytes are left out here\]\n")


def rest(reader: LogReader) -> bytes:
    """All there is to read now."""
    return b"".join(iter(reader.read, b""))


def check_seen(seen: bytes, whole: bytes) -> None:
    """What was seen is what was printed, except where a note says how much is missing."""
    at = 0
    while found := NOTE.search(seen):
        assert seen[: found.start()] == whole[at : at + found.start()]
        at += found.start() + int(found[1])
        seen = seen[found.end() :]
    assert seen == whole[at:]


@given(
    pieces=st.lists(st.tuples(st.binary(max_size=40), st.booleans()), max_size=40),
    most=st.integers(0, 120), before=st.binary(max_size=5), limit_known=st.booleans(), killed=st.booleans(),
)  # fmt: skip
def test_a_follower_sees_all_or_is_told(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[bytes, bool]], most: int, before: bytes,
    limit_known: bool, killed: bool,
) -> None:  # fmt: skip
    path = tmp_path_factory.mktemp("log") / "a.log"
    path.write_bytes(before)
    log = LogFile(path, most)
    reader = LogReader(LocalShelf(path), most if limit_known else 0)
    seen, whole = b"", before
    for data, look in pieces:
        log.write(data)
        whole += data
        held = sum(p.stat().st_size for p in pieces_folder(path).glob("*"))
        assert held <= max(1, most - most // 2) * 9 / 8 + 1, "one piece more than is kept, at most"
        if look:
            seen += rest(reader)
            check_seen(seen, whole)
    if killed:
        settle(path, most)  # as the launcher does for a supervisor that was killed
    log.close()
    seen += rest(reader)
    # A reader that saw no piece, and knows no limit, reads the file with the note in it: the same.
    check_seen(seen, whole)
    late = rest(LogReader(LocalShelf(path), most))
    assert late == path.read_bytes()
    check_seen(late, whole)
    assert list(path.parent.iterdir()) == [path]


def test_who_keeps_up_misses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    log = LogFile(path, 1000)
    reader, seen, whole = LogReader(LocalShelf(path), 1000), b"", b""
    for number in range(1000):
        line = f"line {number}\n".encode()
        log.write(line)
        whole += line
        seen += rest(reader)
    log.close()
    assert seen + rest(reader) == whole
    assert len(path.read_bytes()) == 1000 + len(note(len(whole) - 1000))


def test_what_a_node_prints_is_no_note_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    said = b"x" * 10 + note(7) + b"y" * 30
    path.write_bytes(said)
    assert rest(LogReader(LocalShelf(path), 100)) == said


# --- remote roots ----------------------------------------------------------------------------------


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A log in a store of this process; its mirror is this machine's."""
    monkeypatch.setenv(holds.FOLDER, str(tmp_path / "mirror"))
    monkeypatch.setenv(sharedlog.PERIOD, "0.01")
    bucket = f"memory://{uuid.uuid4().hex}"
    uri = f"{bucket}/root/logs/run/node.0.1.log"
    mirror.place(uri).parent.mkdir(parents=True)
    yield uri
    if fsspec.filesystem("memory").exists(bucket):
        fsspec.filesystem("memory").rm(bucket, recursive=True)


def seen_elsewhere(reader: LogReader, wanted: bytes) -> bytes:
    """Read until something ends with what is wanted; the test's timeout is the limit."""
    seen, pause = b"", threading.Event()
    while not seen.endswith(wanted):
        seen += rest(reader)
        pause.wait(0.01)
    return seen


def test_another_machine_sees_what_is_printed(uri: str) -> None:
    shared, log = SharedLog(uri, 10_000), LogFile(mirror.place(uri), 10_000)
    elsewhere = LogReader(RemoteShelf(uri), 10_000)
    seen = b""
    with shared.while_running():
        for line in (b"one\n", b"two\n", b"three\n"):
            log.write(line)
            seen += seen_elsewhere(elsewhere, line)
        assert RemoteShelf(uri).pieces() == [0], "small ones are one"
        assert RemoteShelf(uri).size() == 0
        log.write(b"last\n")
        log.close()
    shared.keep()
    assert seen + rest(elsewhere) == b"one\ntwo\nthree\nlast\n"
    assert RemoteShelf(uri).pieces() == [], "the whole log is in their place"
    assert rest(LogReader(shelf(uri, mirror.place(uri)), 10_000)) == b"one\ntwo\nthree\nlast\n"


def test_no_more_is_stored_than_the_limit(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharedlog, "_SMALL", 100)
    shared, log = SharedLog(uri, 1000), LogFile(mirror.place(uri), 1000)
    elsewhere, seen, whole = LogReader(RemoteShelf(uri), 1000), b"", b""
    with shared.while_running():
        for number in range(40):
            line = f"{number:>98}.\n".encode()
            log.write(line)
            whole += line
            seen += seen_elsewhere(elsewhere, line)
            stored = [RemoteShelf(uri).read(piece, 0, 10_000) for piece in RemoteShelf(uri).pieces()]
            assert sum(map(len, stored)) <= 1300
        log.close()
    shared.keep()
    assert seen + rest(elsewhere) == whole
    late = rest(LogReader(RemoteShelf(uri), 1000))
    assert late == mirror.place(uri).read_bytes()
    check_seen(late, whole)


def test_a_storage_that_is_away_harms_nothing(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = threading.Event()
    put = RemoteShelf.put

    def refuse(self: RemoteShelf, piece: int, data: bytes) -> None:
        if not tried.is_set():
            tried.set()
            raise StorageError("away")
        put(self, piece, data)

    monkeypatch.setattr(RemoteShelf, "put", refuse)
    shared, log = SharedLog(uri, 1000), LogFile(mirror.place(uri), 1000)
    with shared.while_running():
        log.write(b"printed\n")
        assert seen_elsewhere(LogReader(RemoteShelf(uri), 1000), b"printed\n") == b"printed\n"
        log.close()
    assert tried.is_set()


def test_nothing_is_shared_without_a_period_or_a_remote_root(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = threading.active_count()
    with SharedLog(str(tmp_path / "a.log"), 10).while_running():
        assert threading.active_count() == before
    monkeypatch.setenv(sharedlog.PERIOD, "0")
    with SharedLog(uri, 10).while_running():
        assert threading.active_count() == before
    monkeypatch.setenv(sharedlog.PERIOD, "often")
    with pytest.raises(StorageError, match="TIDEMILL_LOG_PERIOD"), SharedLog(uri, 10).while_running():
        pass
