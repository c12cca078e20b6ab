"""Retrying a run on this machine; what a retry is, is told in runners.base.again.

The pipeline is the one that ran then; only code can be newer. Where it is, the new run has a version of its
own: results of other code must never be taken for those of the code that is on record.
"""

from __future__ import annotations

from dataclasses import replace

from tidemill.metadata.model import Run
from tidemill.metadata.store import MetadataStore
from tidemill.runners.base.again import Again, wish_again
from tidemill.runners.base.starting import start, submit
from tidemill.runners.local.runner import LocalRunner, RunResult


def retry(runner: LocalRunner, again: Again, *, new: bool = False) -> RunResult:
    """Do it now, to its end. Equal retries at once are one run; see LocalRunner.run."""
    wanted = wish_again(runner.store, again)
    wanted = replace(wanted, settings={**wanted.settings, "reuse": runner.reuse})
    run, resumed = start(runner.store, again.ir, wanted, new=new)
    return runner.finish(again.ir, run, resumed)


def submit_retry(store: MetadataStore, again: Again, *, new: bool = False, priority: int = 0) -> Run:
    """Leave it to a worker."""
    return submit(store, again.ir, wish_again(store, again, priority=priority), new=new)
