"""The trigger behind a pipeline that starts when files of a new span are there. It lives in the triggerer.

What is new, `runtime.arriving` decides from names, sizes and the record; here it is asked now and then.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from tidemill.errors import TidemillError
from tidemill.runners.base.arrivals import files_arrived
from tidemill.runtime.arriving import SpanWatch
from tidemill.runtime.root import folder


class SpanTrigger(BaseEventTrigger):  # type: ignore[misc]  # Airflow is not there where types are checked
    """One event for each new span, one after the other. Its arguments are kept by Airflow: no secrets."""

    def __init__(
        self, *, pipeline: str, pattern: str, every: float, catch_up: bool, start: str, metadata: str,
        workdir: str, root: str,
    ) -> None:  # fmt: skip
        super().__init__()
        self.arguments = {
            "pipeline": pipeline, "pattern": pattern, "every": every, "catch_up": catch_up, "start": start,
            "metadata": metadata, "workdir": workdir, "root": root,
        }  # fmt: skip
        self._every = every
        self._metadata = metadata
        self._watch = SpanWatch(
            pipeline=pipeline, pattern=pattern, base=Path(workdir or folder(root)), catch_up=catch_up,
            start=start,
        )  # fmt: skip

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What Airflow makes the trigger from again."""
        return f"{type(self).__module__}.{type(self).__qualname__}", dict(self.arguments)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until somebody stops it. What is wrong with files or store may pass, so it is only logged."""
        from asgiref.sync import sync_to_async  # the triggerer answers for connections in its own loop

        look = sync_to_async(self._look, thread_sensitive=False)
        while True:
            try:
                span = await look()
            except (TidemillError, OSError) as error:
                self.log.warning("%s: %s", self.arguments["pattern"], error)
                span = None
            if span is not None:
                self.log.info("%s: span %s is there", self.arguments["pattern"], span)
                yield TriggerEvent(files_arrived(str(self.arguments["pattern"]), span))
            await asyncio.sleep(self._every)

    def _look(self) -> int | None:
        from tidemill.runners.airflow.connection import known_url

        with known_url(self._metadata).opened() as store:
            return self._watch.look(store)
