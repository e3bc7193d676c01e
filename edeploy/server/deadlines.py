"""The keeper of deadlines: no machine stays in a leased state for ever."""

import asyncio
import logging
import time

from sqlalchemy.exc import SQLAlchemyError

from edeploy import timeouts
from edeploy.machines.database import Database
from edeploy.machines.failures import end_due, next_deadline

log = logging.getLogger("edeploy.deadlines")


class Deadlines:
    """Sleeps until the next deadline; `wake` when one may have become earlier."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def wake(self) -> None:
        """Look again; from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._changed.set)

    async def run(self) -> None:
        """End what is due, for ever; what became due while no server ran is ended at once."""
        self._loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            try:
                wait = await asyncio.to_thread(self._end_due)
            except SQLAlchemyError:
                # A disk that is full or a file that is locked must not end the keeper for good.
                log.exception("the records can not be read")
                wait = timeouts.DEADLINE_CHECK
            try:
                await asyncio.wait_for(self._changed.wait(), wait)
            except TimeoutError:
                continue

    def _end_due(self) -> float:
        with self._database.read() as session:
            following = next_deadline(session)
        if following is not None and following <= time.time():
            with self._database.write() as session:
                for name in end_due(session, now=time.time()):
                    log.warning("%s: its deadline passed", name)
                following = next_deadline(session)
        if following is None:
            return timeouts.DEADLINE_CHECK
        return min(max(following - time.time(), 0.0), timeouts.DEADLINE_CHECK)
