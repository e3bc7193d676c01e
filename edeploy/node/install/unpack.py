"""A compressed archive becomes a tree while it arrives."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import tempfile
from pathlib import Path
from typing import IO

from edeploy.node.follow import end_group
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
            zstd = self._start(["zstd", "-d", "-c", "-q"], subprocess.PIPE, subprocess.PIPE)
            if zstd.stdin is None or zstd.stdout is None:
                raise AssertionError("zstd was started without pipes")
            self._feed = zstd.stdin
            # Only tar may hold the end that it reads: zstd, and so `feed`, must see it die.
            with zstd.stdout as between:
                widen(between.fileno())
                self._start(tar_words(root), between.fileno(), subprocess.DEVNULL)
        except BaseException:
            self._stack.close()
            raise

    def _start(self, argv: list[str], stdin: int, stdout: int) -> subprocess.Popen[bytes]:
        words = self._stack.enter_context(tempfile.TemporaryFile())
        try:
            child = subprocess.Popen(
                argv, stdin=stdin, stdout=stdout, stderr=words, bufsize=0, start_new_session=True
            )
        except FileNotFoundError as error:
            raise ProgramMissing(f"{argv[0]}: not found in PATH") from error
        self._stack.callback(end_group, child)
        self._programs.append((argv, child, words))
        return child

    def feed(self, data: memoryview) -> None:
        """The next piece of the archive. Raises ProgramFailed when a program ended early."""
        while data:
            try:
                data = data[os.write(self._feed.fileno(), data) :]
            except BrokenPipeError:
                self._feed.close()
                raise self._failure() from None

    def finish(self) -> None:
        """All pieces were there: wait until the tree is. Raises ProgramFailed."""
        self._feed.close()
        codes = [child.wait() for _, child, _ in self._programs]
        if any(codes):
            raise self._failure()

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
        self._feed.close()
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
