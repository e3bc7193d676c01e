"""The configuration of the rsync daemon: the store's image trees and edges, for reading."""

from pathlib import Path

from edeploy.boot.templates import render


def config(*, store: Path, network: str, log_file: Path, bind: str, port: int) -> str:
    """The whole configuration as text; `network` (an address with prefix) may connect."""
    return render(
        "rsyncd.conf.j2",
        install=store / "install",
        metadata=store / "metadata",
        network=network,
        log_file=log_file,
        bind=bind,
        port=port,
    )
