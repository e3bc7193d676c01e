"""`edeploy cmdb`: addresses and names that profiles hand out, and who has which."""

import json
from pathlib import Path

import click

from edeploy.cli import cmdb_tables as tables
from edeploy.cli.operators import SOCKET, show_answer
from edeploy.cli.options import json_option
from edeploy.errors import EdeployError
from edeploy.match.cmdb import Entry, read_cmdb, read_cmdb_literal, uneven_ranges
from edeploy.match.problems import BadFile
from edeploy.server.client import OperatorsClient

ENDING = ".cmdb"
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group()
@SOCKET
@click.pass_context
def command(ctx: click.Context, socket: Path) -> None:
    """Addresses and names that profiles hand out, and who has which.

    ENTRY is a value of an entry (`web3`, `10.0.0.3`), KEY=VALUE, or its number in the file;
    MACHINE a machine's name, hostname, serial number or MAC.
    """
    ctx.obj = OperatorsClient(socket)


@command.command()
@click.argument("file", type=_FILE)
@json_option
def expand(file: Path, as_json: bool) -> None:
    """Show the entries of a .cmdb file, its ranges expanded; needs no server."""
    entries = read_cmdb(file)
    for problem in uneven_ranges(read_cmdb_literal(file)):
        click.echo(f"warning: {problem}", err=True)
    show_answer(entries, as_json, tables.expanded)


@command.command("ls")
@click.argument("profile", required=False)
@json_option
@click.pass_obj
def list_entries(api: OperatorsClient, profile: str | None, as_json: bool) -> None:
    """List the entries of all profiles or one: free, or held by whom, since when and why."""
    show_answer(api.get("cmdb", *([profile] if profile else [])), as_json, tables.listing)


@command.command()
@click.argument("profile")
@click.argument("entry")
@click.argument("machine")
@json_option
@click.pass_obj
def assign(api: OperatorsClient, profile: str, entry: str, machine: str, as_json: bool) -> None:
    """Give an entry to a machine: it gets it at its next install."""
    body = {"entry": entry, "machine": machine}
    show_answer(api.post("cmdb", profile, "assign", body=body), as_json, tables.assigned)


@command.command()
@click.argument("what", metavar="MACHINE|ENTRY")
@click.option("--profile", help="Of this profile only.")
@click.option("--yes", is_flag=True, help="Also what a running machine uses.")
@json_option
@click.pass_obj
def release(api: OperatorsClient, what: str, profile: str | None, yes: bool, as_json: bool) -> None:
    """Let others have the entries and the quota slot of a machine, or one entry."""
    body = {"what": what, "profile": profile, "yes": yes}
    show_answer(api.post("cmdb", "release", body=body), as_json, tables.released)


@command.command("import")
@click.argument("source", metavar="DIR|FILE", type=click.Path(exists=True, path_type=Path))
@click.option("--profile", help="The profile of a FILE that is not called PROFILE.cmdb.")
@json_option
@click.pass_obj
def take_over(api: OperatorsClient, source: Path, profile: str | None, as_json: bool) -> None:
    """Take over who had which entry from an old installation's .cmdb files.

    Entries marked `used` are kept for the machines that they name.
    """
    if profile is not None and source.is_dir():
        raise click.UsageError("--profile is for one FILE.")
    files = sorted(source.glob(f"*{ENDING}")) if source.is_dir() else [source]
    taken: list[object] = []
    refused: list[object] = []
    broken: list[str] = []
    for file in files:
        try:
            used = [entry for entry in read_cmdb(file) if "used" in entry]
        except BadFile as error:
            broken.append(error.message)
            continue
        answer = _send(api, profile or file.name.removesuffix(ENDING), file, used)
        taken += _list(answer, "taken")
        refused += _list(answer, "refused")
    show_answer({"taken": taken, "refused": refused, "broken": broken}, as_json, tables.imported)
    if broken:
        raise EdeployError(f"{len(broken)} of {len(files)} files could not be read", broken[0])


def _send(api: OperatorsClient, profile: str, file: Path, used: list[Entry]) -> object:
    # As JSON once: what has no such form (a number that is none) is told before it is sent.
    body = {"source": str(file.resolve()), "entries": json.loads(json.dumps(used))}
    return api.post("cmdb", profile, "import", body=body) if used else {}


def _list(answer: object, key: str) -> list[object]:
    found = answer.get(key) if isinstance(answer, dict) else None
    return found if isinstance(found, list) else []
