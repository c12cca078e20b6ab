"""The executor behind `choose(...)`: a user's function picks artifacts; it runs where executors run."""

from __future__ import annotations

from collections.abc import Callable

from tidemill.errors import ExecutorError
from tidemill.types.artifact import Artifact


def choose(candidates: list[Artifact], by: Callable[[list[Artifact]], list[Artifact]]) -> list[int]:
    """Ids of the artifacts that `by` returns, in its order; ExecutorError when it returns anything else."""
    chosen: object = by(list(candidates))  # what a user's function returns is not checked by its types
    known = {artifact.id for artifact in candidates}
    if not isinstance(chosen, (list, tuple)) or not all(
        isinstance(a, Artifact) and a.id in known for a in chosen
    ):
        raise ExecutorError(
            f"the function that chooses returned {type(chosen).__name__}",
            hint="return a list of the artifacts that it was given",
        )
    return [artifact.id for artifact in chosen]
