"""`edeploy-node`: what runs on machines, in the ramdisk and on the installed system."""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Callable, Optional

from edeploy import __version__
from edeploy.errors import EdeployError
from edeploy.node.upgrade.help import HELP

if TYPE_CHECKING:
    from edeploy.node.console import Console

# Each command imports what it needs when it runs: on a slow machine the first line on the
# console would come seconds later otherwise.


def main(words: Optional[Sequence[str]] = None) -> int:  # noqa: UP045 - Python 3.9 on machines
    """Run a command. Exit status: 0 done, 1 an error that was told, 2 wrong usage."""
    arguments = list(sys.argv[1:] if words is None else words)
    # The ramdisk's only command, without the time that argparse takes.
    command = agent if arguments == ["agent"] else _parse(arguments)
    try:
        return command()
    except EdeployError as error:
        print(f"edeploy-node: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def agent() -> int:
    """Run in the ramdisk; what shall follow is left in /run/edeploy/next."""
    from edeploy.node.console import Console, consoles

    console = Console(consoles())
    console.say(f"agent {__version__} started")
    end = _decide(console)
    console.say(f"end: {end}")
    from edeploy.node.agent import NEXT

    NEXT.parent.mkdir(parents=True, exist_ok=True)
    NEXT.write_text(f"{end}\n")
    return 0


def _decide(console: Console) -> str:
    from edeploy.node import cmdline
    from edeploy.node.agent import on_failure, run_agent

    arguments = cmdline.read()
    console.verbose = arguments.verbose
    try:
        return run_agent(arguments, console)
    except Exception:
        # Nobody above would tell the operator: the next process up is the ramdisk's first.
        console.say(traceback.format_exc())
        return on_failure(arguments, "")


def call_home() -> int:
    """At each start of the installed system."""
    from edeploy.node.callhome import call_home as call

    print(call())
    from edeploy.node.upgrade.standing import tell_at_start

    print(tell_at_start())
    return 0


def health() -> int:
    """After a start with a version on trial: confirm it, or restart."""
    from edeploy.node import timeouts
    from edeploy.node.upgrade.standing import tell_check
    from edeploy.node.upgrade.trial import judge
    from edeploy.run import run

    tell_check()
    print(judge(), flush=True)
    # It has as much patience as it takes to tell the server.
    words = ["systemctl", "--no-block", "restart", "edeploy-node.service"]
    run(words, timeout=timeouts.PROGRAM, check=False)
    return 0


def trial_overdue() -> int:
    """Give up a trial that did not come to an end."""
    from edeploy.node.upgrade.trial import overdue

    print(overdue(), flush=True)
    return 0


def boot_entries() -> int:
    """Write the boot loader's entries anew."""
    from edeploy.node.boot import loader_of
    from edeploy.node.boot.booted import physical_root
    from edeploy.node.upgrade.places import Places

    loader = loader_of(Places(physical_root()))
    loader.refresh()
    print(loader.describe())
    return 0


def detect() -> int:
    """Print this machine's report as JSON, a row a line."""
    import json

    from edeploy.node.detect import detect as look

    print("[" + ",\n ".join(json.dumps(row) for row in look().rows()) + "]")
    return 0


def measure(profile: str) -> int:
    """Run a test that only reads, and print its results as JSON; progress goes to stderr."""
    import json

    from edeploy.node.bench.order import TestOrder
    from edeploy.node.bench.programs import Stop
    from edeploy.node.bench.telling import Telling
    from edeploy.node.bench.tester import Test, run_test
    from edeploy.node.console import Console
    from edeploy.node.detect import detect as look
    from edeploy.node.detect.tree import Tree

    order = TestOrder.from_answer({"profile": profile})
    stop = Stop()
    telling = Telling(Console([sys.stderr.buffer]), None, stop)
    hardware = look()
    try:
        document = run_test(Test(order, Tree(), hardware, ("", 0), stop, telling))
    finally:
        telling.close()
    print(json.dumps({**document, "report": hardware.rows()}, indent=1))
    return 0


def verb(words: Sequence[str]) -> int:
    """Run one of the installed system's commands: upgrade, verify, status …"""
    from edeploy.node.upgrade.verbs import run_verb

    return run_verb(words)


_COMMANDS = {
    "agent": agent,
    "boot-entries": boot_entries,
    "call-home": call_home,
    "detect": detect,
    "health": health,
    "trial-overdue": trial_overdue,
}


def _parse(words: Sequence[str]) -> Callable[[], int]:
    import argparse

    parser = argparse.ArgumentParser(prog="edeploy-node", description="edeploy on a machine")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("agent", help="in the ramdisk: report, and do what the server answers")
    commands.add_parser("boot-entries", help="write the boot loader's entries anew")
    commands.add_parser("call-home", help="on the installed system: tell the server what runs")
    commands.add_parser("detect", help="print what this machine is")
    test = commands.add_parser("measure", help="run a test that only reads; print its results")
    test.add_argument("profile", choices=("quick", "full", "burn", "lab"))
    commands.add_parser("health", help="confirm a version on trial, or restart")
    commands.add_parser("trial-overdue", help="give up a trial that came to no end")
    parser.add_argument("--version", action="version", version=__version__)
    # Their own module, edeploy/node/upgrade/verbs.py, is slow to import.
    for name, text in HELP.items():
        commands.add_parser(name, help=text, add_help=False)
    found, rest = parser.parse_known_args(words)
    if found.command in HELP:
        return functools.partial(verb, words)
    if rest:
        parser.error(f"unknown arguments: {' '.join(rest)}")
    if found.command == "measure":
        return functools.partial(measure, found.profile)
    return _COMMANDS[found.command]


if __name__ == "__main__":
    sys.exit(main())
