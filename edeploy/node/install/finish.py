"""The phase `finish`: what the installed system must know of itself, and all of it on the disk."""

from __future__ import annotations

import json
import os
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.images.signature import SIGNERS
from edeploy.node.install.context import Decisions, InstallContext
from edeploy.node.install.overlay import put

NODE_FILE = "/etc/edeploy/node.json"
CONF = "/var/lib/edeploy/conf"
LOG = "/var/log/edeploy"


def finish(context: InstallContext) -> None:
    """Leave identity, records and the secret for the first call home; then write all out."""
    answer = context.server.post("/v1/install/finish", {})
    secret = answer.get("call_home")
    if not isinstance(secret, str):
        raise EdeployError("the server gave no secret for the first call home")
    decided = context.decisions
    node = {
        "server": context.server.base,
        "machine": context.job.machine,
        "call_home": secret,
        "role": decided.role,
        "version": decided.version,
        "profile": context.job.profile,
    }
    put(context.root, NODE_FILE, json.dumps(node, indent=1) + "\n", mode=0o600)
    name_version(context.root, decided)
    if context.signers.is_file():
        # Upgrades are held to what this installation was held to.
        put(context.root, str(SIGNERS), context.signers.read_text())
    _leave_records(context)
    os.sync()


def name_version(root: Path, decided: Decisions) -> None:
    """Tell the new system which version of which role it is."""
    put(root, CONF, f"VERS={decided.version}\nROLE={decided.role}\n")


def _leave_records(context: InstallContext) -> None:
    """What was found and decided, for people: no variables, no script, no secret."""
    decided = context.decisions
    about = {
        "machine": context.job.machine,
        "profile": context.job.profile,
        "role": decided.role,
        "version": decided.version,
        "disk": decided.disk,
        "fetch": context.job.fetch,
        "kernel_arguments": decided.kernel_arguments,
    }
    put(context.root, f"{LOG}/install.json", json.dumps(about, indent=1) + "\n")
    rows = ",\n".join(json.dumps(row) for row in context.hardware.rows())
    put(context.root, f"{LOG}/hw.json", f"[{rows}]\n", mode=0o640)
