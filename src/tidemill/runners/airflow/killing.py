"""Why a task is killed: somebody wants its node to end, or its worker, pod or machine goes away.

Airflow sends SIGTERM for both. When somebody marks, clears or removes a task, its supervisor learns that from
Airflow's API, where the task is then not running any more, and sends SIGTERM; a worker or pod that is told to
end passes its own on, and to the API the task still runs. So the API is asked, on a thread beside what is
being ended, for the supervisor kills for good 5 s later (`ActivitySubprocess.kill` of Airflow's
`supervisor.py`). Needs no Airflow.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from types import TracebackType

PATIENCE = 4.0
"""Seconds that Airflow may take to answer. Executors have 3 to end, and there is to be time to publish."""
_ASK, _END = b"?", b"."


class Doubt:
    """`with Doubt(still_runs, decided) as doubt`: a thread that asks once `ask` was called.

    `still_runs` asks Airflow, and `decided` is told on that thread whether somebody wants the node to end.
    Without an answer nobody does: then nothing is published, and the next try takes over.
    """

    def __init__(self, still_runs: Callable[[], bool], decided: Callable[[bool], None]) -> None:
        self._still_runs, self._decided = still_runs, decided
        self._asked, self._wanted, self._over = False, False, threading.Event()
        self._read, self._write = os.pipe()
        self._thread = threading.Thread(target=self._wait, name="doubt", daemon=True)

    def __enter__(self) -> Doubt:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.write(self._write, _END)
        self._thread.join()
        os.close(self._read)
        os.close(self._write)

    def ask(self) -> None:
        """Have it asked. For signal handlers too, which must neither wait nor take a lock."""
        self._asked = True
        os.write(self._write, _ASK)

    def is_wanted(self) -> bool:
        """Whether somebody wants the node to end; waits up to PATIENCE for that. False when not asked yet."""
        if self._asked:
            self._over.wait()
        return self._wanted

    def _wait(self) -> None:
        if os.read(self._read, 1) == _ASK:
            answers: list[bool] = []
            asking = threading.Thread(target=self._ask, args=(answers,), name="ask", daemon=True)
            asking.start()
            asking.join(PATIENCE)
            self._wanted = answers == [False]
            self._over.set()
            self._decided(self._wanted)

    def _ask(self, answers: list[bool]) -> None:
        with contextlib.suppress(Exception):  # whatever Airflow raises when it cannot answer
            answers.append(self._still_runs())
