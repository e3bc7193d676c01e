"""`edeploy lab`: racks of virtual machines."""

import json
import shutil
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from edeploy.bmc.power import Action
from edeploy.cli.options import json_option
from edeploy.errors import EdeployError
from edeploy.lab import console as serial
from edeploy.lab import power as lab_power
from edeploy.lab import status
from edeploy.lab.accel import Accel
from edeploy.lab.down import down as take_down
from edeploy.lab.folder import LAB_ROOT
from edeploy.lab.up import up as bring_up

_WIDE = 500

_root = click.option(
    "--lab-dir",
    "root",
    type=click.Path(path_type=Path, file_okay=False),
    default=LAB_ROOT,
    show_default=True,
    envvar="EDEPLOY_LAB_DIR",
    help="Where labs keep their files.",
)


@click.group()
def command() -> None:
    """Racks of virtual machines, with real firmware and BMCs, in a network of their own."""


@command.command()
@click.argument("rack", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--accel",
    type=click.Choice(["auto", *(accel.name.lower() for accel in Accel)]),
    default="auto",
    show_default=True,
    help="How guests run; auto: KVM if a guest really boots under it, else TCG (emulation).",
)
@_root
def up(rack: Path, accel: str, root: Path) -> None:
    """Bring the rack of a YAML file up. Its machines are off until the BMC is told."""
    lab = bring_up(rack, root=root, accel=None if accel == "auto" else Accel[accel.upper()])
    click.echo(
        f"lab {lab.rack.name}: {len(lab.rack.machines)} machines, {lab.accel.name}, "
        f"network namespace {lab.folder.namespace}, BMC file {lab.folder.bmcs}"
    )


@command.command()
@json_option
@_root
def ls(as_json: bool, root: Path) -> None:
    """The machines of all labs that are up."""
    rows = [
        {
            "lab": machine.lab.name,
            "machine": machine.machine.name,
            "firmware": machine.machine.firmware.value,
            "power": machine.power,
            "bmc": str(machine.machine.bmc.address),
            "pid": machine.pid,
            "console": str(machine.folder.console_log),
        }
        for folder in status.labs(root)
        for machine in status.machines(folder)
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    table = Table("lab", "machine", "firmware", "power", "bmc", "pid", "console", box=None)
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    # A path cut off at the width of a pipe would be of no use.
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)


@command.command()
@click.argument("name")
@click.option("--log", is_flag=True, help="Print what the machine said so far, and end.")
@_root
def console(name: str, log: bool, root: Path) -> None:
    """Attach to a machine's serial console; Ctrl-] leaves it."""
    machine = status.find_machine(name, root)
    if log:
        _print_log(machine.folder.console_log)
        return
    serial.attach(
        machine.folder,
        sys.stdin.fileno(),
        sys.stdout.fileno(),
        on_connect=lambda: click.echo(
            f"{name}: {serial.ESCAPE_NAME} leaves the console.", err=True
        ),
    )


def _print_log(path: Path) -> None:
    try:
        with path.open("rb") as stream:
            shutil.copyfileobj(stream, sys.stdout.buffer)
    except FileNotFoundError as error:
        raise EdeployError(f"{path}: not there: the machine has not been on") from error


@command.command()
@click.argument("name", required=False)
@click.option("--keep-disks", is_flag=True, help="The next `up` of this lab finds its disks.")
@_root
def down(name: str | None, keep_disks: bool, root: Path) -> None:
    """End a lab: every process in its network, the network, its files (its logs stay)."""
    chosen = name or _the_only_lab(root)
    take_down(chosen, root=root, keep_disks=keep_disks)
    click.echo(f"lab {chosen}: down")


def _the_only_lab(root: Path) -> str:
    names = [folder.name for folder in status.labs(root)]
    if len(names) != 1:
        raise EdeployError(
            f"several labs are up: {', '.join(names)}" if names else "no lab is up",
            "Say which: `edeploy lab down NAME`.",
        )
    return names[0]


@command.command()
@click.argument("action", type=click.Choice([action.value for action in Action]))
@click.argument("name")
@click.option(
    "--boot-network", is_flag=True, help="Boot from the network this once, before the action."
)
@_root
def power(action: str, name: str, boot_network: bool, root: Path) -> None:
    """Switch a machine through its BMC (IPMI), and print its power state."""
    machine = status.find_machine(name, root)
    if boot_network:
        lab_power.boot_from_network_once(machine)
    click.echo(lab_power.power(machine, Action(action)))
