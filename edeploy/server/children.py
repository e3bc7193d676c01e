"""dnsmasq and rsync as children: started, restarted when they die, never left behind."""

import asyncio
import logging
import os
import pwd
import select
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from edeploy import atomic, timeouts
from edeploy.errors import EdeployError

log = logging.getLogger("edeploy.children")

NETWORK_CAPABILITIES = "-all,+net_admin,+net_raw,+net_bind_service"
"""dnsmasq: ports under 1024, an interface of its own, ARP entries for machines without address."""

MAX_LOG_BYTES = 16 << 20
"""A child's log larger than this is moved to NAME.log.old at its next start."""


@dataclass(frozen=True)
class Child:
    """A program to keep running; it must stay in the foreground.

    `user`: run as this user with network capabilities only; empty: as this process.
    """

    name: str
    argv: tuple[str, ...]
    log: Path
    pid_file: Path
    user: str = ""


def command(child: Child) -> list[str]:
    """The whole command: the child dies with this process, even by SIGKILL.

    The kernel forgets the death signal when user or capabilities change, so setpriv sets it
    after them, and the child must not change them again.
    """
    words = ["setpriv"]
    if child.user:
        entry = pwd.getpwnam(child.user)
        words += [
            "--reuid", str(entry.pw_uid),
            "--regid", str(entry.pw_gid),
            "--clear-groups",
            "--inh-caps", NETWORK_CAPABILITIES,
            "--ambient-caps", NETWORK_CAPABILITIES,
            "--bounding-set", NETWORK_CAPABILITIES,
        ]  # fmt: skip
    return [*words, "--pdeathsig", "KILL", "--", *child.argv]


class Supervisor:
    """Runs the children in order, and ends them in the opposite order.

    `on_death` is called with the child's name and how it ended, and may take its time.
    """

    def __init__(self, children: Sequence[Child], on_death: Callable[[str, str], None]) -> None:
        self._children = children
        self._on_death = on_death
        self._keepers: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start all; needs a running loop, in the process's main thread."""
        self._keepers = [
            asyncio.create_task(self._keep(child), name=child.name) for child in self._children
        ]

    async def stop(self) -> None:
        """End all, the last started first."""
        for keeper in reversed(self._keepers):
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper

    async def _keep(self, child: Child) -> None:
        loop = asyncio.get_running_loop()
        wait = timeouts.CHILD_BACKOFF_FIRST
        while True:
            started = loop.time()
            how = await _run(child)
            log.error("%s ended (%s); its log: %s", child.name, how, child.log)
            await asyncio.to_thread(self._on_death, child.name, how)
            if loop.time() - started >= timeouts.CHILD_HEALTHY:
                wait = timeouts.CHILD_BACKOFF_FIRST
            await asyncio.sleep(wait)
            wait = min(wait * 2, timeouts.CHILD_BACKOFF_LAST)


def end_stale(child: Child) -> bool:
    """End the child of a server that was killed; True when there was one.

    The process number alone proves nothing: its command line must be the child's.
    """
    try:
        number = int(child.pid_file.read_text())
        handle = os.pidfd_open(number)
    except (OSError, ValueError):
        return False
    try:
        # Looked at after the handle is there: from now on the number can not mean another process.
        if tuple(psutil.Process(number).cmdline()) != child.argv:
            return False
        for end in (signal.SIGTERM, signal.SIGKILL):
            signal.pidfd_send_signal(handle, end)
            if select.select([handle], [], [], timeouts.STALE_CHILD)[0]:
                break
    except (ProcessLookupError, psutil.Error):
        return False
    finally:
        os.close(handle)
    log.warning("ended %s of a server that was killed", child.name)
    return True


async def _run(child: Child) -> str:
    """Run to its end, and say how it ended. When cancelled the child is ended first."""
    try:
        process = await _spawn(child)
    except (OSError, KeyError, EdeployError) as error:
        return f"can not start: {error}"
    log.info("%s runs, process %d", child.name, process.pid)
    try:
        status = await process.wait()
    except asyncio.CancelledError:
        await _end(child, process)
        raise
    finally:
        child.pid_file.unlink(missing_ok=True)
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"


async def _spawn(child: Child) -> asyncio.subprocess.Process:
    with suppress(FileNotFoundError):
        if child.log.stat().st_size > MAX_LOG_BYTES:
            os.replace(child.log, child.log.with_suffix(".log.old"))
    with open(child.log, "ab") as stream:
        process = await asyncio.create_subprocess_exec(
            *command(child),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"},
            start_new_session=True,  # Ctrl-C in a terminal is for the server, which ends its own
        )
    atomic.write(child.pid_file, str(process.pid))
    return process


async def _end(child: Child, process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), timeouts.CHILD_STOP)
    except TimeoutError:
        log.warning("%s does not end, killed", child.name)
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    log.info("%s ended", child.name)
