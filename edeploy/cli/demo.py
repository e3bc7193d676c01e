"""`edeploy demo`: one rack in a box."""

from pathlib import Path

import click
from rich.console import Console

from edeploy.lab.demo import DEFAULT_FOLDER, DemoPlaces, demo
from edeploy.lab.demo_ahc import HEALTH_FOLDER, HEALTH_RACK, demo_ahc
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
    help="Another rack than the one that comes with edeploy.",
)
@click.option(
    "--health",
    is_flag=True,
    help="Five machines that are tested first; two of them have a part that is slow.",
)
@click.option(
    "--checkout",
    type=click.Path(path_type=Path, exists=True),
    default=Path.cwd,
    help="The folder with roles/, hardware_specs/ and pxe/; by default the current one.",
)
def command(store: Path, rack: Path | None, health: bool, checkout: Path) -> None:
    """Build roles, boot two virtual machines from the network, install them, see them answer."""
    console = Console(soft_wrap=True)
    if health:
        places = DemoPlaces(checkout, store, HEALTH_FOLDER, rack or HEALTH_RACK)
        demo_ahc(places, console)
    else:
        demo(DemoPlaces(checkout, store, DEFAULT_FOLDER, rack or DEMO_RACK), console)
