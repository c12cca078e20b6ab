"""`python -m tidemill.runners.airflow.entry --run-id=... --node-id=...`: what the pod of a node runs.

    read the run from the record -> launch the node -> publish

The arguments are those of a NodeCall, without the metadata URL: that is in the pod's environment, from a
secret. Airflow is not needed here, and is told nothing: it asks the record. The exit code is 0 when the node
succeeded, 75 when its pool has no room and nothing was claimed, 143 when the pod was told to end, else 1.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence

from tidemill.errors import RunnerError, TidemillError
from tidemill.ir import codec
from tidemill.metadata.model import Run
from tidemill.metadata.store import MetadataStore
from tidemill.runners.base import container, task
from tidemill.runners.base.container import say
from tidemill.runners.base.elsewhere import FULL
from tidemill.runners.base.following import shown
from tidemill.runners.base.task import EngineRun, Settings
from tidemill.runners.base.waiting import Wait
from tidemill.runtime import loops
from tidemill.runtime.call import NodeCall
from tidemill.runtime.execute import CancelToken
from tidemill.runtime.launch import log_uri
from tidemill.runtime.root import folder

COMMAND = ("python", "-m", "tidemill.runners.airflow.entry")
"""Of the pod's container. A compiled DAG and an image agree on it."""


class _Full(Exception):
    """The pool has no room: whoever started the pod waits, not the pod."""


def main(words: Sequence[str]) -> int:
    """Launch the node; the exit code."""
    container.writable_home(os.environ)
    cancel = CancelToken()
    ended = container.heed_signals(cancel)
    try:
        code = perform(words, os.environ, cancel)
    except TidemillError as error:
        say(f"error: {error}")
        code = 1
    return container.ENDED if ended and code else code


def perform(words: Sequence[str], environ: Mapping[str, str], cancel: CancelToken) -> int:
    """Launch the node that the words name; the exit code. Errors that are not the node's are raised."""
    url = container.needed(
        environ, container.METADATA, "URL of the metadata store", "secret_env or env of the pod's options"
    )
    call = NodeCall.from_argv([f"--metadata={url}", *words])
    with task.opened(url) as store:
        run = store.get_run(call.run_id)
        if run is None:
            raise RunnerError(
                f"run {call.run_id} is not in the metadata store, and Airflow's worker made it",
                hint=f"is {container.METADATA} of the pod the store that Airflow's tasks have?",
            )
        ir = codec.loads(store.get_pipeline_version(run.version))
        settings = Settings(
            ir=ir, metadata=url, root=run.root, code_root=container.code_root(environ),
            workdir=environ.get(container.WORKDIR, ""), isolation=container.isolation(environ),
        )  # fmt: skip
        return _launched(store, settings, run, call, cancel)


def _launched(store: MetadataStore, settings: Settings, run: Run, call: NodeCall, cancel: CancelToken) -> int:
    place = loops.place(settings.ir, call.node_id, call.iteration)
    engine = EngineRun(record_id=run.id, owner=run.owner, date=run.date, parameters=run.parameters)
    log = folder(log_uri(run, call.node_id, call.iteration, max(1, call.attempt)))
    try:
        with shown(log, settings.ir.node(call.node_id).options.log_limit // 2):
            outcome = task.launch_node(
                settings, engine, call.node_id, store=store, iteration=call.iteration, attempt=call.attempt,
                cancel=cancel, ready=call.ready, python=call.python, on_wait=_wait, last=True,
            )  # fmt: skip
    except _Full as full:
        say(str(full))
        return FULL
    except (task.Again, task.Failed, task.Blocked) as error:
        say(str(error))
        return 1
    said = "not part of this run" if outcome is None else f"{outcome.state} {outcome.message}".strip()
    say(f"{place}: {said}")
    return 0


def _wait(_: MetadataStore, wait: Wait) -> None:
    if wait.kind == "pool":
        raise _Full(str(wait))
    left = wait.until / 1000 - time.time()  # of a retry: the worker waited, by another clock perhaps
    time.sleep(max(0.0, min(left, task.POLL_SECONDS)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
