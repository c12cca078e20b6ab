"""Runs compiled pipelines with kfp.local, in an environment that has kfp; one JSON line per order and answer.

KFP's SubprocessRunner takes no container components: it looks for the name of its own executor among the
words of the command, and the order's file has it there, in the argument that is for people. See
`sdk/python/kfp/local/subprocess_task_handler.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

from kfp import components, local


def main() -> None:
    """Answer orders until there are no more: `file`, `parameters`, `environ` and `root`."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what KFP and the tasks print is no answer
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        try:
            answer: dict[str, Any] = run(json.loads(line))
        except Exception as error:
            traceback.print_exc()
            answer = {"state": "error", "why": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def run(order: dict[str, Any]) -> dict[str, Any]:
    """Run a pipeline to its end."""
    os.environ.update(order["environ"])
    local.init(
        runner=local.SubprocessRunner(use_venv=False), pipeline_root=order["root"], raise_on_error=True
    )
    pipeline = components.load_component_from_file(order["file"])
    with contextlib.chdir(Path(order["file"]).parent):
        try:
            pipeline(**order["parameters"])
        except RuntimeError as error:
            if "finished with status" not in str(error):
                raise
            return {"state": "failure", "why": str(error)}
    return {"state": "success"}


if __name__ == "__main__":
    main()
