"""`python -m tidemill.runners.kubeflow.entry --executor_input JSON`: what the container of a KFP task runs.

    read ExecutorInput -> make sure of the run -> launch the node -> write ExecutorOutput

KFP's own record is never asked and never trusted: it is told what there is to show. The exit code is 0 when
the node succeeded (COMPLETE, CACHED, SKIPPED, or not part of the run), 1 when it failed, is blocked or is to
be tried again, and 143 when the container was told to end, whatever the node is to KFP.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

from tidemill.errors import RunnerError, TidemillError
from tidemill.metadata.model import RunState
from tidemill.metadata.store import MetadataStore
from tidemill.runners.base import container, task
from tidemill.runners.base.container import say
from tidemill.runners.base.task import EngineRun, Settings
from tidemill.runners.kubeflow import names
from tidemill.runners.kubeflow.executor_io import ExecutorInput, parse
from tidemill.runners.kubeflow.facts import Facts, pipeline_of, read_facts, run_of
from tidemill.runners.kubeflow.results import write_results
from tidemill.runtime import loops
from tidemill.runtime.execute import CancelToken

RETRY_INDEX = "KFP_RETRY_INDEX"
"""Set by KFP where a task has a retry policy: 0 for the first try."""


def main(words: Sequence[str]) -> int:
    """Run the task; the exit code."""
    parser = argparse.ArgumentParser(prog="tidemill.runners.kubeflow.entry", description=__doc__)
    parser.add_argument("--executor_input", required=True, metavar="JSON", help="KFP's placeholder {{$}}")
    parser.add_argument("--component", default="", help="name of the component, for people who look at pods")
    given = parser.parse_args(words)
    container.writable_home(os.environ)
    cancel = CancelToken()
    ended = container.heed_signals(cancel)
    try:
        code = perform(parse(given.executor_input), os.environ, cancel)
    except TidemillError as error:
        say(f"error: {error}")
        code = 1
    return container.ENDED if ended and code else code


def perform(given: ExecutorInput, environ: Mapping[str, str], cancel: CancelToken) -> int:
    """Do what the task is for; the exit code. Errors that are not the node's are raised."""
    facts = read_facts(given)
    url = _needed(environ, names.METADATA_URL, "URL of the metadata store", "a secret (secretAsEnv)")
    with task.opened(url) as store:
        ir = pipeline_of(store, facts)
        settings = Settings(
            ir=ir,
            metadata=url,
            root=_needed(
                environ, names.ROOT, "pipeline root, a folder or URI that all pods see", "the platform"
            ),
            code_root=container.code_root(environ),
            workdir=environ.get(names.WORKDIR, ""),
            isolation=container.isolation(environ),
        )
        run = run_of(facts, ir)
        _check_made(store, facts, run)
        if facts.node in (names.RUN_END, names.BODY_END):
            return _end(store, settings, run, facts)
        return _node(store, settings, run, facts, given, environ, cancel)


def _node(
    store: MetadataStore, settings: Settings, run: EngineRun, facts: Facts, given: ExecutorInput,
    environ: Mapping[str, str], cancel: CancelToken,
) -> int:  # fmt: skip
    """One try at a node."""
    place = loops.place(settings.ir, facts.node, facts.iteration)
    outcome = None
    try:
        if why := task.failed_for_good(store, run.record_id, facts.node, facts.iteration):
            raise task.Failed(f"{place} is FAILED: {why}; another try would not change that")
        outcome = task.launch_node(
            settings, run, facts.node, store=store, iteration=facts.iteration, attempt=_attempt(environ),
            cancel=cancel, last=True,
        )  # fmt: skip
    except task.Again as error:
        say(f"{error}\nto be tried again")
        return 1
    except (task.Failed, task.Blocked) as error:
        say(str(error))
        if not facts.soft or cancel.canceled:
            return 1
        say("other nodes go on from here, so KFP is told of a success; the record has the failure")
    else:
        said = "not part of this run" if outcome is None else f"{outcome.state} {outcome.message}".strip()
        say(f"{place}: {said}")
        if outcome is not None:
            say(f"record: run {run.record_id}, execution {outcome.execution_id}, log {outcome.log or '-'}")
    write_results(store, settings.ir, facts, outcome, given)
    return 0


def _end(store: MetadataStore, settings: Settings, run: EngineRun, facts: Facts) -> int:
    """The tasks of ours: they say in KFP how the record has the run."""
    if facts.node == names.BODY_END:
        state = task.state_so_far(store, settings, run)
    else:
        state = task.end_run(store, settings, run)
    say(f"run {run.record_id} is {state}" if facts.node == names.RUN_END else f"the run will be {state}")
    return 0 if state is RunState.COMPLETE else 1


def _check_made(store: MetadataStore, facts: Facts, run: EngineRun) -> None:
    """RunnerError when a task that was not told what the run is finds none: it must not make up another."""
    if not facts.first and store.get_run(run.record_id) is None:
        raise RunnerError(
            f"run {run.record_id} is not in the metadata store, and a task before {facts.node!r} made it",
            hint="do all tasks have the same TIDEMILL_METADATA, and is it no file inside of a container?",
        )


def _attempt(environ: Mapping[str, str]) -> int:
    """Number of the try, from 1; 0 where KFP does not say, and the store counts.

    With the number a try takes over what an earlier one left behind, and never what a later one does.
    """
    index = environ.get(RETRY_INDEX, "")
    return int(index) + 1 if index.isdecimal() else 0


def _needed(environ: Mapping[str, str], name: str, what: str, source: str) -> str:
    see = "see the platform options of `tidemill compile --to kubeflow`"
    return container.needed(environ, name, what, f"{source}; {see}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
