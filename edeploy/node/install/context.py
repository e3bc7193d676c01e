"""What an install's phases get to work with, and where they leave what they decide."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edeploy.errors import EdeployError
from edeploy.images.signature import SIGNERS
from edeploy.node.install.image import TrustedImage

if TYPE_CHECKING:
    from edeploy.inventory.items import Report
    from edeploy.node.cmdline import Arguments
    from edeploy.node.http import Server

ROOT = Path("/chroot")


class BadJob(EdeployError):
    """The server's answer to POST /v1/install is not what this agent understands."""


class InstallStopped(EdeployError):
    """The server ended this install; raised by `progress` and `log` inside a phase."""


@dataclass(frozen=True)
class InstallJob:
    """What POST /v1/install returned. `deadline` is in Unix seconds; `session` is a secret."""

    session: str = field(repr=False)
    machine: str
    profile: str
    vars: Mapping[str, str]
    configure: str = field(repr=False)
    fetch: str
    on_success: str
    on_failure: str
    kernel_arguments: str
    deadline: float
    done: tuple[str, ...] = ()
    # For the ESP: the boot script finds the loader of this install by it.
    boot_label: str = ""

    @classmethod
    def from_answer(cls, answer: Mapping[str, object]) -> InstallJob:
        """The job in the server's JSON; raises BadJob naming the field that is wrong."""
        variables = answer.get("vars")
        deadline = answer.get("deadline")
        done = answer.get("done", [])
        if not isinstance(variables, dict):
            raise BadJob("the server's install answer: `vars` is no object")
        if not isinstance(deadline, (int, float)):
            raise BadJob("the server's install answer: `deadline` is no number")
        if not isinstance(done, list):
            raise BadJob("the server's install answer: `done` is no list")
        return cls(
            session=_text(answer, "session"),
            machine=_text(answer, "machine"),
            profile=_text(answer, "profile"),
            vars={str(name): str(value) for name, value in variables.items()},
            configure=_text(answer, "configure"),
            fetch=_text(answer, "fetch"),
            on_success=_text(answer, "on_success"),
            on_failure=_text(answer, "on_failure"),
            kernel_arguments=_text(answer, "kernel_arguments"),
            deadline=float(deadline),
            done=tuple(str(phase) for phase in done),
            boot_label=str(answer.get("boot_label") or ""),
        )


class Tell(Protocol):
    """How a phase tells the server and the console what it does; never waits for either.

    All raise InstallStopped once the server has ended this install.
    """

    def progress(self, done: int, total: int, unit: str) -> None:
        """`done` of `total` (0: not known) in `unit`: `bytes`, `files` or `steps`."""

    def log(self, line: str) -> None:
        """A line for the machine's log; on the console only with VERBOSE=1."""

    def say(self, line: str) -> None:
        """A line for the console and the machine's log."""


@dataclass
class Decisions:
    """What phases found out and decided, for those after them."""

    role: str = ""
    version: str = ""
    # Set before a disk is touched.
    image: TrustedImage | None = None
    # The disk that the firmware boots, as /dev/disk/by-id/…
    disk: str = ""
    # For the installed system's kernel, after the role's own.
    kernel_arguments: list[str] = field(default_factory=list)
    # The version's name on the disk, such as web-1.0.0.1; "" when it is the only system there.
    deployed: str = ""


@dataclass
class InstallContext:
    """One install: the job, the ways out, and what is decided as it goes."""

    job: InstallJob
    # Already carries the session's secret.
    server: Server
    arguments: Arguments
    hardware: Report
    tell: Tell
    root: Path = ROOT
    # Those whose images may be installed; the file is there when the ramdisk was built with it.
    signers: Path = SIGNERS
    decisions: Decisions = field(default_factory=Decisions)
    # What must be undone (mounts, swap) whatever happens. The agent closes it after the last
    # phase, when kexec has read its kernel (so `root` stays mounted until then), or at a failure.
    undo: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def image(self) -> TrustedImage:
        """The image that was decided on. Raises EdeployError before the phase `configure`."""
        if self.decisions.image is None:
            raise EdeployError("no image was chosen yet", "The phase configure does that.")
        return self.decisions.image

    def progress(self, done: int, total: int, unit: str) -> None:
        """See `Tell.progress`."""
        self.tell.progress(done, total, unit)

    def log(self, line: str) -> None:
        """See `Tell.log`."""
        self.tell.log(line)

    def say(self, line: str) -> None:
        """See `Tell.say`."""
        self.tell.say(line)


def _text(answer: Mapping[str, object], name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str):
        raise BadJob(f"the server's install answer: `{name}` is no text")
    return value
