"""The main job, end to end, on two virtual machines: from role recipes to running systems."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from edeploy.errors import EdeployError
from edeploy.images.build.image import DEFAULT_VERSION, build_image
from edeploy.images.ramdisk import build_ramdisk
from edeploy.images.recipe import load_recipe
from edeploy.images.store import Store
from edeploy.lab import timeouts
from edeploy.lab.accel import Accel
from edeploy.lab.box import Box, Wishes, box
from edeploy.lab.folder import LAB_ROOT
from edeploy.lab.progress import Progress, Shown, phase_table
from edeploy.server.client import JsonObject

ROLES = ("base", "web")
DEFAULT_FOLDER = LAB_ROOT.parent / "demo"


@dataclass(frozen=True)
class DemoPlaces:
    """Where the demo finds and keeps its files."""

    checkout: Path
    store: Path
    folder: Path
    rack: Path


def demo(places: DemoPlaces, console: Console) -> None:
    """Build, boot, install, and hear from the installed machines; EdeployError when one fails."""
    started = time.monotonic()
    store = Store(places.store)
    build_roles(store, places.checkout, console)
    build_boot(store, places.checkout, console)
    built = time.monotonic()
    wishes = Wishes(store.root, places.checkout / "hardware_specs", emptied(places.folder))
    with box(places.rack, wishes) as rack:
        say_how_it_runs(rack, console)
        names = switch_on(rack)
        finished = follow(rack, names, console)
        check_pages(rack, finished, console)
        console.print(phase_table(finished))
    console.print(
        f"Images {built - started:.0f} s, rack {time.monotonic() - built:.0f} s, "
        f"all {time.monotonic() - started:.0f} s."
    )


def build_roles(store: Store, checkout: Path, console: Console) -> None:
    """Images of the demo's roles; those that are there and unchanged are left as they are."""
    for role in ROLES:
        recipe = load_recipe(checkout / "roles", role)
        build_image(recipe, DEFAULT_VERSION, store, on_step=_Steps(console, role))


def build_boot(store: Store, checkout: Path, console: Console) -> None:
    """The boot ramdisk with the kernel for virtual machines."""
    build_ramdisk(checkout / "pxe", "cloud", store, on_step=_Steps(console, "ramdisk"))


def switch_on(rack: Box) -> list[str]:
    """Power on every machine of the rack through its BMC; their names."""
    names = [machine.name for machine in rack.lab.rack.machines]
    for name in names:
        rack.power_on(name)
    return names


def follow(
    rack: Box, names: list[str], console: Console, ends: Collection[str] = ("active",)
) -> dict[str, JsonObject]:
    """Show the machines until each is in one of the states `ends`; what the service knows of each.

    Raises EdeployError as soon as one has failed, or was rejected, otherwise.
    """
    serials = {machine.smbios.serial: machine.name for machine in rack.lab.rack.machines}
    operators = rack.service.operators
    with Progress(console) as progress:
        while True:
            known = {
                serials[str(machine["serial"])]: machine
                for machine in operators.many("machines")
                if machine["serial"] in serials
            }
            progress.show(
                [Shown.of(name, known.get(name, {"state": "power on"})) for name in names]
            )
            for name, machine in known.items():
                if machine["state"] not in ends:
                    _refuse_failure(rack, name, machine)
            if all(known.get(name, {}).get("state") in ends for name in names):
                break
            time.sleep(timeouts.POLL)
    return {name: operators.one("machines", str(known[name]["name"])) for name in names}


def check_pages(rack: Box, machines: dict[str, JsonObject], console: Console) -> None:
    """Fetch a page from each machine at the address that its CMDB entry gave it."""
    for name, machine in machines.items():
        address = address_of(machine)
        deadline = time.monotonic() + timeouts.PAGE
        while True:
            try:
                rack.fetch_page(address)
                break
            except EdeployError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(timeouts.POLL)
        console.print(f"{name} answers HTTP on {address}", highlight=False)


def address_of(machine: JsonObject) -> str:
    """The address of a machine's CMDB entry."""
    lease = machine.get("lease")
    values = lease.get("vars") if isinstance(lease, dict) else None
    if not isinstance(values, dict) or "ip" not in values:
        raise EdeployError(f"{machine.get('name')}: no address in its CMDB entry")
    return str(values["ip"])


def _refuse_failure(rack: Box, name: str, machine: JsonObject) -> None:
    if machine["state"] not in ("failed", "rejected"):
        return
    raise EdeployError(
        f"{name} failed in {machine.get('phase')}: {machine.get('reason')}",
        f"Its console is in {rack.lab.folder.machine(name).console_log}.",
    )


def say_how_it_runs(rack: Box, console: Console) -> None:
    """Which machines run, and whether they are emulated."""
    how = "KVM" if rack.lab.accel is Accel.KVM else "emulation (no KVM that boots a guest)"
    names = " and ".join(machine.name for machine in rack.lab.rack.machines)
    console.print(f"Rack {rack.lab.rack.name}: {names}, by {how}. The images are unsigned.")


def emptied(folder: Path) -> Path:
    """The folder without the records of an earlier demo: its machines are strangers again."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    return folder


@dataclass(frozen=True)
class _Steps:
    console: Console
    what: str

    def __call__(self, step: str) -> None:
        self.console.print(f"{self.what}: {step}", highlight=False)
