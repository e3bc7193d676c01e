"""`edeploy machine`: machines, their states and power."""

from pathlib import Path

import click

from edeploy.cli import machine_tables as tables
from edeploy.cli.operators import JSON_FLAG, SOCKET, show_answer
from edeploy.errors import EdeployError
from edeploy.machines.policy import ENDINGS_BAD, ENDINGS_GOOD
from edeploy.server.client import OperatorsClient

NAME = click.argument("name", metavar="NAME")


@click.group()
@SOCKET
@click.pass_context
def command(ctx: click.Context, socket: Path) -> None:
    """Show and command the machines of the boot service.

    NAME is a machine's name, hostname, serial number or MAC; for power also its BMC's name.
    """
    ctx.obj = OperatorsClient(socket)


@command.command("ls")
@JSON_FLAG
@click.pass_obj
def list_machines(api: OperatorsClient, as_json: bool) -> None:
    """List all machines with their states."""
    show_answer(api.get("machines"), as_json, tables.listing)


@command.command()
@NAME
@JSON_FLAG
@click.pass_obj
def show(api: OperatorsClient, name: str, as_json: bool) -> None:
    """Show one machine: state, match explained, lease, phases, last report."""
    show_answer(api.get("machines", name), as_json, tables.one)


@command.command()
@NAME
@JSON_FLAG
@click.pass_obj
def log(api: OperatorsClient, name: str, as_json: bool) -> None:
    """Show what happened to a machine: attempts, phases, log lines, events."""
    show_answer(api.get("machines", name, "log"), as_json, tables.history)


@command.command()
@click.argument("action", type=click.Choice(["on", "off", "cycle", "status"]))
@NAME
@JSON_FLAG
@click.pass_obj
def power(api: OperatorsClient, action: str, name: str, as_json: bool) -> None:
    """Switch a machine's power by its BMC."""
    show_answer(api.post("machines", name, "power", body={"action": action}), as_json, tables.power)


@command.command()
@NAME
@click.option("--yes", is_flag=True, help="Needed: its disk will be written again.")
@JSON_FLAG
@click.pass_obj
def reinstall(api: OperatorsClient, name: str, yes: bool, as_json: bool) -> None:
    """Install an active machine again at its next network boot."""
    if not yes:
        raise EdeployError(
            f"all data on {name} would be lost", f"Run: edeploy machine reinstall {name} --yes"
        )
    show_answer(api.post("machines", name, "reinstall"), as_json, tables.reinstalled)


@command.command()
@NAME
@JSON_FLAG
@click.pass_obj
def retry(api: OperatorsClient, name: str, as_json: bool) -> None:
    """Let a failed machine be matched and installed again."""
    show_answer(api.post("machines", name, "retry"), as_json, tables.changed)


@command.command("set")
@NAME
@click.option("--on-success", type=click.Choice(["", *ENDINGS_GOOD]), help='"": the profile\'s.')
@click.option("--on-failure", type=click.Choice(["", *ENDINGS_BAD]), help='"": the profile\'s.')
@JSON_FLAG
@click.pass_obj
def set_endings(
    api: OperatorsClient, name: str, on_success: str | None, on_failure: str | None, as_json: bool
) -> None:
    """Set what a machine's agent does at the end of an install."""
    if on_success is None and on_failure is None:
        raise click.UsageError("Nothing to set: give --on-success or --on-failure.")
    wanted = {"on_success": on_success, "on_failure": on_failure}
    show_answer(api.post("machines", name, "settings", body=wanted), as_json, tables.settings)
