"""The probes of RAID controllers by their makers' programs, where these are there."""

from __future__ import annotations

from collections.abc import Iterator

from edeploy.inventory.items import Item
from edeploy.node.detect.program import first_of, output, printed
from edeploy.node.detect.tree import Tree

_STORCLI = ("storcli64", "storcli2", "storcli", "perccli64", "perccli2", "perccli")
_MEGACLI = ("megacli", "MegaCli", "MegaCli64")
_SSACLI = ("ssacli", "hpssacli", "hpacucli")
_MOST_DISKS = 255

# Parsers are imported where they are needed; see `neighbours`.


def megaraid(_: Tree) -> Iterator[Item]:
    """Items of types `megaraid`, `pdisk`, `ldisk`."""
    program = first_of(*_STORCLI)
    if program:
        from edeploy.node.detect.sources.storcli import parse_storcli

        yield from parse_storcli(printed(program, "/call", "show", "all", "J"))
        return
    program = first_of(*_MEGACLI)
    if program:
        yield from _megacli(program)


def _megacli(program: str) -> Iterator[Item]:
    from edeploy.node.detect.sources import megacli

    def ask(*words: str) -> str:
        return printed(program, *words, "-NoLog")

    count = megacli.number(megacli.fields(ask("-adpCount")).get("ControllerCount", ""))
    names: set[str] = set()
    logical = 0
    total = 0.0
    for controller in range(count):
        adapter = f"-a{controller}"
        yield from megacli.parse_adapter(ask("-AdpAllInfo", adapter), controller)
        text = ask("-EncInfo", adapter)
        yield from megacli.parse_enclosures(text, controller)
        for enclosure in megacli.enclosures(text):
            for slot in range(megacli.number(enclosure.get("NumberOfSlots", ""))):
                drive = f"-PhysDrv[{enclosure.get('DeviceId', '')}:{slot}]"
                about = ask("-pdInfo", drive, adapter)
                for item in megacli.parse_physical(about, count, slot, names):
                    total += float(item.value) if item.key == "size" else 0.0
                    yield item
        wanted = f"NumberOfVirtualDrivesConfiguredOnAdapter{controller}"
        drives = megacli.fields(ask("-LDGetNum", adapter)).get(wanted, "")
        for number in range(megacli.number(drives)):
            yield from megacli.parse_logical(ask("-LDInfo", f"-L{number}", adapter), logical)
            logical += 1
    if total:
        yield Item("pdisk", "all", "size", f"{total:.2f}")
    if count:
        yield Item("disk", "megaraid", "count", str(len(names)))


def hpa(_: Tree) -> Iterator[Item]:
    """Items of type `hpa`, and of type `disk` with ids such as `1I:1:1`."""
    program = first_of(*_SSACLI)
    if not program:
        return
    from edeploy.node.detect.sources import ssacli

    found = ssacli.controllers(printed(program, "ctrl", "all", "show"))
    if not found:
        return
    yield Item("hpa", "slots", "count", str(len(found)))
    drives = 0
    total = 0.0
    for controller in found:
        selector = ("ctrl", f"slot={controller.slot}")
        yield from ssacli.parse_controller(
            printed(program, *selector, "show"), controller.slot
        )  # fmt: skip
        listing = printed(program, *selector, "pd", "all", "show")
        for item in ssacli.parse_drives(listing, controller.slot):
            drives += item.key == "type"
            total += float(item.value) if item.key == "size" else 0.0
            yield item
        details = printed(program, *selector, "pd", "all", "show", "detail")
        yield from ssacli.parse_drive_details(details)
        logical = printed(program, *selector, "ld", "all", "show", "detail")
        yield from ssacli.parse_logical(logical, controller.slot)
    if total:
        yield Item("disk", "hpa", "size", f"{total:.2f}")
    yield Item("disk", "hpa", "count", str(drives))


def areca(_: Tree) -> Iterator[Item]:
    """Items of type `areca`. Only what the controller tells without its password."""
    if not first_of("cli64"):
        return
    from edeploy.node.detect.sources.areca import has_controller, parse_areca

    about = output("cli64", "sys", "info")
    if not has_controller(about):
        return
    yield from parse_areca(about, "system")
    for part, *words in (
        ("system", "adsys", "info"),
        ("config", "sys", "showcfg"),
        ("hardware", "hw", "info"),
        ("power", "hddpwr", "info"),
    ):
        yield from parse_areca(printed("cli64", *words), part)
    for number in range(1, _MOST_DISKS):
        found = list(
            parse_areca(printed("cli64", "disk", "info", f"drv={number}"), f"disk{number}")
        )
        if len(found) < 2:
            return
        yield from found
