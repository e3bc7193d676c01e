"""The order of an installation: each phase may be begun again by an agent that was restarted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

from edeploy.node.install.bootloader import bootloader
from edeploy.node.install.configure import configure
from edeploy.node.install.context import InstallContext
from edeploy.node.install.fetch import fetch
from edeploy.node.install.finish import finish
from edeploy.node.install.verify import verify

Phase = Callable[[InstallContext], None]

PHASES: Sequence[tuple[str, Phase]] = (
    ("configure", configure),
    ("fetch", fetch),
    ("verify", verify),
    ("bootloader", bootloader),
    ("finish", finish),
)
