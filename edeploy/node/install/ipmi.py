"""What configure scripts may set up on the machine's own management controller (BMC)."""

from __future__ import annotations

import re

from edeploy.errors import EdeployError
from edeploy.node import timeouts
from edeploy.run import run

ADMINISTRATOR = "4"
LONGEST_PASSWORD = 16
_USER = re.compile(r"^(\d+) {1,}(\S*)", re.MULTILINE)


def setup_user(channel: int | str, user: str, password: str) -> None:
    """Give `user` this password and the rights of an administrator on a channel.

    Takes the slot that has the name, else the first without one. The password goes to ipmitool's
    standard input: arguments can be read by every process, and are logged.
    """
    if not 0 < len(password) <= LONGEST_PASSWORD:
        raise EdeployError(
            "ipmi.setup_user: the password must have 1 to 16 characters",
            "IPMI 1.5 stores no more than 16.",
        )
    slot = _slot(_ipmitool("user", "list", str(channel)), user)
    _ipmitool("user", "set", "name", slot, user)
    _ipmitool("user", "set", "password", slot, stdin=f"{password}\n{password}\n")
    privilege = f"privilege={ADMINISTRATOR}"
    _ipmitool(
        "channel", "setaccess", str(channel), slot, "callin=on", "ipmi=on", "link=on", privilege
    )
    _ipmitool("user", "enable", slot)


def setup_network(
    channel: int | str, ip: str, netmask: str, gateway: str, vlan_id: int = -1
) -> None:
    """Give the BMC a fixed address; `vlan_id` -1 stands for none."""
    settings = (
        ("ipsrc", "static"),
        ("ipaddr", ip),
        ("netmask", netmask),
        ("defgw", "ipaddr", gateway),
        ("vlan", "id", str(vlan_id) if vlan_id >= 0 else "off"),
    )
    for words in settings:
        _ipmitool("lan", "set", str(channel), *words)


def restart_bmc() -> None:
    """Restart the BMC, as some need to after a change."""
    _ipmitool("mc", "reset", "cold")


def _slot(listing: str, user: str) -> str:
    """The number of the slot to use, of what `ipmitool user list` prints."""
    slots = [
        (number, "" if name in ("true", "false") else name)
        for number, name in _USER.findall(listing)
    ]
    # Slot 1 is the user without a name, in every BMC.
    usable = [(number, name) for number, name in slots if number != "1"]
    for number, name in (*usable, *((number, user) for number, name in usable if not name)):
        if name == user:
            return str(number)
    raise EdeployError(
        f"ipmi.setup_user: the BMC has no free slot for {user!r}",
        "Remove a user: ipmitool user list CHANNEL.",
    )


def _ipmitool(*words: str, stdin: str = "") -> str:
    return run(["ipmitool", *words], stdin=stdin, timeout=timeouts.BMC).out
