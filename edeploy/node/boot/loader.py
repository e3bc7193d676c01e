"""What every way of booting can do; one class each, chosen by looking at the machine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from edeploy.errors import EdeployError
from edeploy.node import timeouts
from edeploy.run import run

TRIES = 3
"""How often a version on trial is started before the good one is again."""


class NotBootable(EdeployError):
    """A version cannot be started on this machine: no kernel, no such entry, no such loader."""


class Loader(ABC):
    """Starts one of this machine's versions; `good` whenever nothing else was asked for.

    The order: `prepare`, `arm`, `restart`; then, in the version on trial, `confirm` or a reboot.
    Every call may be repeated. All raise OSError, NotBootable and ProgramFailed.
    """

    @abstractmethod
    def prepare(self, names: Sequence[str], good: str) -> None:
        """Make all of `names` startable, and `good` what starts; each keeps its own kernel.

        Kernels of versions that are not in `names` go. All is on the disk afterwards; what starts
        next has not changed unless `good` has.
        """

    @abstractmethod
    def arm(self, name: str, tries: int = TRIES) -> None:
        """The next `tries` starts are of `name`, and those after them of the good one again.

        The one commit of an upgrade: one write that is there or not.
        """

    @abstractmethod
    def confirm(self, name: str) -> None:
        """`name` is the good one from now on, and nothing is on trial."""

    @abstractmethod
    def disarm(self) -> None:
        """Nothing is on trial any more."""

    @abstractmethod
    def good(self) -> str:
        """What starts when nothing is on trial, or an empty text before the first `prepare`."""

    @abstractmethod
    def armed(self) -> str:
        """What is on trial and has tries left, or an empty text."""

    @abstractmethod
    def refresh(self) -> None:
        """Write all entries anew, after a change of the kernel's arguments in /etc."""

    def restart(self) -> None:
        """Begin the restart into what is armed."""
        run(["systemctl", "reboot"], timeout=timeouts.PROGRAM)

    def tried_by(self) -> str:
        """For people: what starts a version that is armed."""
        return "the next boot tries it"

    @abstractmethod
    def describe(self) -> str:
        """For people: which loader this is, and how a trial works with it."""
