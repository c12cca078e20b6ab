"""Ending runs from outside: a request in the store, and the end itself where nobody is left to answer it."""

from __future__ import annotations

import time
from collections.abc import Callable

from tidemill.errors import RunnerError
from tidemill.metadata.model import Run, RunState
from tidemill.metadata.store import MetadataStore
from tidemill.runners.base.watch import wake
from tidemill.runtime import crashpoint, owner

LOOK_SECONDS = 0.2
"""Time between two looks at a run that somebody else drives."""


def cancel(store: MetadataStore, run_id: str, *, force: bool = False) -> Run:
    """Ask that a run ends; the run as it is then.

    Its runner ends it; a QUEUED run is CANCELED at once, and one whose runner is dead is ended here. With
    `force` one whose runner cannot be seen is, too: what still runs of it can no longer publish anything.
    """
    run = store.request_cancel(run_id)
    crashpoint.reach("cancel.requested")
    if run.state.ended:
        return run
    alive = owner.is_alive(run.owner)
    if alive:
        wake(run.owner)
    elif (alive is False or force) and store.take_run(run_id, owner=owner.myself(), expected_owner=run.owner):
        crashpoint.reach("cancel.taken")
        store.end_run(run_id, RunState.CANCELED, owner=owner.myself(), close_nodes=True)
    return store.get_run(run_id) or run


def follow(
    store: MetadataStore, run_id: str, *, seconds: float = 0.0, sleep: Callable[[float], None] = time.sleep
) -> Run:
    """Wait until a run ended, or its runner died; the run as it is then. At most `seconds`, if any."""
    end = time.monotonic() + seconds if seconds else None
    while True:
        run = store.get_run(run_id)
        if run is None:
            raise RunnerError(f"there is no run {run_id!r} in this store")
        died = run.state is RunState.RUNNING and owner.is_alive(run.owner) is False
        if run.state.ended or died or (end is not None and time.monotonic() >= end):
            return run
        sleep(LOOK_SECONDS)
