"""From n to n+1 on the running system, for changes that need no boot; and the way back.

The whole new version is staged and checked before anything changes. From the first rename on, a
kill leaves a journal: the same command goes on, `rollback` takes it back.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Callable

from edeploy import atomic
from edeploy.errors import EdeployError
from edeploy.images import rules, signature
from edeploy.images.ways import Edge
from edeploy.node.callhome import NODE_FILE
from edeploy.node.http import ServerRefused
from edeploy.node.upgrade import source
from edeploy.node.upgrade.here import Here, alone, current
from edeploy.node.upgrade.live.hooks import Ended, run_hook
from edeploy.node.upgrade.live.journal import Physical, apply, begin, read_journal, undo
from edeploy.node.upgrade.live.plan import actions
from edeploy.node.upgrade.owned import state_paths
from edeploy.node.upgrade.source import NotTrusted
from edeploy.node.upgrade.stage import (
    Current,
    Job,
    Tell,
    Whole,
    build_whole,
    copy_etc,
    keep_manifest,
    versions,
)
from edeploy.node.upgrade.state import Phase, read_state
from edeploy.node.upgrade.upgrade import NotNow


@dataclass(frozen=True)
class Live:
    """A live upgrade: its ends, and what of it is done; `undoing`: it is being taken back;
    `tree`: the version in whose tree it was, "" for the root itself."""

    old: str
    new: str
    pre: bool = False
    applied: bool = False
    post: bool = False
    reboot: bool = False
    undoing: bool = False
    tree: str = ""

    @property
    def half_way(self) -> bool:
        """Whether it was begun, or its way back was, and has not ended."""
        return self.undoing or not self.post


@dataclass(frozen=True)
class LiveDone:
    """What came of it: paths that changed, and whether a hook asked for a reboot."""

    version: str
    paths: int
    reboot: bool


def live_folder(machine: Here) -> Path:
    """Where the journal is, and what was replaced, until the next upgrade."""
    return machine.places.top / "live"


def read_live(machine: Here) -> Live | None:
    """The last live upgrade that can be gone on with or taken back; none when it was in another
    version's tree. Raises EdeployError."""
    live = _last(live_folder(machine))
    return live if live and live.tree == _tree(machine) else None


def _last(folder: Path) -> Live | None:
    try:
        return Live(**json.loads((folder / "live.json").read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise EdeployError(f"{folder}/live.json: damaged: {error}") from error


def upgrade_live(
    machine: Here, version: str, tell: Tell, on_phase: Callable[[str], None] = lambda _: None
) -> LiveDone:
    """Make the running system `version`, or go on with that after an interruption.

    `on_phase` hears of each of the server's phases that begins.

    Raises EdeployError. Before the first change the system is what it was; after it the same
    command goes on, and `rollback` takes it back.
    """
    with alone(machine.places):
        folder = live_folder(machine)
        live = read_live(machine)
        if live and live.undoing:
            raise NotNow(
                f"the way back from {live.new} to {live.old} was begun and has not ended",
                "Run: edeploy-node rollback",
            )
        if live is None or live.post:
            _refuse_elsewhere(machine, folder)
            live = _prepare(machine, version, folder, tell, on_phase)
        elif live.new != version:
            raise NotNow(
                f"a live upgrade to {live.new} was begun and has not ended",
                f"Run `upgrade --live {live.new}` again, or `rollback`.",
            )
        return _carry_out(machine, folder, live, on_phase)


def rollback_live(machine: Here) -> str:
    """Take the last live upgrade back; the words for it. Raises NotNow when there is none."""
    with alone(machine.places):
        folder = live_folder(machine)
        live, journal = read_live(machine), read_journal(folder)
        if live is None or (journal is None and not live.undoing):
            raise NotNow("there is no live upgrade to take back", "Run: edeploy-node status")
        live = _note(folder, replace(live, undoing=True))
        if journal:
            undo(journal, _physical(machine))
            _keep(machine, folder / "before", live.old)
            atomic.sync_file_system(machine.places.top)
            (folder / "journal.json").unlink()
            atomic.sync_folder(folder)
        # What says that there is something to take back goes last: this command, run again after
        # a kill, would else take back the upgrade before.
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
        shutil.rmtree(folder)
        return f"{machine.node.role} is {live.old} again; restart services that use what changed"


def _prepare(
    machine: Here, version: str, folder: Path, tell: Tell, on_phase: Callable[[str], None]
) -> Live:
    state = read_state(machine.places.state)
    if state.phase in (Phase.ARMED, Phase.TRIAL):
        raise NotNow(f"{state.trial} is on trial", "Confirm it or roll it back before.")
    now = current(machine)
    if version == now.version:
        raise NotNow(f"{now.role} {version} runs already", "Run: edeploy-node list")
    edge = _edge(machine, now, version)
    wanted = source.offer(machine.server, now.role, version)
    job = Job(machine.places, machine.server, now, wanted, [edge], machine.signers, tell)
    work = machine.places.stage("live")
    on_phase("stage")
    whole = build_whole(job, work)
    copy_etc(whole.tree / "etc", work / "etc-base", whole.entries)
    _fetch_rules(machine, edge, now.role, work, wanted.allow_unsigned)
    boot = machine.places.tree(machine.name) / "boot" if machine.deployed else None
    todo = actions(whole.tree, machine.root, work / "exclude", work / "add_only", boot=boot)
    _keep_what_says_what(now, whole, work)
    begin(work, todo, _physical(machine))
    live = _note(work, Live(now.version, version, tree=_tree(machine)))
    atomic.sync_file_system(machine.places.top)
    _put_in_place(work, folder)
    return live


def _put_in_place(work: Path, folder: Path) -> None:
    """From now on this is the last live upgrade. Until then the one before can be taken back, as
    a whole: with a part of what it replaced, the way back would lose files."""
    if folder.exists():
        atomic.exchange(work, folder)
    else:
        work.rename(folder)
    atomic.sync_folder(folder.parent)
    shutil.rmtree(work, ignore_errors=True)


def _edge(machine: Here, now: Current, version: str) -> Edge:
    found = [
        edge
        for edge in source.edges(machine.server, now.role)
        if (edge.old, edge.new) == (now.version, version)
    ]
    if not found:
        raise NotNow(
            f"no edge leads from {now.version} straight to {version}: live mode needs its rules",
            f"On the server: edeploy edge make {now.role} {now.version} {version}",
        )
    if found[0].reboot:
        raise NotNow(
            f"{version} needs a boot: {found[0].reboot}", f"Run: edeploy-node upgrade {version}"
        )
    return found[0]


def _fetch_rules(machine: Here, edge: Edge, role: str, work: Path, allow_unsigned: bool) -> None:
    """The edge's patterns and hooks; hooks run as root, so somebody must vouch for them."""
    base = f"/metadata/{edge.old}/{role}/{edge.new}"
    for name in rules.NAMES:
        # Of another edge, whose upgrade was killed here.
        (work / name).unlink(missing_ok=True)
    files: dict[str, bytes] = {}
    for name in rules.NAMES:
        with contextlib.suppress(ServerRefused):
            files[name] = machine.server.read(f"{base}/{name}")
    what = f"{role} {edge.old} {edge.new}"
    text = machine.server.read(f"{base}/rules")
    rules.check_rules(text.decode("ascii", "replace"), what, files)
    sig = b""
    with contextlib.suppress(ServerRefused):
        sig = machine.server.read(f"{base}/rules.sig")
    if machine.signers.is_file() and sig:
        space = signature.EDGE_NAMESPACE
        signature.check_signed(text, f"the edge {what}", sig, machine.signers, space)
    elif machine.signers.is_file() or not allow_unsigned:
        raise NotTrusted(
            f"the edge {what} is not signed, and its hooks run as root",
            "On the server: edeploy edge make with --key FILE",
        )
    for name, data in files.items():
        atomic.write(work / name, data, mode=0o700 if name in ("pre", "post") else 0o600)


def _keep_what_says_what(now: Current, whole: Whole, work: Path) -> None:
    """Manifest and pristine /etc of both ends, for the end and for the way back."""
    for folder in (work / "before", work / "after"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    atomic.write(work / "before/manifest", now.manifest)
    shutil.copytree(now.pristine_etc, work / "before/etc-base", symlinks=True)
    atomic.write(work / "after/manifest", whole.manifest)
    (work / "etc-base").rename(work / "after/etc-base")


def _carry_out(
    machine: Here, folder: Path, live: Live, on_phase: Callable[[str], None]
) -> LiveDone:
    journal = read_journal(folder)
    if journal is None:
        raise EdeployError(f"{folder}: the journal is not there", "Run: edeploy-node rollback")
    log = machine.root / "var/log/edeploy" / f"upgrade-{live.old}-{live.new}.log"
    if not live.pre:
        on_phase("pre")
        ended = run_hook(folder / "pre", live.old, live.new, log)
        live = _note(folder, replace(live, pre=True, reboot=ended is Ended.REBOOT))
    on_phase("apply")
    if not live.applied:
        apply(journal, _physical(machine))
        atomic.sync_file_system(machine.places.top)
        _keep(machine, folder / "after", live.new)
        # What says what runs must be there whole before anybody relies on it.
        atomic.sync_file_system(machine.places.top)
        live = _note(folder, replace(live, applied=True))
    if not live.post:
        ended = run_hook(folder / "post", live.old, live.new, log)
        again = live.reboot or ended is Ended.REBOOT
        live = _note(folder, replace(live, post=True, reboot=again))
    return LiveDone(live.new, len(journal.actions), live.reboot)


def _keep(machine: Here, kept: Path, version: str) -> None:
    """From now on the machine says that it is `version`."""
    places, node = machine.places, machine.node
    name = machine.name if machine.deployed else f"{node.role}-{version}.0"
    empty = Whole(kept, [], (kept / "manifest").read_bytes(), b"", 0, [])
    keep_manifest(places, name, empty)
    new = places.etc_base(name).with_name(f".{name}.new")
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(kept / "etc-base", new, symlinks=True)
    shutil.rmtree(places.etc_base(name), ignore_errors=True)
    new.rename(places.etc_base(name))
    if not machine.deployed:
        file = machine.root / NODE_FILE.relative_to("/")
        data = {**json.loads(file.read_bytes()), "version": version}
        atomic.write(file, json.dumps(data, indent=1) + "\n", mode=0o600)


def _physical(machine: Here) -> Physical:
    """Where a path of the running system really is: /usr is read-only where it is seen, and what
    is the machine's own lies on the disk's root."""
    tree = os.fsencode(machine.places.tree(machine.name))
    root = os.fsencode(machine.root)
    state = tuple(os.fsencode(each) for each in state_paths(machine.root))

    def physical(path: bytes) -> bytes:
        shared = any(path == each or path.startswith(each + b"/") for each in state)
        own = machine.deployed and not shared
        return os.path.join(tree if own else root, path)

    return physical


def _tree(machine: Here) -> str:
    return machine.name if machine.deployed else ""


def _refuse_elsewhere(machine: Here, folder: Path) -> None:
    """What another version needs to become whole again is not thrown away while that is kept."""
    last = _last(folder)
    if last is None or not last.half_way or last.tree == _tree(machine):
        return
    if not last.tree or last.tree in versions(machine.places):
        name = last.tree or f"the system of before the first upgrade ({last.old})"
        raise NotNow(
            f"a live upgrade to {last.new} was begun in {name}, and has not ended",
            f"Start that, and run `upgrade --live {last.new}` again or `rollback` there.",
        )


def refuse_half_way(machine: Here) -> None:
    """Raise NotNow when a live upgrade was begun in what runs, and has not ended."""
    live = read_live(machine)
    if live and live.half_way:
        words = "the way back from it" if live.undoing else "it"
        raise NotNow(
            f"a live upgrade to {live.new} was begun, and {words} has not ended",
            f"Run `upgrade --live {live.new}` again, or `rollback`.",
        )


def _note(folder: Path, live: Live) -> Live:
    atomic.write(folder / "live.json", json.dumps(asdict(live)) + "\n", mode=0o600)
    return live
