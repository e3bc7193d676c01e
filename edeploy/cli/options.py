"""Options that commands of several nouns have."""

from __future__ import annotations

from pathlib import Path

import click

SHIPPED = Path(__file__).resolve().parents[2] / "roles"

roles_option = click.option(
    "--roles",
    type=click.Path(path_type=Path),
    default=SHIPPED,
    show_default=True,
    help="folder of roles",
)
json_option = click.option("--json", "as_json", is_flag=True, help="print one JSON document")
