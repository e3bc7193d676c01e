"""What commands that ask the running server have in common: its socket, its answers."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click

from edeploy.errors import EdeployError
from edeploy.server.client import OperatorsClient
from edeploy.server.settings import ServerSettings

SOCKET = click.option(
    "--socket",
    type=click.Path(path_type=Path),
    default=ServerSettings().socket,
    envvar="EDEPLOY_SOCKET",
    show_default=True,
    show_envvar=True,
    help="The server's socket for operators.",
)


def post_each(
    api: OperatorsClient, names: Sequence[str], verb: str, body: Mapping[str, object] | None = None
) -> list[object]:
    """Ask for the same of each machine, one after the other; the server's answers.

    EdeployError at the first that is refused: it says for which ones it was done before.
    """
    answers: list[object] = []
    for place, name in enumerate(names):
        try:
            answers.append(api.post("machines", name, verb, body=body))
        except EdeployError as error:
            if not place:
                raise
            before = ", ".join(names[:place])
            raise EdeployError(f"{error.message}; done before it: {before}", error.hint) from error
    return answers


def show_answer(answer: object, as_json: bool, table: Callable[[object], None]) -> None:
    """Print the server's answer: as it came, or as `table` prints it."""
    if as_json:
        click.echo(json.dumps(answer, indent=2))
    else:
        table(answer)
