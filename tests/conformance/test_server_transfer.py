"""A part of the record moves between SQLite, PostgreSQL and MariaDB, and is the same file everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tidemill.errors import StoreError
from tidemill.metadata.sql import SqlStore, open_store
from tidemill.metadata.transfer import Selection
from tidemill.testing import transfer_stories as stories


@pytest.fixture
def there(server: Any) -> Iterator[SqlStore]:
    with server.database() as name:
        store = open_store(server.url(name))
        yield store
        store.close()


@pytest.fixture
def here(tmp_path: Path) -> Iterator[SqlStore]:
    store = open_store(str(tmp_path / "metadata.db"))
    yield store
    store.close()


def test_there_and_back(here: SqlStore, there: SqlStore, tmp_path: Path) -> None:
    stories.write_history(here)
    file, back = tmp_path / "file", tmp_path / "back"
    whole = stories.exported(here, file)
    there.import_record(file)
    assert there.statistics() == here.statistics()
    assert stories.exported(there, back) == whole
    assert not any(there.import_record(file).added.values())
    assert not any(here.import_record(back).added.values())
    assert there.get_artifacts() == here.get_artifacts()
    part = Selection(run="r2")
    assert stories.exported(there, back, part) == stories.exported(here, file, part)
    with there.database.writing() as tx:
        tx.execute("UPDATE Artifact SET uri = 'elsewhere' WHERE id = 1")
    before = stories.exported(there, back)
    with pytest.raises(StoreError, match="nothing was imported"):
        there.import_record(file)
    assert stories.exported(there, back) == before


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(record=stories.records())
def test_any_record_comes_back(server: Any, tmp_path: Path, record: dict[str, Any]) -> None:
    with server.database() as name:
        there = open_store(server.url(name))
        here = open_store(str(tmp_path / f"{name}.db"))
        try:
            stories.write_record(there, record)
            whole = stories.exported(there, tmp_path / "file")
            here.import_record(tmp_path / "file")
            assert stories.exported(here, tmp_path / "back") == whole
            assert not any(there.import_record(tmp_path / "back").added.values())
        finally:
            there.close()
            here.close()
