"""A disk whose power goes at a given moment, and what the firmware and GRUB make of it then.

The kernel is told to shut the file system down without writing its log out (FS_IOC_SHUTDOWN): what
was not on the disk by then is lost, in memory and in the journal, as it is with the power. What is
modelled is a disk without a write cache of its own, or one that honours flushes.
"""

import contextlib
import ctypes
import fcntl
import mmap
import os
import signal
import struct
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from edeploy import atomic
from edeploy.node.boot import grub
from edeploy.node.boot.grubenv import read_env, write_env
from edeploy.node.mounts import below

# linux/fs.h and xfs_fs.h: _IOR('X', 125, __u32), and the flag that leaves the log unwritten.
SHUTDOWN, WITHOUT_LOG = 0x8004587D, 2
FITHAW = 0xC0045878
CLONE_NEWNS = 0x20000
# What GRUB sees: the disk as it is, with nothing of the journal in its place.
AS_IT_IS = {"ext4": "ro,noload", "xfs": "ro,norecovery,nouuid"}
_SIZES = {"ext4": 64 << 20, "xfs": 320 << 20}
_PATIENCE = 60.0


def unmount(point: Path) -> None:
    """Unmount what is there and below, if anything is, and see it gone: what stays would be
    mounted again, dead as it is."""
    # A process that was killed may hold a file for some more moments.
    end = time.monotonic() + _PATIENCE
    while below(point):
        subprocess.run(["umount", "-Rq", point], capture_output=True, check=False)
        assert time.monotonic() < end, f"{point} stays busy"


@contextlib.contextmanager
def own_mounts() -> Iterator[None]:
    """What is mounted meanwhile is seen by nobody else: a process with mounts of its own would
    keep a file system alive that has lost its power."""
    libc = ctypes.CDLL(None, use_errno=True)
    folder = Path.cwd()
    with open("/proc/self/ns/mnt", "rb") as before:
        if libc.unshare(CLONE_NEWNS) != 0:
            raise OSError(ctypes.get_errno(), "mounts of its own")
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        try:
            yield
        finally:
            if libc.setns(before.fileno(), CLONE_NEWNS) != 0:
                raise OSError(ctypes.get_errno(), "back to the mounts of all")
            os.chdir(folder)


@dataclass(frozen=True)
class Disk:
    """A file with a file system, and where it is mounted when it is."""

    kind: str
    file: Path
    point: Path

    def make(self) -> None:
        """A new file system."""
        with open(self.file, "wb") as stream:
            stream.truncate(_SIZES[self.kind])
        subprocess.run([f"mkfs.{self.kind}", "-q", self.file], check=True)
        self.point.mkdir(exist_ok=True)

    def copy(self, other: "Disk") -> None:
        """Become as another disk is, which must not be mounted."""
        words: list[str | Path] = ["cp", "--sparse=always", "--reflink=auto", other.file, self.file]
        subprocess.run(words, check=True)
        self.point.mkdir(exist_ok=True)

    @contextlib.contextmanager
    def mounted(self, options: str = "rw") -> Iterator[Path]:
        """Mounted for the length of a `with`, and really gone after it."""
        subprocess.run(["mount", "-o", f"loop,{options}", self.file, self.point], check=True)
        try:
            yield self.point
        finally:
            unmount(self.point)

    def cut(self) -> None:
        """The power goes now."""
        handle = os.open(self.point, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(handle, SHUTDOWN, struct.pack("I", WITHOUT_LOG))
            # Killed between freeze and thaw, somebody would wait for the thaw for ever.
            with contextlib.suppress(OSError):
                fcntl.ioctl(handle, FITHAW, 0)
        finally:
            os.close(handle)


@dataclass(frozen=True)
class Cut:
    """When the power goes: at the call of a function of the client, counted from its start, or
    after some seconds; and when the kernel wrote out what it had by then, as it does every some
    seconds, None for not at all."""

    after: float | None = None
    step: int | None = None
    written_out: float | None = None


@dataclass(frozen=True)
class Came:
    """How far a process came: what it was doing, how many functions of the client it had called,
    whether it was done, and the seconds that it took."""

    doing: str
    steps: int
    done: bool
    seconds: float


class Watched:
    """What a process of ours does, told where its killer reads it."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 4096)
        self._process = 0
        self._steps = 0
        self._at_step: Callable[[], None] = lambda: None
        self._step: int | None = None

    def read(self) -> tuple[str, int]:
        """The innermost function of the client that was running, and how many were called."""
        (steps,) = _COUNT.unpack_from(self._memory)
        name = self._memory[_COUNT.size :].split(b"\0")[0].decode()
        return name or "not begun", steps

    def start(self, step: int | None, at_step: Callable[[], None]) -> None:
        """In the process: follow the client's functions, and call `at_step` at that many."""
        self._process, self._step, self._at_step = os.getpid(), step, at_step
        sys.setprofile(self._on_event)

    def _on_event(self, frame: FrameType, event: str, _: object) -> None:
        if event not in ("call", "return") or os.getpid() != self._process:
            return
        now = frame if event == "call" else frame.f_back
        while now and not _of_the_client(now.f_code.co_filename):
            now = now.f_back
        if now:
            code = now.f_code
            name = f"{Path(code.co_filename).stem}.{code.co_qualname}".encode()
            self._memory[_COUNT.size : _COUNT.size + len(name) + 1] = name + b"\0"
        if now is frame:
            self._steps += 1
            _COUNT.pack_into(self._memory, 0, self._steps)
            if self._steps == self._step:
                self._at_step()


_COUNT = struct.Struct("=Q")


def _of_the_client(file: str) -> bool:
    return "/edeploy/node/" in file or file.endswith("/edeploy/atomic.py")


def interrupted(disk: Disk, work: Callable[[], None], cut: Cut | None) -> Came:
    """Run `work` in a process of its own, and cut the disk's power in it; how far it came."""
    watched = Watched()
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:
        _carry_out(disk, work, watched, cut, go)
    os.close(go)
    os.read(ready, 1)
    os.close(ready)
    start = time.monotonic()
    if cut and cut.written_out is not None:
        _wait_until(start + cut.written_out)
        # It may have cut itself by then.
        with contextlib.suppress(OSError):
            atomic.sync_file_system(disk.point)
    status = _ended(child, None if cut is None or cut.after is None else start + cut.after)
    seconds = time.monotonic() - start
    if cut and status != -signal.SIGKILL:
        disk.cut()
    if status is None:
        _kill(child)
    assert status in (None, 0, -signal.SIGKILL), f"it failed in {watched.read()[0]}"
    doing, steps = watched.read()
    return Came(doing, steps, status == 0, seconds)


def _carry_out(
    disk: Disk, work: Callable[[], None], watched: Watched, cut: Cut | None, go: int
) -> NoReturn:
    """In the new process."""

    def power_goes() -> None:
        disk.cut()
        os.killpg(0, signal.SIGKILL)

    code = 1
    try:
        os.setsid()
        os.write(go, b"1")
        watched.start(cut.step if cut else None, power_goes)
        work()
        sys.setprofile(None)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _ended(child: int, moment: float | None) -> int | None:
    """How a child ended until a moment, waited for without end when there is none; None when it
    still runs."""
    if moment is None:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    _wait_until(moment)
    done, status = os.waitpid(child, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


def _kill(child: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)


def _wait_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


@dataclass(frozen=True)
class Start:
    """What GRUB starts: a version, whether as a trial, and its kernel's bytes."""

    name: str
    trial: bool
    kernel: bytes


def grub_starts(disk: Disk) -> Start:
    """What GRUB starts from the disk as it is, journal or not, and the count it writes down."""
    with disk.mounted(AS_IT_IS[disk.kind]) as root:
        folder = root / "boot/grub"
        text = (folder / grub.CONFIG).read_text()
        names = grub.names_in(text)
        env = read_env(folder / grub.ENV)
        name, trial = _choice(env, names)
        kernel = root / "boot/edeploy" / name / "vmlinuz"
        if not kernel.is_file():
            name, trial = names[0], False
            kernel = root / "boot/edeploy" / name / "vmlinuz"
        found = Start(name, trial, kernel.read_bytes())
        wholly = {path.name: path.read_bytes() for path in kernel.parent.iterdir()}
        assert "initrd" in wholly
    if trial:
        with disk.mounted() as root:
            file = root / "boot/grub" / grub.ENV
            write_env(file, {**env, grub.TRIES: str(int(env[grub.TRIES]) - 1)})
    return found


def _choice(env: dict[str, str], names: list[str]) -> tuple[str, bool]:
    """As the configuration that edeploy/node/boot/grub.py writes decides."""
    trial, tries = env.get(grub.TRIAL, ""), env.get(grub.TRIES, "")
    if trial and tries in [str(count) for count in range(1, grub.MOST_TRIES + 1)]:
        return (trial, True) if trial in names else (names[0], False)
    good = env.get(grub.GOOD, "")
    return (good, False) if good in names else (names[0], False)
