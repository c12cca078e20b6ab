"""Stores in memory: each new, gone when it is closed, forgotten or its process ends; and the one door."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tidemill.errors import StoreError
from tidemill.metadata.open import open_store
from tidemill.metadata.sql import SqlStore
from tidemill.metadata.sql.memory import Folder
from tidemill.testing.store_stories import start_run


def place(store: object) -> Path:
    assert isinstance(store, SqlStore)
    return Path(store.database.dialect.where)


def test_each_is_new() -> None:
    with closing(open_store("memory://")) as one, closing(open_store("memory://")) as other:
        start_run(one, "r1")
        assert other.get_runs() == []
        assert place(one) != place(other)


def test_it_is_gone_when_it_is_closed_or_forgotten() -> None:
    store = open_store("memory://")
    path = place(store)
    assert path.exists()
    store.close()
    store.close()
    assert not path.parent.exists()
    forgotten = open_store("memory://")
    path = place(forgotten)
    database = forgotten.database
    database.close()
    del forgotten, database
    gc.collect()
    assert not path.parent.exists()


def test_it_is_gone_when_its_process_ends_and_not_when_a_child_does() -> None:
    code = (
        "import os\n"
        "from tidemill.metadata.open import open_store\n"
        "store = open_store('memory://')\n"
        "print(store.database.dialect.where, flush=True)\n"
        "child = os.fork()\n"
        "if child == 0: raise SystemExit\n"
        "os.waitpid(child, 0)\n"
        "store.put_pipeline_version('v', 'p', '{}')\n"
        "assert os.path.exists(store.database.dialect.where)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not Path(done.stdout.strip()).parent.exists()


def test_a_folder_is_its_processs_own() -> None:
    folder = Folder()
    assert (Path(folder.database).parent.stat().st_mode & 0o77, os.getuid()) == (
        0,
        Path(folder.database).parent.stat().st_uid,
    )
    folder.remove()


@pytest.mark.parametrize(("url", "word"), [("memory://name", "no name"), ("memory:///x", "no name")])
def test_addresses_in_memory_that_mean_nothing(url: str, word: str) -> None:
    with pytest.raises(StoreError, match=word):
        open_store(url)


def test_there_is_nothing_to_read_in_a_new_one() -> None:
    with pytest.raises(StoreError, match="always new"):
        open_store("memory://", read_only=True)


def test_the_door_knows_every_kind() -> None:
    """And names them all when it is given something else, without what may be secret."""
    with pytest.raises(StoreError, match="not supported") as caught:
        open_store("mongodb://user:sesame@host/name")
    for kind in ("sqlite:///", "postgresql://", "mysql://", "http://", "grpc://", "memory://"):
        assert kind in caught.value.hint
    assert "sesame" not in str(caught.value)
