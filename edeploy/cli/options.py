"""Options that commands of several nouns have."""

from __future__ import annotations

from pathlib import Path

import click

from edeploy.images.store import DEFAULT_STORE

SHIPPED = Path(__file__).resolve().parents[2] / "roles"

roles_option = click.option(
    "--roles",
    type=click.Path(path_type=Path),
    default=SHIPPED,
    show_default=True,
    help="folder of roles",
)
store_option = click.option(
    "--store",
    type=click.Path(path_type=Path),
    default=DEFAULT_STORE,
    show_default=True,
    help="folder of images",
)
json_option = click.option("--json", "as_json", is_flag=True, help="print one JSON document")
key_option = click.option(
    "--key",
    type=click.Path(path_type=Path),
    envvar="EDEPLOY_SIGNING_KEY",
    help="OpenSSH key to sign with: a private key, or the .pub of one that the SSH agent has",
)
