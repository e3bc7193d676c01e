"""The phase `configure`: the operator's script decides, the server agrees, the disk is laid out."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import edeploy
from edeploy.errors import EdeployError
from edeploy.node.detect.disks import Disk, all_disks
from edeploy.node.detect.system import firmware
from edeploy.node.detect.tree import Tree
from edeploy.node.follow import follow
from edeploy.node.install import layout, places
from edeploy.node.install.context import InstallContext
from edeploy.node.install.disk import find_disk, fingerprint, refuse_if_used
from edeploy.node.install.partition import carry_out
from edeploy.node.install.trust import trusted_image
from edeploy.node.mounts import at, unmount_all

_SECRET = re.compile(r"pass|secret|token|private|community", re.IGNORECASE)
_SHORTEST_SECRET = 4
# Neither site nor runpy: each is a tenth of a second on an emulated machine.
_RUN_PRELUDE = "import sys; from edeploy.node.install.prelude import main; sys.exit(main(sys.argv))"


class ConfigureFailed(EdeployError):
    """The configure script failed, or did not decide what it must."""


@dataclass(frozen=True)
class Outcome:
    """What the script decided; `wish` is None when it made the file systems by hand."""

    role: str
    version: str
    disk: str
    wish: layout.Wish | None
    grub: tuple[str, ...]


def configure(context: InstallContext) -> None:
    """Run the script, plan, ask the server, write; may be done again from the start.

    Raises EdeployError (ConfigureFailed, NotTrusted, NoDisk, BadLayout, ServerRefused …); before
    the image is known to be good and the server agreed to a plan, nothing is written.
    """
    context.undo.callback(unmount_all, context.root)
    unmount_all(context.root)
    by_hand = not calls_layout(context.job.configure)
    if by_hand:
        _trust_before_it_runs(context)
        _announce_by_hand(context)
    outcome = run_script(context)
    _decide_image(context, outcome.role, outcome.version)
    wanted = (context.job.kernel_arguments, *outcome.grub, context.arguments.installed)
    context.decisions.kernel_arguments = [text.strip() for text in wanted if text.strip()]
    if outcome.wish is None:
        at(context.root)
        context.decisions.disk = _boot_disk(outcome.disk)
        return
    _lay_out(context, outcome.wish)
    context.decisions.disk = _boot_disk(outcome.disk or outcome.wish.disk)


def calls_layout(source: str) -> bool:
    """Whether a script calls layout(); one that does not makes its file systems by hand."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except SyntaxError:
        # The script's own process tells where.
        return True
    return any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "layout"
        for node in nodes
    )


def named_role(source: str) -> tuple[str, str] | None:
    """Role and version that a script gives to set_role as they are, without running it."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except SyntaxError:
        return None
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            words = [word.value for word in node.args[:2] if isinstance(word, ast.Constant)]
            texts = [word for word in words if isinstance(word, str)]
            if node.func.id == "set_role" and len(texts) == 2:
                return texts[0], texts[1]
    return None


def _trust_before_it_runs(context: InstallContext) -> None:
    """Such a script writes to disks itself: an image that it names is checked before."""
    named = named_role(context.job.configure) or ("", "")
    role = context.arguments.role or named[0]
    version = context.arguments.version or named[1]
    if role and version:
        trusted_image(context, role, version)


def _decide_image(context: InstallContext, role: str, version: str) -> None:
    decided = context.decisions
    decided.role = context.arguments.role or role
    decided.version = context.arguments.version or version
    decided.image = trusted_image(context, decided.role, decided.version)


def run_script(context: InstallContext) -> Outcome:
    """Run the script in a process of its own; raises ConfigureFailed with the script's line."""
    work, overlay = places.work(context.root), places.overlay(context.root)
    for folder in (work, overlay):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    work.chmod(0o700)
    job, result = work / "job.json", work / "result.json"
    variables = {"edeploy-profile": context.job.profile, **context.job.vars}
    name = f"{context.job.profile}.configure"
    hidden = secrets(variables)
    job.write_text(
        json.dumps(
            {
                "name": name,
                "source": context.job.configure,
                "vars": variables,
                "overlay": str(overlay),
            }
        )
    )
    # Wherever this package is: a folder, or the archive that machines get.
    package = Path(edeploy.__file__).parent.parent
    try:
        done = follow(
            [sys.executable, "-s", "-S", "-u", "-c", _RUN_PRELUDE, str(job), str(result)],
            on_line=lambda line: context.log(hide(line, hidden)),
            on_tick=lambda: context.progress(0, 0, "steps"),
            env={"PYTHONPATH": str(package)},
        )
        if not result.exists():
            raise ConfigureFailed(
                hide(f"{name}: the script's process died (status {done.code})\n{done.out}", hidden)
            )
        found = json.loads(result.read_text())
    finally:
        # Variables may be passwords.
        shutil.rmtree(work, ignore_errors=True)
    if "error" in found:
        raise ConfigureFailed(hide(str(found["error"]), hidden), hide(str(found["hint"]), hidden))
    return _outcome(found, name)


def secrets(variables: Mapping[str, str]) -> list[str]:
    """The values of variables that are secrets by their name, longest first."""
    found = {
        value
        for name, value in variables.items()
        if _SECRET.search(name) and len(value) >= _SHORTEST_SECRET
    }
    return sorted(found, key=len, reverse=True)


def hide(text: str, hidden: list[str]) -> str:
    """The text with `***` for each secret."""
    for secret in hidden:
        text = text.replace(secret, "***")
    return text


def _outcome(found: dict[str, object], name: str) -> Outcome:
    role, wish, grub = found.get("role"), found.get("layout"), found.get("grub")
    if not isinstance(role, dict):
        raise ConfigureFailed(
            f"{name}: the script did not call set_role(role, version)",
            "It names the image to install.",
        )
    return Outcome(
        role=str(role["role"]),
        version=str(role["version"]),
        disk=str(role["disk"]),
        wish=layout.Wish(**wish) if isinstance(wish, dict) else None,
        grub=tuple(str(text) for text in grub) if isinstance(grub, list) else (),
    )


def _lay_out(context: InstallContext, wish: layout.Wish) -> None:
    disk = find_disk(wish.disk, all_disks(Tree()))
    refuse_if_used(Tree(), disk)
    try:
        mark = fingerprint(disk)
    except OSError as error:
        raise ConfigureFailed(
            f"{disk.path}: {error.strerror}", "The disk cannot be read: see the kernel's log."
        ) from error
    plan = layout.make_plan(wish, disk, (firmware(Tree()),), mark, lambda: str(uuid.uuid4()))
    _send_plan(context, [(disk, plan.fingerprint)], plan.text())
    carry_out(plan, context.root, context.log)
    _prepend(places.overlay(context.root) / "etc/fstab", layout.fstab(plan))


def _announce_by_hand(context: InstallContext) -> None:
    """Tell the server before the script runs: nobody can know to which disks it will write."""
    marked = []
    for disk in all_disks(Tree()):
        if disk.real:
            try:
                marked.append((disk, fingerprint(disk)))
            except OSError as error:
                context.log(f"{disk.path}: {error.strerror}")
    text = [
        f"{context.job.profile}.configure makes its own partitions; it may write to any disk:",
        *(f"{disk.path} ({disk.by_id}, {disk.size / layout.GIB:.1f} GiB)" for disk, _ in marked),
    ]
    _send_plan(context, marked, text)


def _send_plan(context: InstallContext, disks: list[tuple[Disk, str]], text: list[str]) -> None:
    for line in text:
        context.log(line)
    body = {
        "disks": [
            {
                "path": disk.path,
                "by_id": disk.by_id,
                "serial": disk.serial,
                "wwn": disk.wwn,
                "size": disk.size,
                "fingerprint": mark,
            }
            for disk, mark in disks
        ],
        "text": "\n".join(text),
    }
    context.server.post("/v1/install/plan", body)


def _boot_disk(hint: str) -> str:
    if not hint:
        raise ConfigureFailed(
            "the configure script named no disk to boot",
            "Call layout(disk), or set_role(role, version, disk).",
        )
    known = all_disks(Tree())
    try:
        return find_disk(hint, known).by_id
    except EdeployError:
        # A script may have made the disk meanwhile: a RAID volume.
        if hint.startswith("/dev/") and os.path.exists(hint):
            return hint
        raise


def _prepend(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    old = path.read_text() if path.exists() else ""
    path.write_text(text + old)
