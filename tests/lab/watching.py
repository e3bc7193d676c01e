"""What others see while a machine changes: its service from outside, its state at the server."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from doors import Keyed
from racks import PATIENCE, SERIALS, machine

from edeploy.lab.box import Box
from edeploy.lab.demo import address_of

# Connects to a port again and again, and reads what the service says first. Each line: for how
# long no answer came, in seconds. Ends with the first answer after its input has ended.
ASK = """
import select, socket, sys, time
last = None
while True:
    ended = select.select([sys.stdin], [], [], 0.1)[0]
    try:
        with socket.create_connection((sys.argv[1], int(sys.argv[2])), 1) as connection:
            connection.settimeout(1)
            answered = bool(connection.recv(1))
    except OSError:
        answered = False
    if answered:
        now = time.monotonic()
        if last is None or now - last > 1:
            print(round(now - last, 1) if last else 0.0, flush=True)
        last = now
        if ended:
            break
    elif ended:
        time.sleep(0.1)
"""
OUTSIDE = 3306


@dataclass(frozen=True)
class Away:
    """Each time, in seconds, that a service gave no answer for more than one."""

    gaps: list[float]

    def __str__(self) -> str:
        return f"{sum(self.gaps):.1f} s in {self.gaps}"


@contextmanager
def asked(rack: Keyed) -> Iterator[dict[str, Away]]:
    """Ask the database of each machine from outside all the time; afterwards for how long each
    gave no answer."""
    away: dict[str, Away] = {}
    with ExitStack() as stack:
        asking = {name: stack.enter_context(_asking(rack, name)) for name in sorted(SERIALS)}
        yield away
        for name, child in asking.items():
            out = child.communicate("", timeout=PATIENCE)[0]
            first, *gaps = map(float, out.split())
            assert first == 0.0
            away[name] = Away(gaps)


@contextmanager
def _asking(rack: Keyed, name: str) -> Iterator[subprocess.Popen[str]]:
    known = machine(rack.box, name)
    assert known is not None
    argv = [sys.executable, "-c", ASK, address_of(known), str(OUTSIDE)]
    with subprocess.Popen(
        rack.box.lab.inside(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            yield child
        finally:
            child.terminate()


@contextmanager
def followed(box: Box) -> Iterator[dict[str, list[str]]]:
    """Look all the time how the server shows each machine: its states with phases, in turn."""
    shown: dict[str, list[str]] = {name: [] for name in SERIALS}
    over = threading.Event()

    def look() -> None:
        ended = False
        while not ended:
            # A last look after the end.
            ended = over.wait(0.2)
            for name, states in shown.items():
                known = machine(box, name)
                assert known is not None
                state = f"{known['state']} {known['phase'] or ''}".strip()
                if states[-1:] != [state]:
                    states.append(state)

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        try:
            yield shown
        finally:
            over.set()
            looking.result()
