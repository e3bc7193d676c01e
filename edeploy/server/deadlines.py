"""No machine stays in a leased state for ever: what is due is ended."""

import logging
import time

from edeploy import timeouts
from edeploy.machines.database import Database
from edeploy.machines.failures import end_due, next_deadline

log = logging.getLogger("edeploy.deadlines")


def end_what_is_due(database: Database) -> float:
    """End all whose deadline passed, also while no server ran; seconds until the next one."""
    with database.read() as session:
        following = next_deadline(session)
    if following is not None and following <= time.time():
        with database.write() as session:
            for name in end_due(session, now=time.time()):
                log.warning("%s: its deadline passed", name)
            following = next_deadline(session)
    if following is None:
        return timeouts.DEADLINE_CHECK
    return min(max(following - time.time(), 0.0), timeouts.DEADLINE_CHECK)
