"""`edeploy demo`: one rack in a box."""

import signal
from pathlib import Path

import click
from rich.console import Console

from edeploy.lab.demo import DEFAULT_FOLDER, DemoPlaces, demo
from edeploy.lab.rack import DEMO_RACK
from edeploy.server.settings import StoreSettings


@click.command()
@click.option(
    "--store",
    type=click.Path(path_type=Path),
    default=StoreSettings().path,
    show_default=True,
    help="Where images are built and kept.",
)
@click.option(
    "--rack",
    type=click.Path(path_type=Path, exists=True),
    default=DEMO_RACK,
    help="Another rack than the one of two machines.",
)
@click.option(
    "--checkout",
    type=click.Path(path_type=Path, exists=True),
    default=Path.cwd,
    help="The folder with roles/, hardware_specs/ and pxe/; by default the current one.",
)
def command(store: Path, rack: Path, checkout: Path) -> None:
    """Build roles, boot two virtual machines from the network, install them, see them answer."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    demo(DemoPlaces(checkout, store, DEFAULT_FOLDER, rack), Console(soft_wrap=True))
