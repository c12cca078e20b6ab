"""A layer: bytes of its files alone."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from functools import partial
from pathlib import Path

from tidemill.images.layer import EPOCH, Entry, Layer, write_layer


def _written(entries: list[Entry]) -> tuple[Layer, bytes]:
    target = io.BytesIO()
    return write_layer(entries, target, top="opt/mine"), target.getvalue()


ENTRIES = [
    Entry("opt/mine/code/a.py", lambda: b"print(1)\n"),
    Entry("opt/mine/code/run.sh", lambda: b"#!/bin/sh\n", 0o755),
    Entry("opt/mine/work", mode=0o1777),
    Entry("opt/mine/code/" + "long/" * 60 + "é.txt", lambda: b"x"),
]


def test_the_order_of_files_their_times_and_owners_change_nothing(tmp_path: Path) -> None:
    first, data = _written(ENTRIES)
    file = tmp_path / "a.py"
    file.write_bytes(b"print(1)\n")
    os.utime(file, (1, 1))
    file.chmod(0o600)
    again, other = _written([*ENTRIES[:0:-1], Entry("opt/mine/code/a.py", partial(file.read_bytes))])
    assert (first, data) == (again, other)


def test_one_byte_or_one_mode_changes_the_digest() -> None:
    digests = {
        _written(entries)[0].digest
        for entries in (
            ENTRIES,
            [Entry("opt/mine/code/a.py", lambda: b"print(2)\n"), *ENTRIES[1:]],
            [ENTRIES[0], Entry("opt/mine/code/run.sh", lambda: b"#!/bin/sh\n", 0o644), *ENTRIES[2:]],
        )
    }
    assert len(digests) == 3


def test_what_is_in_it() -> None:
    layer, data = _written(ENTRIES)
    assert layer.digest == "sha256:" + hashlib.sha256(data).hexdigest()
    assert layer.diff_id == "sha256:" + hashlib.sha256(gzip.decompress(data)).hexdigest()
    assert (layer.size, layer.files) == (len(data), 3)
    assert data[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff", "neither time nor name in the header"
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = tar.getmembers()
        names = [m.name for m in members]
        assert names == sorted(names)
        assert names[0] == "opt/mine", "what is above is left to the base"
        assert "opt/mine/code/long/long" in names, "folders come before what they hold"
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(EPOCH, 0, 0, "", "")}
        modes = {m.name: m.mode for m in members}
        assert (modes["opt/mine/code/run.sh"], modes["opt/mine/code"], modes["opt/mine/work"]) == (
            0o755,
            0o755,
            0o1777,
        )
        content = tar.extractfile("opt/mine/code/a.py")
        assert content is not None
        assert content.read() == b"print(1)\n"
