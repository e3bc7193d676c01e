"""`edeploy health` with a running server: test machines, watch them, compare them with before."""

import json
import time
import tomllib
from pathlib import Path

import click
from rich.live import Live

from edeploy.cli import health_tables as tables
from edeploy.cli import machine_tables
from edeploy.cli.cells import as_row, as_rows
from edeploy.cli.operators import SOCKET, post_each, show_answer
from edeploy.cli.options import json_option
from edeploy.errors import EdeployError
from edeploy.match.profile_settings import TESTS
from edeploy.server.client import OperatorsClient

LOOK_AGAIN = 1.0
"""Seconds between two looks of `watch`: agents tell their progress as often."""

NAMES = click.argument("names", metavar="NAME...", nargs=-1, required=True)
ANY_NAMES = click.argument("names", metavar="[NAME]...", nargs=-1)
_CAMPAIGN = '[[disks]] with serial = "…", and signatures = ["ext4"] when something is on it.'


@click.command()
@NAMES
@click.option("--profile", type=click.Choice(TESTS[1:]), help="Default: as before, else quick.")
@click.option(
    "--campaign",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Tests that write, on the disks that this TOML file names by serial number.",
)
@SOCKET
@json_option
def run(
    names: tuple[str, ...],
    profile: str | None,
    campaign: Path | None,
    socket: Path,
    as_json: bool,
) -> None:
    """Test machines at their next report from the ramdisk.

    An active machine is tested too, once it boots from the network, and goes back to its own
    system afterwards, whatever the verdict.
    """
    api = OperatorsClient(socket)
    body = {"profile": profile, "campaign": _campaign(campaign) if campaign else None}
    show_answer(post_each(api, names, "test", body), as_json, machine_tables.all_changed)


@click.command()
@NAMES
@SOCKET
@json_option
def go(names: tuple[str, ...], socket: Path, as_json: bool) -> None:
    """Judge machines that wait for others of their kind without them."""
    api = OperatorsClient(socket)
    show_answer(post_each(api, names, "go"), as_json, machine_tables.all_changed)


@click.command()
@click.option("--once", is_flag=True, help="Look once, and end.")
@SOCKET
@json_option
def watch(once: bool, socket: Path, as_json: bool) -> None:
    """Show what is measured now, until nothing is or Ctrl-C; --json: once."""
    api = OperatorsClient(socket)
    answer = api.get("tests")
    if once or as_json or not answer:
        show_answer(answer, as_json, tables.watched_once)
        return
    with Live(tables.watched(answer)) as live:
        while as_rows(answer):
            time.sleep(LOOK_AGAIN)
            answer = api.get("tests")
            live.update(tables.watched(answer))


@click.command()
@click.argument("name", metavar="NAME")
@SOCKET
@json_option
def show(name: str, socket: Path, as_json: bool) -> None:
    """Show all tests of a machine, with their verdicts."""
    show_answer(OperatorsClient(socket).get("machines", name, "tests"), as_json, tables.history)


@click.command()
@ANY_NAMES
@SOCKET
def results(names: tuple[str, ...], socket: Path) -> None:
    """Print the newest results of machines, or of all: JSON for `edeploy health analyze`."""
    answer = OperatorsClient(socket).get("results", query=[("name", name) for name in names])
    click.echo(json.dumps(answer))


@click.command()
@ANY_NAMES
@SOCKET
@json_option
def compare(names: tuple[str, ...], socket: Path, as_json: bool) -> None:
    """Compare machines with themselves: their newest test with the first that they passed.

    Exit status: 0 none is worse than its peers made it, 1 at least one is, 2 nothing to compare.
    """
    answer = OperatorsClient(socket).get("drift", query=[("name", name) for name in names])
    show_answer(answer, as_json, tables.compared)
    machines = as_rows(as_row(answer)["machines"])
    if any(row["drifted"] for row in machines):
        raise SystemExit(1)
    if not any(row["metrics"] for row in machines):
        raise SystemExit(2)


def add_to(group: click.Group) -> None:
    """Add these commands to `edeploy health`."""
    for command in (run, go, watch, show, results, compare):
        group.add_command(command)


def _campaign(file: Path) -> dict[str, object]:
    try:
        found: dict[str, object] = tomllib.loads(file.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise EdeployError(f"{file}: {error}", _CAMPAIGN) from error
    if set(found) != {"disks"}:
        raise EdeployError(f"{file}: it has to have disks, and nothing else", _CAMPAIGN)
    return found
