"""Retrying a run: a new run that does again what did not succeed, and takes the rest from the old one.

The pipeline is the one that ran then; only code can be newer. Where it is, the new run has a version of its
own: results of other code must never be taken for those of the code that is on record.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from tidemill.errors import RunnerError
from tidemill.ir import codec
from tidemill.ir.model import PipelineIR
from tidemill.metadata.model import Run
from tidemill.metadata.store import MetadataStore
from tidemill.runners.base.starting import selection_of, start, submit, wish
from tidemill.runners.local.runner import LocalRunner, RunResult
from tidemill.runtime.base import succeeded
from tidemill.runtime.select import Selection, select_again


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """What a retry of a run does."""

    run: Run
    """The run that is retried."""
    ir: PipelineIR
    selection: Selection
    changed: tuple[str, ...]
    """`module:qualname` of code that is not what it was then."""


def plan_again(
    store: MetadataStore, run: Run, *, nodes: Collection[str] = (), present: PipelineIR | None = None
) -> Again:
    """What a retry of `run` would do: all that did not succeed, all from `nodes` on, and what follows.

    `present` is the pipeline as its file defines it now: its code counts. RunnerError when the run has not
    ended, or everything in it succeeded and no node is named.
    """
    if not run.state.ended:
        raise RunnerError(
            f"run {run.id} has not ended: it is {run.state}",
            hint="wait for it, or cancel it first: tidemill cancel RUN",
        )
    ir, changed = with_code_of(codec.loads(store.get_pipeline_version(run.version)), present)
    done = succeeded(store, ir, store.get_nodes(run.id))
    selection = select_again(ir, done, start=nodes, within=selection_of(run))
    return Again(run=run, ir=ir, selection=selection, changed=changed)


def with_code_of(ir: PipelineIR, present: PipelineIR | None) -> tuple[PipelineIR, tuple[str, ...]]:
    """A pipeline with the digests of the code that is there now, and of what they are others."""
    now = present.code if present is not None else {}
    changed = tuple(ref for ref, digest in ir.code.items() if now.get(ref, digest) != digest)
    return replace(ir, code={ref: now.get(ref, digest) for ref, digest in ir.code.items()}), changed


def wish_again(store: MetadataStore, again: Again, *, priority: int = 0) -> Run:
    """The run that a retry wants, not stored yet: same parameters, date, root and settings."""
    old = again.run
    return wish(
        store, again.ir, old.parameters, root=old.root, date=old.date, settings=old.settings,
        selection=again.selection, base=old.id, priority=priority,
    )  # fmt: skip


def retry(runner: LocalRunner, again: Again, *, new: bool = False) -> RunResult:
    """Do it now, to its end. Equal retries at once are one run; see LocalRunner.run."""
    wanted = wish_again(runner.store, again)
    wanted = replace(wanted, settings={**wanted.settings, "reuse": runner.reuse})
    run, resumed = start(runner.store, again.ir, wanted, new=new)
    return runner.finish(again.ir, run, resumed)


def submit_retry(store: MetadataStore, again: Again, *, new: bool = False, priority: int = 0) -> Run:
    """Leave it to a worker."""
    return submit(store, again.ir, wish_again(store, again, priority=priority), new=new)
