"""What commands that ask the running server have in common: its socket, JSON or a table."""

import json
from collections.abc import Callable
from pathlib import Path

import click

from edeploy.server.settings import ServerSettings

JSON_FLAG = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
SOCKET = click.option(
    "--socket",
    type=click.Path(path_type=Path),
    default=ServerSettings().socket,
    envvar="EDEPLOY_SOCKET",
    show_default=True,
    show_envvar=True,
    help="The server's socket for operators.",
)


def show_answer(answer: object, as_json: bool, table: Callable[[object], None]) -> None:
    """Print the server's answer: as it came, or as `table` prints it."""
    if as_json:
        click.echo(json.dumps(answer, indent=2))
    else:
        table(answer)
