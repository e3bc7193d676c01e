"""A compressed archive becomes a tree while it arrives."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import tempfile
from pathlib import Path
from typing import IO

from edeploy.node.install.follow import end_group
from edeploy.run import LAST_LINES, Done, ProgramFailed, ProgramMissing, failure

# As much as the kernel allows without asking: fewer turns between three processes.
_PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031


class Unpacker:
    """zstd and tar, fed piece by piece; what they had to say is in the error.

    At the end of `with` both are over, whatever happened.
    """

    def __init__(self, root: Path) -> None:
        self._stack = contextlib.ExitStack()
        self._programs: list[tuple[list[str], subprocess.Popen[bytes], IO[bytes]]] = []
        try:
            out = self._start(["zstd", "-d", "-c", "-q"], subprocess.PIPE, subprocess.PIPE)
            self._start(tar_words(root), out, subprocess.DEVNULL)
            # tar must see the end when zstd dies.
            os.close(out)
        except BaseException:
            self._stack.close()
            raise
        feed = self._programs[0][1].stdin
        self._feed = feed.fileno() if feed else -1

    def _start(self, argv: list[str], stdin: int, stdout: int) -> int:
        words = self._stack.enter_context(tempfile.TemporaryFile())
        try:
            child = subprocess.Popen(
                argv, stdin=stdin, stdout=stdout, stderr=words, bufsize=0, start_new_session=True
            )
        except FileNotFoundError as error:
            raise ProgramMissing(f"{argv[0]}: not found in PATH") from error
        self._stack.callback(end_group, child)
        self._programs.append((argv, child, words))
        if child.stdout is None:
            return -1
        widen(child.stdout.fileno())
        return os.dup(child.stdout.fileno())

    def feed(self, data: memoryview) -> None:
        """The next piece of the archive. Raises ProgramFailed when a program ended early."""
        while data:
            try:
                data = data[os.write(self._feed, data) :]
            except BrokenPipeError:
                self._close()
                raise self._failure() from None

    def finish(self) -> None:
        """All pieces were there: wait until the tree is. Raises ProgramFailed."""
        self._close()
        codes = [child.wait() for _, child, _ in self._programs]
        if any(codes):
            raise self._failure()

    def _close(self) -> None:
        feed = self._programs[0][1].stdin
        if feed:
            feed.close()

    def _failure(self) -> ProgramFailed:
        """The error of the program that was first to fail: tar's, unless zstd had words."""
        errors = []
        for argv, child, words in self._programs:
            code = child.wait()
            words.seek(0)
            text = words.read().decode(errors="replace").strip()
            if code and text:
                lines = "\n".join(text.splitlines()[-LAST_LINES:])
                return failure(Done(tuple(argv), code, "", lines))
            errors.append(failure(Done(tuple(argv), code, "", "")))
        return errors[-1]

    def __enter__(self) -> Unpacker:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._close()
        for _, child, _ in self._programs:
            if child.stdout:
                child.stdout.close()
        self._stack.close()


def tar_words(root: Path) -> list[str]:
    """The tar command that reads an archive from stdin and brings all that is in it."""
    return [
        "tar",
        "--extract", "--file=-", f"--directory={root}",
        "--xattrs", "--xattrs-include=*", "--acls",
        "--numeric-owner", "--same-owner", "--preserve-permissions",
        # Sorted by bytes, `a-b` stands between `a` and `a/c`: folders get their times at the end.
        "--delay-directory-restore",
        # The clock of a machine without battery is behind.
        "--warning=no-timestamp",
    ]  # fmt: skip


def widen(pipe: int) -> None:
    """Make a pipe as large as the kernel lets us."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(pipe, _F_SETPIPE_SZ, _PIPE_BYTES)
