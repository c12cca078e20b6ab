"""Loading ahead what opens a store: which modules, and that nothing else comes of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_CODE = """
import sys
from tidemill.metadata.open import load
load(sys.argv[1])
print(*sys.modules)
"""


@pytest.mark.parametrize(
    ("url", "module"),
    [
        ("sqlite:///here/metadata.db", "tidemill.metadata.sql.sqlite"),
        ("here/metadata.db", "tidemill.metadata.sql.sqlite"),
        ("postgresql://nobody:secret@nowhere/none", "tidemill.metadata.sql.postgresql"),
        ("mysql://nobody@nowhere/none", "tidemill.metadata.sql.mariadb"),
        ("http://nowhere:1", "tidemill.metadata.remote.http_client"),
        ("airflow://records", "tidemill.metadata.sql.store"),
        ("odd://nowhere", "tidemill.metadata.sql.store"),
    ],
)
def test_what_a_store_needs_is_loaded_and_nothing_is_opened(url: str, module: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CODE, url], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.stderr == ""
    assert module in done.stdout.split()
    assert [*tmp_path.iterdir()] == []
