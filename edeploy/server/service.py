"""What the requests of both APIs work with."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edeploy.bmc.file import Bmc
from edeploy.boot.ipxe import BootSettings
from edeploy.images.store import Store
from edeploy.machines.database import Database
from edeploy.machines.policy import Policy
from edeploy.server.profiles import ProfileShelf


def _nobody() -> None:
    """Nobody waits for it yet."""


@dataclass
class Service:
    """One running server. `wake` tells the keeper of deadlines to look again, `judge` that results
    of a health test came in."""

    database: Database
    store: Store
    shelf: ProfileShelf
    policy: Policy
    boot: BootSettings
    rsync_port: int | None
    allow_unsigned: bool
    logs: Path
    bmcs: Sequence[Bmc] = ()
    wake: Callable[[], None] = field(default=_nobody)
    judge: Callable[[], None] = field(default=_nobody)

    def now(self) -> float:
        """Unix seconds: deadlines must mean the same after a restart."""
        return time.time()
