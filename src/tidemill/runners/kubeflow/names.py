"""What the compiler and the container's entrypoint agree on, and what things are called in KFP.

The words here are a contract between a compiled file and the image that runs it: changing one breaks files
that were compiled before. Nothing here knows what a pipeline looks like in KFP.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from tidemill.runners.base import container

RESERVED = "tidemill_"
"""Begins every input and output of ours, so that none can be taken for a user's."""

# --- inputs of a task, as ExecutorInput has them ---------------------------------------------------
NODE = "tidemill_node"
"""STRING: id of the node; for the two tasks of ours, RUN_END or BODY_END."""
RUN = "tidemill_run"
"""STRING: KFP's id of the run, a UUID."""
VERSION = "tidemill_version"
"""STRING, a default of the component: the pipeline version, under which the store has the IR."""
ITERATION = "tidemill_iteration"
"""NUMBER_INTEGER: number of the iteration as `runtime/loops.py` counts; absent outside of loops."""
SOFT = "tidemill_soft"
"""BOOLEAN, default false: the task succeeds in KFP although the node failed or is blocked, because KFP would
not start others that are to start. A retry that is due fails it all the same, so that KFP comes back."""

# Only tasks with nothing before them have these, and `run--end`; the others find the run in the record.
IR = "tidemill_pipeline"
"""STRING: the IR as `packed` gives it; absent when it is too large, and for `run--end`."""
DATE = "tidemill_date"
"""STRING, default empty: the date, of a run that was started by hand."""
SELECT = "tidemill_select"
"""STRUCT, default empty: {"only": [...], "from": [...], "to": [...]}."""
SCHEDULE = "tidemill_schedule"
"""STRING: when the run was due, or created if by hand; RFC 3339. Only of pipelines with a schedule."""
WORKSPACE = "tidemill_workspace"
"""STRING: where the run's workspace is mounted, if it has one: KFP mounts it where it is asked for."""
# The runtime parameters of the pipeline come beside them under their own names; json ones as JSON text.

# --- outputs of a task -----------------------------------------------------------------------------
ITEMS = "tidemill_items"
"""LIST: for the node of a loop, the iteration numbers of what is in it. Inside of loops only those of the
iteration at hand: number * limit + position."""
METRICS = "tidemill_metrics"
"""system.Metrics: numbers for KFP's pages, of components that measure."""
PAGE = "tidemill_page"
"""system.HTML: the page of an artifact, of components whose artifacts have one."""

# --- environment variables of the container --------------------------------------------------------
METADATA_URL = container.METADATA
ROOT = "TIDEMILL_ROOT"
CODE_ROOT = container.CODE_ROOT
WORKDIR = container.WORKDIR
INSIDE_IMAGE = "TIDEMILL_INSIDE_IMAGE"
"""The image that the container is made of, as the compiled file names it."""

# --- tasks of ours ---------------------------------------------------------------------------------
RUN_END = "run--end"
"""The last task: it records how the run ended, and fails unless it is COMPLETE."""
BODY_END = "body--end"
"""Last in the body where failures are soft: it fails when a node failed or is blocked."""
BODY, EXIT = "body", "exit"
"""The two tasks of the pipeline itself: all that runs before the end, and what runs whatever became of it."""

ENTRY = ("python", "-m", "tidemill.runners.kubeflow.entry")
"""Command of every container."""
ARGUMENTS = ("--executor_input", "{{$}}", "--component")
"""Its arguments; the component's name follows. It makes containers different, of which KFP's compiler keeps
one component each."""

TYPE_PREFIX = "tidemill."
"""Begins the schemaTitle of our artifact types."""
TYPE_VERSION = "0.0.1"

_FOREIGN = re.compile(r"[^a-z0-9]+")
_OPERATORS = frozenset(
    ("in", "not", "and", "or", "matches", "contains", "let", "if", "else", "true", "false", "nil")
)
"""Words of the language in which Argo says what a task waits for."""
MOST = 100
"""Characters of a name, less what KFP adds: Argo takes 128."""
MOST_DAG = 55
"""The same for DAGs: KFP names templates of a loop after its component and its task."""


def plain(name: str, most: int = MOST) -> str:
    """Lower case letters, digits and single hyphens, a letter first: what every part of KFP takes.

    At most `most` characters; of a longer name the first ones, and a digest.
    """
    found = _FOREIGN.sub("-", name.lower()).strip("-")
    if not found or not found[0].isalpha() or found in _OPERATORS:
        found = f"n-{found}".rstrip("-")
    if len(found) <= most:
        return found
    return f"{found[: most - 9].rstrip('-')}-{_short(name)}"


def pipeline_name(pipeline: str) -> str:
    """The pipeline's name in KFP; one that is not ours alone any more carries a digest of it."""
    found = plain(pipeline)
    return found if pipeline.replace("_", "-") == found else f"{found}-{_short(pipeline)}"


def run_id(pipeline: str, kfp_run: str) -> str:
    """The run in the record for one of KFP's. A UUID is a name already; anything else gets a digest."""
    calm = re.sub(r"[^A-Za-z0-9_.-]+", "-", kfp_run).strip("-")[:100]
    return f"{pipeline}-{calm}" if calm == kfp_run else f"{pipeline}-{calm}-{_short(kfp_run)}"


def owner(pipeline: str, kfp_run: str) -> str:
    """Who drives the run, as the record has it: no process, so that none can be missed."""
    return f"kubeflow/{pipeline}/{kfp_run}"


class Names:
    """Hands out names that are taken only once, in the order they are asked for."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._last: dict[str, int] = {}

    def take(self, wanted: str, *suffixes: str, most: int = MOST) -> str:
        """`wanted` as a plain name, with a number where it, or it with a suffix, is taken."""
        found = plain(wanted, most)
        forms = (found, *(found + suffix for suffix in suffixes))
        if not self._taken.isdisjoint(forms):
            found = self._free(found, suffixes, most)
            forms = (found, *(found + suffix for suffix in suffixes))
        self._taken.update(forms)
        return found

    def _free(self, found: str, suffixes: tuple[str, ...], most: int) -> str:
        while True:
            number = self._last[found] = self._last.get(found, 1) + 1
            other = f"{found[: most - 1 - len(str(number))].rstrip('-')}-{number}"
            if self._taken.isdisjoint((other, *(other + suffix for suffix in suffixes))):
                return other


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
