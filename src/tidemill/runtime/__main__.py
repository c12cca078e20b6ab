"""`python -m tidemill.runtime --metadata=... --run-id=... --node-id=...`: launch one node.

Prints the outcome as one JSON line. Exit code 0 when the node succeeded, 1 when it failed, and an
error's own code when it could not be tried.
"""

from __future__ import annotations

import json
import sys

from tidemill.errors import TidemillError
from tidemill.metadata.open import open_store
from tidemill.runtime.call import NodeCall
from tidemill.runtime.launch import launch


def main(words: list[str]) -> int:
    """Run the command; the exit code."""
    try:
        call = NodeCall.from_argv(words)
        store = open_store(call.metadata)
        try:
            outcome = launch(call, store)
        finally:
            store.close()
    except TidemillError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    facts = {"node": outcome.node_id, "state": outcome.state, "execution": outcome.execution_id,
             "attempt": outcome.attempt, "message": outcome.message, "log": outcome.log}  # fmt: skip
    sys.stdout.write(json.dumps(facts) + "\n")
    return 0 if outcome.state.succeeded else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
