"""`edeploy`: finds the noun's commands and turns errors into two lines and a status."""

import importlib
import signal
import sys
from types import FrameType

import click

from edeploy import __version__
from edeploy.errors import EdeployError

NOUNS = {
    "cmdb": "addresses and names that profiles hand out",
    "demo": "one rack in a box, from recipe to running machines",
    "edge": "ways from one version of a role to another",
    "health": "health checks: find the machines that are not as good as their peers",
    "image": "built images in the store",
    "lab": "racks of virtual machines",
    "machine": "machines, their states and power",
    "mirror": "packages of images as an apt repository",
    "ramdisk": "the system that machines boot from the network",
    "role": "recipes of images",
    "serve": "the boot service",
    "specs": "profiles: match, pick, lint, replay, upgrade",
}


class Nouns(click.Group):
    """Loads `edeploy.cli.NOUN` when it is asked for: `edeploy --help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in NOUNS:
            return None
        module = importlib.import_module(f"edeploy.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(NOUNS.items()))


@click.command(cls=Nouns, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edeploy")
def edeploy() -> None:
    """Turn racks of bare servers into running platforms, and keep them current."""


class Terminated(KeyboardInterrupt):
    """The signal that ends us, as Ctrl-C would: whatever is open is closed on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def main() -> None:
    """The console script. Exit status: 0 done, 1 an error that was told, 2 wrong usage; 128 and
    the number of the signal that ended it."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        # nohup(1) wants the second one ignored.
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _terminate)
    try:
        edeploy(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt) as error:
        by = error if isinstance(error, Terminated) else error.__cause__
        click.echo("terminated" if isinstance(by, Terminated) else "interrupted", err=True)
        sys.exit(128 + (by.number if isinstance(by, Terminated) else signal.SIGINT))
    except EdeployError as error:
        click.echo(f"edeploy: {error}", err=True)
        sys.exit(1)


def _terminate(number: int, _: FrameType | None) -> None:
    raise Terminated(number)
