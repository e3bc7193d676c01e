"""Versions of the role `mariadb` as a year brings them: a release, its updates, and bad ones."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from racks import CHECKOUT
from rich.console import Console

from edeploy.images.build.image import build_image
from edeploy.images.edges.make import Wishes, make_edge
from edeploy.images.packages.mirrors import host_suite
from edeploy.images.recipe import load_recipe
from edeploy.images.store import Store
from edeploy.lab.demo import build_boot

ROLE = "mariadb"
RELEASE, UPDATED, LAME, DEAD, KEPT = "12.0", "12.1", "12.2", "12.3", "12.4"
LINE = ("base", ROLE)


def without_updates(packages: str) -> str:
    """What apt may not choose but as the release came out."""
    return "".join(
        f"Package: {packages}\nPin: release n={host_suite()}-{pocket}\nPin-Priority: -1\n\n"
        for pocket in ("updates", "security")
    )


PIN = "etc/apt/preferences.d/no-updates"
LAME_FILES = {
    "usr/lib/systemd/system/mariadb.service.d/lame.conf": "[Service]\nExecStartPre=/bin/false\n",
    "usr/lib/edeploy/health.json": '{"units": ["mariadb.service"], "seconds": 5}\n',
}
DEAD_FILES = {
    "etc/default/grub.d/dead.cfg": (
        'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX rdinit=/nowhere panic=1"\n'
    ),
}


@dataclass(frozen=True)
class Variant:
    """A version of the role: files more in `base`, and in the role itself."""

    version: str
    base: dict[str, str]
    role: dict[str, str]


PLAIN = Wishes()
VARIANTS = (
    Variant(RELEASE, {PIN: without_updates("*")}, {}),
    Variant(UPDATED, {}, {}),
    Variant(LAME, {}, LAME_FILES),
    Variant(DEAD, {}, DEAD_FILES),
    # All updates but the kernel's, so that restarts of services are enough.
    Variant(KEPT, {PIN: without_updates("linux-image-cloud-amd64")}, {}),
)


def build_versions(store: Store, work: Path, old: str, new: str, wishes: Wishes = PLAIN) -> None:
    """The images of both versions, and the edges between them, there and back."""
    console = Console(soft_wrap=True)
    build_boot(store, CHECKOUT, console)
    for variant in VARIANTS:
        if variant.version in (old, new):
            build_image(load_recipe(_roles(work, variant), ROLE), variant.version, store)
    make_edge(store, ROLE, old, new, wishes)
    make_edge(store, ROLE, new, old, wishes)


def _roles(work: Path, variant: Variant) -> Path:
    roles = work / variant.version
    for role, files in zip(LINE, (variant.base, variant.role), strict=True):
        shutil.copytree(CHECKOUT / "roles" / role, roles / role)
        for name, text in files.items():
            path = roles / role / "files" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return roles
