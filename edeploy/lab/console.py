"""Attaches a terminal to a machine's serial console."""

import os
import selectors
import socket
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edeploy.errors import EdeployError
from edeploy.lab.folder import MachineFolder

ESCAPE = b"\x1d"
ESCAPE_NAME = "Ctrl-]"

_CHUNK = 4096


def attach(
    folder: MachineFolder, keyboard: int, screen: int, *, on_connect: Callable[[], None]
) -> None:
    """Connect the file descriptors with the machine until the escape key or the machine's end.

    `on_connect` is called once the connection is there. A keyboard that is a terminal is in raw
    mode meanwhile. Raises EdeployError: the machine is off.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as console:
        try:
            console.connect(str(folder.console_socket))
        except OSError as error:
            raise EdeployError(
                f"machine {folder.path.name} has no console: it is off",
                f"`edeploy lab power on {folder.path.name}`; what it said is in "
                f"{folder.console_log}.",
            ) from error
        on_connect()
        with _raw(keyboard):
            _relay(console, keyboard, screen)


def _relay(console: socket.socket, keyboard: int, screen: int) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(console, selectors.EVENT_READ)
        selector.register(keyboard, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                data = os.read(key.fd, _CHUNK)
                if key.fileobj is console:
                    if not data:
                        return
                    _write(screen, data)
                    continue
                typed, escape, _ = data.partition(ESCAPE)
                console.sendall(typed)
                if escape or not data:
                    return


def _write(screen: int, data: bytes) -> None:
    while data:
        data = data[os.write(screen, data) :]


@contextmanager
def _raw(keyboard: int) -> Iterator[None]:
    if not os.isatty(keyboard):
        yield
        return
    before = termios.tcgetattr(keyboard)
    tty.setraw(keyboard)
    try:
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
