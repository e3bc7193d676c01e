"""`edeploy ramdisk`: the system that machines boot from the network."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from edeploy.cli.options import store_option
from edeploy.images.ramdisk import build_ramdisk
from edeploy.images.store import Store

SHIPPED = Path(__file__).resolve().parents[2] / "pxe"


@click.group()
def command() -> None:
    """Build the ramdisk: a small Debian with the agent, which finds out what a machine is and
    installs it."""


@command.command()
@click.option(
    "--kernel", default="cloud", show_default=True,
    help="cloud (virtual machines) or generic (real servers)",
)  # fmt: skip
@store_option
@click.option(
    "--recipe", type=click.Path(path_type=Path), default=SHIPPED, show_default=True,
    help="folder with ramdisk.yaml and files/",
)  # fmt: skip
@click.option(
    "--ssh-key", type=click.Path(path_type=Path),
    help="public key; with it, `ssh -p 2222 root@machine` gives a shell while it runs the ramdisk",
)  # fmt: skip
@click.option(
    "--signers", type=click.Path(path_type=Path), envvar="EDEPLOY_SIGNERS",
    help="OpenSSH's file of allowed signers: machines install only what one of them signed",
)  # fmt: skip
def build(
    kernel: str, store: Path, recipe: Path, ssh_key: Path | None, signers: Path | None
) -> None:
    """Build the ramdisk, or say that it is there already.

    It is made anew when its recipe, the agent, a key, the signers or the mirrors change; for new
    versions of packages, remove STORE/ramdisk/KERNEL first.
    """
    console = Console(highlight=False)
    with console.status(f"ramdisk {kernel}") as status:
        built = build_ramdisk(
            recipe, kernel, Store(store), ssh_key=ssh_key, signers=signers,
            on_step=lambda step: status.update(f"ramdisk {kernel}: {step}"),
        )  # fmt: skip
    for notice in built.notices:
        console.print(f"note: {notice}")
    console.print(
        f"ramdisk {kernel} {'is there already' if built.reused else 'built'}: "
        f"{built.size / 1e6:.1f} MB ({built.unpacked / 1e6:.0f} MB unpacked), "
        f"programs of tests {built.tools / 1e6:.1f} MB, "
        f"in {built.ramdisk.folder}",
        soft_wrap=True,
    )
