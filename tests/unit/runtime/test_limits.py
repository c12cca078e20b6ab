"""Log files that stay small, control groups of both versions, amounts for people."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.runtime import limits as limits_module
from tidemill.runtime.judge import amount
from tidemill.runtime.limits import Groups, Limits, enforcement
from tidemill.runtime.logfile import LogFile
from tidemill.runtime.report import Report


@given(st.lists(st.binary(max_size=40), max_size=30), st.integers(0, 60), st.binary(max_size=5))
def test_a_log_keeps_its_beginning_and_its_end(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], most: int, before: bytes
) -> None:
    path = tmp_path_factory.mktemp("log") / "a.log"
    path.write_bytes(before)
    log = LogFile(path, most)
    for piece in pieces:
        log.write(piece)
        assert path.stat().st_size <= len(before) + most or not most
    log.close()
    whole, found = b"".join(pieces), path.read_bytes()
    assert found.startswith(before)
    found = found[len(before) :]
    if not most or len(whole) <= most:
        assert found == whole
        return
    head, ring = most // 2, max(1, most - most // 2)
    note = f"\n[tidemill: {len(whole) - head - ring} bytes are left out here]\n".encode()
    assert found == whole[:head] + note + whole[-ring:]
    assert list(path.parent.iterdir()) == [path]


def test_a_log_that_cannot_be_written_says_so_and_goes_on(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "nowhere" / "a.log", 10)
    log.write(b"x" * 100)
    log.close()
    assert log.error is not None
    assert log.error.errno == errno.ENOENT


@pytest.fixture
def version_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders that look like control groups of version 2, as far as writing files goes."""
    own = tmp_path / "user.slice" / "own"
    own.mkdir(parents=True)
    (own / "cgroup.subtree_control").write_text("memory pids\n")
    monkeypatch.setattr(limits_module, "_own_groups", lambda: {"": "/user.slice/own"})
    return own


def test_groups_of_version_2(tmp_path: Path, version_2: Path) -> None:
    groups = Groups(Limits(memory=1000, cpu=0.5, groups=str(tmp_path)))
    assert groups.used == ["memory: cgroup v2"], "cores are not delegated"
    assert groups.memory is not None
    assert (groups.memory / "memory.max").read_text() == "1000"
    groups.join()
    assert (groups.memory / "cgroup.procs").read_text() == "0"
    assert groups.kills() == 0
    (groups.memory / "memory.events").write_text("low 0\nmax 3\noom 1\noom_kill 2\noom_group_kill 1\n")
    (groups.memory / "memory.peak").write_text("990\n")
    assert (groups.kills(), groups.peak()) == (2, 990)
    assert enforcement(Limits(memory=1, cpu=1.0), groups.used) == "memory: cgroup v2, cpu: not enforced"


def test_groups_of_killed_supervisors_are_swept(tmp_path: Path, version_2: Path) -> None:
    stale, used = version_2 / "tidemill-4194999-0", version_2 / f"tidemill-{os.getpid()}-9"
    stale.mkdir()
    used.mkdir()
    Groups(Limits(memory=1000, groups=str(tmp_path)))
    assert not stale.exists()
    assert used.exists()


def test_no_groups_where_they_are_not_to_be_had(tmp_path: Path, version_2: Path) -> None:
    (version_2 / "cgroup.subtree_control").write_text("")
    for place in (str(tmp_path), str(tmp_path / "nowhere"), ""):
        groups = Groups(Limits(memory=1000, cpu=1.0, groups=place))
        assert (groups.used, groups.memory, groups.kills(), groups.peak()) == ([], None, 0, 0)
    assert enforcement(Limits(memory=1), []) == "memory: watchdog"
    assert enforcement(Limits(), []) == ""


def test_limits_and_reports_survive_their_json() -> None:
    limits = Limits(start=1.0, run=2.0, total=3.0, heartbeat=4.0, memory=5, cpu=6.0, log=7)
    assert Limits.from_json(limits.to_json()) == limits
    report = Report(status=-9, stopped="run", cpu=1.5, rss_peak=3, left=1)
    assert Report.from_json(report.to_json()) == report


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (3 << 29, "1.5 GiB"), (5 << 40, "5120.0 GiB")],
)
def test_amounts_for_people(size: int, text: str) -> None:
    assert amount(size) == text
