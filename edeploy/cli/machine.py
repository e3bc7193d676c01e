"""`edeploy machine`: machines, their states and power."""

import getpass
from datetime import datetime
from pathlib import Path

import click

from edeploy.cli import hardware_tables
from edeploy.cli import machine_tables as tables
from edeploy.cli.operators import SOCKET, post_each, show_answer
from edeploy.cli.options import json_option
from edeploy.errors import EdeployError
from edeploy.machines.policy import ENDINGS_BAD, ENDINGS_GOOD
from edeploy.match.profile_settings import TESTS
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
@json_option
@click.pass_obj
def list_machines(api: OperatorsClient, as_json: bool) -> None:
    """List all machines with their states."""
    show_answer(api.get("machines"), as_json, tables.listing)


@command.command()
@NAME
@click.argument("part", nargs=-1)
@click.option("--facts", is_flag=True, help="All items of its last report, or those of PART.")
@json_option
@click.pass_obj
def show(
    api: OperatorsClient, name: str, part: tuple[str, ...], facts: bool, as_json: bool
) -> None:
    """Show one machine: state, match explained, marks, lease, phases; or its hardware.

    PART, with --facts, is a type, or a type and an id: `disk`, `disk sda`.
    """
    if len(part) > 2 or (part and not facts):
        raise click.UsageError("PART is a type and an id, and goes with --facts.")
    machine = api.one("machines", name)
    if facts:
        show_answer(hardware_tables.chosen(machine, part), as_json, hardware_tables.facts)
    else:
        show_answer(machine, as_json, tables.one)


@command.command()
@NAME
@click.argument("other", required=False)
@click.option("--since", metavar="DATE|REPORT", help="Against the report of then, or number.")
@click.option("--all", "everything", is_flag=True, help="Also what differs by itself.")
@json_option
@click.pass_obj
def diff(
    api: OperatorsClient,
    name: str,
    other: str | None,
    since: str | None,
    everything: bool,
    as_json: bool,
) -> None:
    """Show what changed in a machine's hardware, or what OTHER has differently.

    Alone: the last report against the one before; --since takes an earlier one. Links,
    addresses and measurements are left out, and between two machines also serial numbers
    and MACs; --all shows them.
    """
    if other is not None and since is not None:
        raise click.UsageError("--since is for one machine; leave OTHER out.")
    query = {"all": "1"} if everything else {}
    if other is not None:
        answer = api.get("machines", name, "diff", other, query=query)
    else:
        answer = api.get("machines", name, "diff", query=query | _since(since))
    show_answer(answer, as_json, hardware_tables.difference)


@command.command()
@NAME
@click.argument("other")
@click.option("--yes", is_flag=True, help="Needed: only the record of OTHER is left.")
@json_option
@click.pass_obj
def same(api: OperatorsClient, name: str, other: str, yes: bool, as_json: bool) -> None:
    """Say that NAME is the machine OTHER, with other parts: one record is left.

    It keeps OTHER's name, state and CMDB entry.
    """
    if not yes:
        raise EdeployError(
            f"the record {name} would become part of {other}, for ever",
            f"Compare: edeploy machine diff {other} {name} --all. "
            f"Then: edeploy machine same {name} {other} --yes",
        )
    answer = api.post("machines", name, "same", body={"machine": other})
    show_answer(answer, as_json, tables.changed)


@command.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@json_option
@click.pass_obj
def new(api: OperatorsClient, names: tuple[str, ...], as_json: bool) -> None:
    """Say that machines that are held are machines of their own."""
    answers = post_each(api, names, "new")
    show_answer(answers, as_json, tables.all_changed)


@command.command()
@NAME
@json_option
@click.pass_obj
def log(api: OperatorsClient, name: str, as_json: bool) -> None:
    """Show what happened to a machine: attempts, phases, log lines, events."""
    show_answer(api.get("machines", name, "log"), as_json, tables.history)


@command.command()
@click.argument("action", type=click.Choice(["on", "off", "cycle", "status"]))
@NAME
@json_option
@click.pass_obj
def power(api: OperatorsClient, action: str, name: str, as_json: bool) -> None:
    """Switch a machine's power by its BMC."""
    show_answer(api.post("machines", name, "power", body={"action": action}), as_json, tables.power)


@command.command()
@NAME
@click.option("--yes", is_flag=True, help="Needed: its disk will be written again.")
@json_option
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
@json_option
@click.pass_obj
def retry(api: OperatorsClient, name: str, as_json: bool) -> None:
    """Let a failed machine be matched and installed again."""
    show_answer(api.post("machines", name, "retry"), as_json, tables.changed)


@command.command()
@NAME
@click.option("--reason", required=True, help="Why it is good enough; kept with the evidence.")
@click.option("--until", metavar="DATE", help="From then on it has to pass its test again.")
@json_option
@click.pass_obj
def accept(api: OperatorsClient, name: str, reason: str, until: str | None, as_json: bool) -> None:
    """Take a machine as it is, rejected or not tested: it may get a role.

    This holds for the hardware of now: other parts have to pass a test.
    """
    ends = _time("--until", until) if until is not None else None
    body = {"reason": reason, "by": getpass.getuser(), "until": ends}
    answer = api.post("machines", name, "accept", body=body)
    show_answer(answer, as_json, tables.changed)


@command.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--profile", type=click.Choice(TESTS[1:]), help="Default: that of its last test.")
@json_option
@click.pass_obj
def retest(
    api: OperatorsClient, names: tuple[str, ...], profile: str | None, as_json: bool
) -> None:
    """Test rejected machines again, after they were repaired."""
    body = {"profile": profile}
    answers = post_each(api, names, "test", body)
    show_answer(answers, as_json, tables.all_changed)


@command.command("set")
@NAME
@click.option("--on-success", type=click.Choice(["", *ENDINGS_GOOD]), help='"": the profile\'s.')
@click.option("--on-failure", type=click.Choice(["", *ENDINGS_BAD]), help='"": the profile\'s.')
@click.option("--health", type=click.Choice(["", *TESTS]), help='"": the profile\'s.')
@json_option
@click.pass_obj
def set_endings(
    api: OperatorsClient,
    name: str,
    on_success: str | None,
    on_failure: str | None,
    health: str | None,
    as_json: bool,
) -> None:
    """Set how a machine's install ends, and which health test it has to pass first."""
    if on_success is None and on_failure is None and health is None:
        raise click.UsageError("Nothing to set: give --on-success, --on-failure or --health.")
    wanted = {"on_success": on_success, "on_failure": on_failure, "health": health}
    show_answer(api.post("machines", name, "settings", body=wanted), as_json, tables.settings)


def _since(text: str | None) -> dict[str, str]:
    """The query of a report's number, or of a date and time of here."""
    if text is None:
        return {}
    if text.isdecimal():
        return {"report": text}
    return {"at": str(_time("--since", text, ", and no number of a report"))}


def _time(option: str, text: str, more: str = "") -> float:
    """The unix seconds of a date and time of here."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise click.UsageError(
            f"{option}: {text!r} is no date such as 2026-11-21 or '2026-11-21 03:00'{more}."
        ) from error
