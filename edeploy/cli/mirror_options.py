"""Options of commands that get packages: from which mirrors, with which key and passwords."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import click

from edeploy.images.packages.debian import Mirrors
from edeploy.images.packages.mirrors import AUTH_VARIABLE, MIRROR_VARIABLE, SECURITY_VARIABLE

Command = TypeVar("Command", bound=Callable[..., None])

_OPTIONS = (
    click.option("--mirror", envvar=MIRROR_VARIABLE, default="", help="Debian archive to use"),
    click.option(
        "--security-mirror", envvar=SECURITY_VARIABLE, default="", help="security archive to use"
    ),
    click.option("--mirror-key", default="", help="key of mirrors that are not signed by Debian"),
    click.option(
        "--mirror-auth",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        envvar=AUTH_VARIABLE,
        default=None,
        help="file with names and passwords for mirrors, as apt_auth.conf(5) has it",
    ),
)


def mirror_options(command: Command) -> Command:
    """Give a command these options; they come as keywords, for `mirrors_of`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def mirrors_of(given: Mapping[str, str]) -> Mirrors:
    """What the options say."""
    return Mirrors(
        given["mirror"],
        given["security_mirror"],
        given["mirror_key"],
        str(given["mirror_auth"] or ""),
    )
