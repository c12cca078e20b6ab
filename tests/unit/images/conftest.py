"""A registry that follows the specification, and no login of this machine's."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from spec_registry import SpecRegistry, serving


@pytest.fixture
def registry() -> Iterator[SpecRegistry]:
    with serving() as made:
        yield made


@pytest.fixture(autouse=True)
def logins(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of Docker's configuration, which is empty."""
    folder = tmp_path_factory.mktemp("docker")
    for name in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    monkeypatch.setenv("HOME", str(folder))
    return folder
