"""`edeploy cmdb`: what the entries of a CMDB file are."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edeploy.match.cmdb import Entry, read_cmdb, read_cmdb_literal, uneven_ranges


@click.group("cmdb")
def command() -> None:
    """Addresses and names that profiles hand out."""


@command.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def expand(file: Path, as_json: bool) -> None:
    """Show the entries of a .cmdb file, its ranges expanded."""
    entries = read_cmdb(file)
    for problem in uneven_ranges(read_cmdb_literal(file)):
        click.echo(f"warning: {problem}", err=True)
    if as_json:
        click.echo(json.dumps(entries, indent=1))
    else:
        Console().print(_table(entries))


def _table(entries: tuple[Entry, ...]) -> Table:
    columns = list(dict.fromkeys(key for entry in entries for key in entry))
    table = Table()
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for entry in entries:
        table.add_row(*(Text(str(entry.get(column, ""))) for column in columns))
    return table
