"""Tells the server that the installed system is up."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from edeploy import atomic
from edeploy.errors import EdeployError
from edeploy.node.http import Server, ServerRefused

NODE_FILE = Path("/etc/edeploy/node.json")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
UPTIME = Path("/proc/uptime")


class BadNodeFile(EdeployError):
    """The file that the install left is not readable, or not what it should be."""


@dataclass(frozen=True)
class Node:
    """/etc/edeploy/node.json. `call_home` is a secret, "" once it was used; `secret` is the one
    that the server gave for it, for all that is told later."""

    server: str
    machine: str
    role: str
    version: str
    profile: str
    call_home: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)


def read_node(path: Path = NODE_FILE) -> Node:
    """What the install wrote down. Raises BadNodeFile."""
    try:
        data = json.loads(path.read_bytes())
        return Node(
            **{name: str(data[name]) for name in ("server", "machine", "role", "version")},
            profile=str(data.get("profile", "")),
            call_home=str(data.get("call_home", "")),
            secret=str(data.get("secret", "")),
        )
    except OSError as error:
        raise BadNodeFile(
            f"{path}: {error.strerror}",
            "An installation writes it: it names the server, the role and the version.",
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadNodeFile(f"{path}: not what an install writes: {error}") from error


def call_home(path: Path = NODE_FILE) -> str:
    """Tell the server until it has accepted it, and keep the secret that it gives for this one;
    a line for the journal.

    Raises EdeployError when the server refuses or stays away; the system's unit tries again.
    """
    node = read_node(path)
    if not node.call_home:
        return f"{node.machine}: the server knows already"
    try:
        answer = Server(node.server, bearer=node.call_home, on_wait=print).post(
            "/v1/call-home",
            {
                "role": node.role,
                "version": node.version,
                "boot_id": BOOT_ID.read_text().strip(),
                "kernel": os.uname().release,
                "uptime_seconds": float(UPTIME.read_text().split()[0]),
            },
        )
    except ServerRefused as error:
        raise EdeployError(
            f"{node.machine}: {error.message}",
            error.hint or f"`edeploy machine log {node.machine}` on the server says more.",
        ) from error
    _change_secret(path, str(answer.get("secret", "")))
    return f"{node.machine}: runs {node.role} {node.version}, told {node.server}"


def _change_secret(path: Path, secret: str) -> None:
    data = json.loads(path.read_bytes())
    del data["call_home"]
    if secret:
        data["secret"] = secret
    atomic.write(path, json.dumps(data, indent=1) + "\n", mode=0o600)
