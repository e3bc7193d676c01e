"""`edeploy serve`: the boot service."""

from pathlib import Path

import click

from edeploy.server.serve import check, serve

CONFIG = Path("/etc/edeploy/edeploy.toml")


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=CONFIG,
    show_default=True,
    help="The settings, in TOML.",
)
@click.option("--check", "only_check", is_flag=True, help="Look for errors and end.")
def command(config: Path, only_check: bool) -> None:
    """Run the boot service: DHCP, TFTP, boot scripts, images, installs.

    It runs until SIGTERM or Ctrl-C, and logs to stderr.
    """
    if only_check:
        site = check(config)
        names = ", ".join(profile.name for profile in site.shelf.current().profiles)
        click.echo(f"{config}: good; profiles: {names or 'none'}")
        return
    serve(config)
