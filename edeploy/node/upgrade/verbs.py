"""The client's commands: `edeploy-node upgrade V` and its like, for people and as JSON."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import enum
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Callable

from edeploy.errors import EdeployError
from edeploy.images.ways import NoWay, way
from edeploy.node.boot import Loader, loader_of
from edeploy.node.upgrade import source
from edeploy.node.upgrade.drift import STATE, Cause, Drift, drift
from edeploy.node.upgrade.help import HELP
from edeploy.node.upgrade.here import Here, here
from edeploy.node.upgrade.here import manifest_of_running as manifest_of
from edeploy.node.upgrade.live.live import (
    read_live,
    refuse_half_way,
    rollback_live,
    upgrade_live,
)
from edeploy.node.upgrade.owned import excluded_paths
from edeploy.node.upgrade.preview import Preview, preview
from edeploy.node.upgrade.stage import versions
from edeploy.node.upgrade.standing import BOOT, Standing, version_of
from edeploy.node.upgrade.state import Phase, read_state
from edeploy.node.upgrade.trial import note_return
from edeploy.node.upgrade.upgrade import Upgraded, merge_late, rollback, upgrade

SHOWN = 20
# What differs, and nothing else is wrong.
DIFFERS = 1


class _Terminal:
    """Progress for somebody who looks, on stderr: stdout is the answer."""

    def say(self, line: str) -> None:
        print(line, file=sys.stderr)

    def progress(self, done: int, total: int, unit: str) -> None:
        if sys.stderr.isatty():
            end = "\n" if done == total else "\r"
            print(f"{done / 1e6:.1f} of {total / 1e6:.1f} MB", end=end, file=sys.stderr)


def run_verb(words: Sequence[str], root: Path = Path("/")) -> int:
    """Run a command. Exit status: 0 done, 1 an error that was told or a difference, 2 usage.

    Raises EdeployError.
    """
    arguments = _parser().parse_args(words)
    machine = here(root, lambda line: print(line, file=sys.stderr))
    verb: Callable[[Here, argparse.Namespace], int] = arguments.verb
    return verb(machine, arguments)


def _list(machine: Here, arguments: argparse.Namespace) -> int:
    node = machine.node
    edges = source.edges(machine.server, node.role)
    rows: list[dict[str, object]] = []
    for version in source.offers(machine.server, node.role):
        row: dict[str, object] = {"version": version, "runs": version == node.version}
        if version != node.version:
            try:
                path = way(edges, node.version, version)
                row["edges"] = [edge.new for edge in path]
                row["bytes"] = sum(edge.size for edge in path)
                row["barrier"] = next((edge.barrier for edge in path if edge.barrier), "")
                row["reboot"] = next((edge.reboot for edge in path if edge.reboot), "")
            except NoWay:
                row["edges"] = []
        rows.append(row)
    if arguments.json:
        return _json({"role": node.role, "versions": rows})
    for row in rows:
        print(f"{node.role} {row['version']}  {_way_words(row)}")
    return 0


def _way_words(row: dict[str, object]) -> str:
    if row["runs"]:
        return "runs"
    size = row.get("bytes")
    if not isinstance(size, int):
        return "no edge leads there: upgrade takes what differs by rsync"
    words = f"{size / 1e6:.1f} MB"
    if row["barrier"]:
        words += f", stops on the way: {row['barrier']}"
    return f"{words}, reboot: {row['reboot']}" if row["reboot"] else words


def _test(machine: Here, arguments: argparse.Namespace) -> int:
    found = preview(machine, arguments.version, _Terminal())
    if arguments.json:
        return _json(dataclasses.asdict(found))
    _say_preview(found)
    return 0


def _say_preview(found: Preview) -> None:
    print(f"to {found.version} by {', '.join(found.edges) or 'no edge'}")
    if found.goal != found.version:
        print(f"a barrier stops the way to {found.goal} there")
    size = "what differs" if found.transfer < 0 else f"{found.transfer / 1e6:.1f} MB"
    print(
        f"over the wire {size}, new on the disk {found.new_bytes / 1e6:.1f} MB"
        f" of {found.free_bytes / 1e6:.0f} MB free"
    )
    print(f"reboot: {found.reboot or 'into the new version; its kernel is the same'}")
    for word, paths in (
        ("new", found.added), ("gone", found.removed), ("changed", found.changed),
        ("unit", found.services), ("/etc changed here and there, ours stays:", found.etc_overlaps),
    ):  # fmt: skip
        for path in paths[:SHOWN]:
            print(f"{word} {path}")
        if len(paths) > SHOWN:
            print(f"{word}: {len(paths) - SHOWN} more, see --json")
    if found.etc_conflict:
        print(found.etc_conflict)


def _upgrade(machine: Here, arguments: argparse.Namespace) -> int:
    if arguments.live:
        return _upgrade_live(machine, arguments)
    refuse_half_way(machine)
    loader, said = loader_of(machine.places), Standing(machine)
    with said.upgrade(arguments.version) as on_phase:
        done = upgrade(machine, arguments.version, loader, _Terminal(), on_phase)
    said.tell_all()
    if arguments.json:
        _json(dataclasses.asdict(done))
    else:
        _say_upgraded(done, loader)
    if arguments.reboot:
        said.tell(BOOT, done.version)
        loader.restart()
    return 0


def _upgrade_live(machine: Here, arguments: argparse.Namespace) -> int:
    said = Standing(machine)
    with said.upgrade(arguments.version) as on_phase:
        done = upgrade_live(machine, arguments.version, _Terminal(), on_phase)
    said.tell_all()
    if arguments.json:
        _json(dataclasses.asdict(done))
    else:
        print(f"{machine.node.role} is {done.version}: {done.paths} paths changed")
        if done.reboot:
            print("a hook asks for a reboot")
    if arguments.reboot and done.reboot:
        loader_of(machine.places).restart()
    return 0


def _say_upgraded(done: Upgraded, loader: Loader) -> None:
    for line in done.ways:
        print(line)
    for path in done.overlaps:
        print(f"/etc/{path}: changed here and in the image; ours stays")
    if done.goal != done.version:
        print(f"a barrier lies before {done.goal}: upgrade again when {done.version} runs")
    print(f"{done.name} is complete; {loader.tried_by()}, and goes back if it does not come up")


def _rollback(machine: Here, arguments: argparse.Namespace) -> int:
    waiting = read_state(machine.places.state).phase in (Phase.ARMED, Phase.TRIAL)
    if read_live(machine) and not waiting:
        words = rollback_live(machine)
        Standing(machine).tell_all()
        return _json({"done": words}) if arguments.json else _print(words)
    loader = loader_of(machine.places)
    words = rollback(machine, loader)
    Standing(machine).tell_all()
    if arguments.json:
        _json({"done": words})
    else:
        print(words)
    if arguments.reboot and "next boot" in words:
        loader.restart()
    return 0


def _verify(machine: Here, arguments: argparse.Namespace) -> int:
    root = machine.places.tree(machine.name) if machine.deployed else machine.root
    without = () if machine.deployed else STATE
    found = drift(root, manifest_of(machine), excluded_paths(machine.root), without)
    ours = [item for item in found if item.ours]
    counted = [item for item in found if not item.ours]
    if arguments.json:
        _json(
            {
                "version": machine.name,
                "drift": [_row(item) for item in counted],
                "excluded": [_row(item) for item in ours],
            }
        )
    else:
        for cause in Cause:
            same = [item for item in counted if item.cause is cause]
            for item in same:
                print(f"{cause.value} {item.path}: {item.what}")
        print(
            f"{machine.name}: {len(counted) or 'no'} paths differ from the image,"
            f" and {len(ours)} that are this machine's own"
        )
    return DIFFERS if counted else 0


def _row(item: Drift) -> dict[str, str]:
    return {"path": item.path, "cause": item.cause.value, "what": item.what}


def _status(machine: Here, arguments: argparse.Namespace) -> int:
    # Where no unit did it: in the system from before the first upgrade, and after a power cut.
    with contextlib.suppress(EdeployError, OSError):
        note_return(machine.root)
    state = read_state(machine.places.state)
    facts: dict[str, object] = {
        "machine": machine.node.machine,
        "role": machine.node.role,
        "version": machine.node.version,
        "runs": machine.name,
        "phase": state.phase.value,
        "good": state.good or machine.name,
        "trial": state.trial,
        "before": state.before,
        "why": state.why,
        "overlaps": list(state.overlaps),
        "kept": [*versions(machine.places)],
    }
    if arguments.json:
        return _json(facts)
    print(f"{facts['machine']}: {facts['role']} {facts['version']} ({_runs_words(machine)})")
    print(_phase_words(state.phase, state.good, state.trial, state.why))
    print(f"kept: {', '.join(str(name) for name in versions(machine.places)) or 'nothing else'}")
    return 0


def _runs_words(machine: Here) -> str:
    if machine.deployed and version_of(machine.name, machine.node.role) != machine.node.version:
        return f"{machine.name}, changed in place since"
    return machine.name


def _phase_words(phase: Phase, good: str, trial: str, why: str) -> str:
    return {
        Phase.IDLE: "nothing is under way",
        Phase.STAGING: "an upgrade was begun and did not end: run it again",
        Phase.VERIFIED: f"{trial} is complete, and not armed: run the upgrade again",
        Phase.ARMED: f"the next boot tries {trial}; {good} is the way back",
        Phase.TRIAL: f"{trial} is on trial; {good} is the way back",
        Phase.ROLLED_BACK: f"went back to {good}: {why}",
    }[phase]


def _late(machine: Here, arguments: argparse.Namespace) -> int:
    overlaps = merge_late(machine)
    state = read_state(machine.places.state)
    if state.phase is Phase.ARMED:
        Standing(machine).tell(BOOT, version_of(state.trial, machine.node.role))
    return _json({"overlaps": overlaps}) if arguments.json else 0


def _one(name: str) -> Callable[[Here, argparse.Namespace], int]:
    def show(machine: Here, arguments: argparse.Namespace) -> int:
        value = str(getattr(machine.node, name))
        if arguments.json:
            return _json({name: value})
        print(value)
        return 0

    return show


VERBS: dict[str, Callable[[Here, argparse.Namespace], int]] = {
    "list": _list,
    "test-upgrade": _test,
    "upgrade": _upgrade,
    "rollback": _rollback,
    "verify": _verify,
    "status": _status,
    "version": _one("version"),
    "role": _one("role"),
    "profile": _one("profile"),
    "etc-late": _late,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="edeploy-node")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, verb in VERBS.items():
        command = commands.add_parser(name, help=HELP[name])
        command.add_argument("--json", action="store_true", help="print one JSON document")
        command.set_defaults(verb=verb)
        if name in ("upgrade", "test-upgrade"):
            command.add_argument("version", metavar="VERSION")
        if name in ("upgrade", "rollback"):
            if name == "upgrade":
                command.add_argument("--live", action="store_true", help="without a boot")
            command.add_argument("--reboot", action="store_true", help="reboot when it is done")
    return parser


def _print(words: str) -> int:
    print(words)
    return 0


def _json(data: object) -> int:
    print(json.dumps(data, indent=1, default=_plain))
    return 0


def _plain(value: object) -> object:
    if isinstance(value, enum.Enum):
        return value.value
    raise EdeployError(f"{value!r} cannot be told as JSON")
