"""Machines as data: parts that can be swapped, and the report that they give."""

from dataclasses import dataclass, field, replace

from edeploy.inventory.items import Item, Report


@dataclass(frozen=True)
class Parts:
    """A machine taken apart. None or empty: it does not tell."""

    serial: str | None = None
    uuid: str | None = None
    board: str | None = None
    chassis: str | None = None
    macs: tuple[str, ...] = ()
    disks: tuple[str, ...] = ()
    more: tuple[Item, ...] = field(default=())

    def report(self) -> Report:
        told = (
            ("product", "serial", self.serial),
            ("product", "uuid", self.uuid),
            ("motherboard", "serial", self.board),
            ("chassis", "serial", self.chassis),
        )
        items = [
            Item("system", "product", "name", "Box"),
            Item("system", "product", "vendor", "Makers"),
        ]
        items += [Item("system", part, key, value) for part, key, value in told if value]
        for number, mac in enumerate(self.macs):
            items.append(Item("network", f"eth{number}", "serial", mac))
        for number, serial in enumerate(self.disks):
            name = f"sd{chr(97 + number)}"
            items += [Item("disk", name, "size", "600"), Item("disk", name, "serial", serial)]
        return Report((*items, *self.more))

    def but(self, **parts: object) -> "Parts":
        """The same with other parts."""
        return replace(self, **parts)  # type: ignore[arg-type]


def server(number: int) -> Parts:
    """A server as they are sold: everything tells, and only of itself."""
    return Parts(
        serial=f"CZ{number:06}A",
        uuid=f"4c4c4544-0035-3010-8048-{number:012x}",
        board=f"PH{number:06}B",
        chassis=f"CH{number:06}C",
        macs=tuple(f"d8:9d:67:{number >> 8:02x}:{number & 255:02x}:{n:02x}" for n in range(4)),
        disks=tuple(f"WD{number:06}-{n}X" for n in range(2)),
    )
