"""Waits for a task that gave its worker's slot back: Airflow's triggerer runs many of these in one process.

A trigger is kept in Airflow's database, so it holds no secret: an Airflow connection is there by its id,
and a URL with a password not at all. The store is asked in a thread, for the triggerer is one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import BaseHook
from airflow.triggers.base import BaseTrigger, TriggerEvent

from tidemill.errors import TidemillError
from tidemill.runners.airflow import names
from tidemill.runners.airflow.connection import Known, url_of
from tidemill.runners.base.waiting import Wait, over

FIRST, MOST, GROWTH = 1.0, 10.0, 1.5
"""Seconds between two looks: at first, in the end, and how they grow."""
PATIENCE = 60
"""Looks in a row that may fail, which is some minutes; then the task starts again and says what is wrong."""


class WaitTrigger(BaseTrigger):  # type: ignore[misc]  # Airflow is not there where types are checked
    """Fires once a node need not wait any more.

    metadata: the store as the DAG names it. wait: Wait.to_json(). answer: what Airflow before 3.3 needs to
    ask whether somebody answered on its page, the arguments of its own trigger.
    """

    def __init__(
        self, *, metadata: str, wait: Mapping[str, Any], answer: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.metadata = metadata
        self.wait = dict(wait)
        self.answer = dict(answer) if answer else None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As Airflow's database keeps it."""
        path = f"{type(self).__module__}.{type(self).__name__}"
        return path, {"metadata": self.metadata, "wait": self.wait, "answer": self.answer}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event: {"ready": since when the node could start}, or what was answered on Airflow's page."""
        over = asyncio.ensure_future(self._over(await _known(self.metadata)))
        page = None if self.answer is None else _Page(self.answer)
        waits = [over] if page is None else [over, page.answer]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            answered = await page.end() if page is not None else {}
            yield TriggerEvent({"ready": self.wait.get("ready", 0), **answered})
        finally:
            for one in waits:
                one.cancel()

    async def _over(self, known: Known) -> dict[str, Any]:
        wait = Wait.from_json(self.wait)
        pause, failed = FIRST, 0
        while failed < PATIENCE:
            try:
                if await asyncio.to_thread(_ask, known, wait):
                    break
                failed = 0
            except TidemillError as error:
                failed += 1
                self.log.warning("the metadata store does not answer: %s", error)
            left = wait.until / 1000 - time.time() if wait.until else pause
            await asyncio.sleep(max(0.0, min(pause, left)))
            pause = min(MOST, pause * GROWTH)
        return {}


def _ask(known: Known, wait: Wait) -> bool:
    if wait.until and time.time() * 1000 >= wait.until:
        return True
    with known.opened() as store:
        return over(store, wait, time.time())


async def _known(metadata: str) -> Known:
    """The store; see names.CONNECTION."""
    if not metadata.startswith(names.CONNECTION):
        return Known(metadata)
    connection = await BaseHook.aget_connection(metadata.removeprefix(names.CONNECTION))
    return url_of(connection)


class _Page:
    """Asks Airflow's page for an answer, by Airflow's own trigger.

    It is never canceled, for it may be asking just then: the answer to that would be read as the one to the
    next question of whichever trigger, which ends the triggerer of Airflow 3.1 (apache/airflow#64620). So it
    is told that its time is over, and ends at its next look.
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        from airflow.providers.standard.triggers.hitl import HITLTrigger

        self.trigger = HITLTrigger(**arguments)
        self.answer = asyncio.ensure_future(self._ask())

    async def _ask(self) -> dict[str, Any]:
        async with contextlib.aclosing(self.trigger.run()) as events:
            async for event in events:
                return dict(event.payload)
        return {}

    async def end(self) -> dict[str, Any]:
        """What somebody answered; empty for nothing."""
        self.trigger.timeout_datetime = datetime.now(UTC) - timedelta(seconds=1)
        found = await self.answer
        return found if found.get("chosen_options") else {}
