"""The pause of the garbage collector ends with the last who asked for it, and leaves things as they were."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from tidemill.metadata.sql.collector import collector_paused


@pytest.fixture(autouse=True)
def collecting() -> Iterator[None]:
    gc.enable()
    yield
    gc.enable()


def test_it_ends_with_the_last_pause() -> None:
    outer, inner = collector_paused(), collector_paused()
    with outer:
        with inner:
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_ends_with_an_error() -> None:
    with pytest.raises(ZeroDivisionError), collector_paused():
        raise ZeroDivisionError
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    with collector_paused():
        pass
    assert not gc.isenabled()
