"""What a server does by itself, again and again: when it is woken, and when a time is over."""

import asyncio
import logging
from collections.abc import Callable

log = logging.getLogger("edeploy.keeper")


class Keeper:
    """Does its work in a thread, one at a time. `work` gives the seconds until it is done again
    though nobody wakes the keeper; after an error these are `again`."""

    def __init__(self, name: str, work: Callable[[], float], *, again: float) -> None:
        self._name = name
        self._work = work
        self._again = again
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def wake(self) -> None:
        """There is work; from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._woken.set)

    async def run(self) -> None:
        """Work for ever, at once as well: there may be work from when no server ran."""
        self._loop = asyncio.get_running_loop()
        while True:
            self._woken.clear()
            try:
                wait = await asyncio.to_thread(self._work)
            except Exception:
                # A full disk, a locked file or one machine's records must not end it for good.
                log.exception("%s: went wrong, tried again in %.0f s", self._name, self._again)
                wait = self._again
            try:
                await asyncio.wait_for(self._woken.wait(), wait)
            except TimeoutError:
                continue
