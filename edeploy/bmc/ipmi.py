"""Speaks IPMI with a BMC; only in a process of its own, see `edeploy.bmc.power`."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from pyghmi.exceptions import PyghmiException
from pyghmi.ipmi.command import Command

from edeploy.bmc.file import Bmc
from edeploy.bmc.power import Action, BmcError

POWER_CHANGE = 30.0
"""Seconds: a server's BMC tells the new power state some seconds after it switched."""

_LOOK_AGAIN = 0.5
"""IPMI has no event for a power state, so it is asked for until then."""


def power(bmc: Bmc, action: Action) -> str:
    """As `edeploy.bmc.power.power`. Raises BmcError."""
    with _session(bmc) as command:
        if action is Action.STATUS:
            return _state(command)
        if action in (Action.OFF, Action.CYCLE):
            _switch(command, bmc, "off")
        if action in (Action.ON, Action.CYCLE):
            _switch(command, bmc, "on")
        return "off" if action is Action.OFF else "on"


def boot_from_network_once(bmc: Bmc) -> None:
    """As `edeploy.bmc.power.boot_from_network_once`. Raises BmcError."""
    with _session(bmc) as command:
        answer = command.set_bootdev("network", persist=False)
        if "error" in answer:
            raise BmcError(f"BMC {bmc.name} ({bmc.address}): {answer['error']}")


@contextmanager
def _session(bmc: Bmc) -> Iterator[Command]:
    where = f"BMC {bmc.name} ({bmc.address})"
    try:
        command = Command(
            bmc=bmc.address, userid=bmc.username, password=bmc.password, port=bmc.port
        )
        try:
            yield command
        finally:
            command.ipmi_session.logout()
    except PyghmiException as error:
        raise BmcError(f"{where}: {_words(error)}", _next_step(error)) from error
    except OSError as error:
        raise BmcError(f"{where}: {error.strerror or error}") from error


def _words(error: PyghmiException) -> str:
    words = str(error) or type(error).__name__
    return "does not answer" if words == "timeout" else words


def _next_step(error: PyghmiException) -> str:
    words = str(error).lower()
    if "password" in words or "user" in words:
        return "Look at username and password in the BMC file."
    if "timeout" in words:
        return "Look at the address in the BMC file, and whether IPMI over LAN is on in the BMC."
    return ""


def _state(command: Command) -> str:
    return str(command.get_power()["powerstate"])


def _switch(command: Command, bmc: Bmc, wanted: str) -> None:
    command.set_power(wanted)
    deadline = time.monotonic() + POWER_CHANGE
    while _state(command) != wanted:
        if time.monotonic() > deadline:
            raise BmcError(
                f"BMC {bmc.name} ({bmc.address}): the machine is not {wanted} "
                f"{POWER_CHANGE:g} s after it was told"
            )
        time.sleep(_LOOK_AGAIN)
