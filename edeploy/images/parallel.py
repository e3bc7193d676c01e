"""Runs one function over many numbers in forked processes: threads would wait for each other."""

from __future__ import annotations

import json
import os
import selectors
import signal
import struct
from collections.abc import Callable, Iterator

from edeploy.errors import EdeployError

_NUMBER = struct.Struct("=i")
# A pipe holds 64 KiB: all chunk numbers fit before anybody reads them.
_MOST_CHUNKS = 8192
_SMALLEST_CHUNK = 8


def cores() -> int:
    """How many processors this process may use."""
    return max(1, len(os.sched_getaffinity(0)))


class Side:
    """Forked processes that work through `range(count)`; ended and reaped by `close`.

    `task(number)` runs in a child and returns lines of text. A child that dies makes `results`
    raise EdeployError. The children start at once: the caller can do its own work before it
    reads the results.
    """

    def __init__(self, task: Callable[[int], list[str]], count: int, *, workers: int) -> None:
        self._task = task
        self._count = count
        self._chunk = max(_SMALLEST_CHUNK, -(-count // _MOST_CHUNKS))
        self._children: dict[int, int] = {}
        chunks = -(-count // self._chunk)
        todo, queue = os.pipe()
        try:
            for number in range(chunks):
                os.write(queue, _NUMBER.pack(number))
        finally:
            os.close(queue)
        try:
            for _ in range(min(workers, chunks)):
                self._start(todo)
        finally:
            os.close(todo)

    def _start(self, todo: int) -> None:
        results, out = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                for pipe in (results, *self._children):
                    os.close(pipe)
                self._work(todo, out)
                code = 0
            finally:
                # Not sys.exit: the parent's clean-up handlers and buffers are not the child's.
                os._exit(code)
        os.close(out)
        self._children[results] = child

    def _work(self, todo: int, out: int) -> None:
        with open(out, "w", encoding="ascii") as stream:
            while True:
                packed = os.read(todo, _NUMBER.size)
                if not packed:
                    return
                first = _NUMBER.unpack(packed)[0] * self._chunk
                numbers = range(first, min(first + self._chunk, self._count))
                stream.write(json.dumps([[number, self._task(number)] for number in numbers]))
                stream.write("\n")
                stream.flush()

    def results(self) -> Iterator[tuple[int, list[str]]]:
        """Every number with its result, in the order in which they are done."""
        rest: dict[int, bytes] = dict.fromkeys(self._children, b"")
        seen = 0
        with selectors.DefaultSelector() as selector:
            for pipe in rest:
                selector.register(pipe, selectors.EVENT_READ)
            while selector.get_map():
                for key, _ in selector.select():
                    data = os.read(key.fd, 1 << 16)
                    if not data:
                        selector.unregister(key.fd)
                        continue
                    *lines, rest[key.fd] = (rest[key.fd] + data).split(b"\n")
                    for line in lines:
                        for number, result in json.loads(line):
                            seen += 1
                            yield number, result
        if seen != self._count:
            raise EdeployError(
                f"a helper process died: {seen} of {self._count} results came back",
                "See the kernel's log (out of memory?), then try again.",
            )

    def close(self) -> None:
        """End and reap the children, whatever they still do."""
        while self._children:
            pipe, child = self._children.popitem()
            os.kill(child, signal.SIGKILL)
            os.close(pipe)
            os.waitpid(child, 0)

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
