"""Identity: which parts count, what is junk, and when two reports are one machine."""

import pytest

from edeploy import names
from edeploy.inventory.identity import identify, same_machine
from edeploy.inventory.items import Item, Report


def machine(serial: str = "", uuid: str = "", macs: tuple[str, ...] = ()) -> Report:
    items = [
        Item("system", "product", "name", "Pro (X-1)"),
        Item("system", "product", "vendor", "A B"),
    ]
    items += [Item("system", "product", "serial", serial)] if serial else []
    items += [Item("system", "product", "uuid", uuid)] if uuid else []
    items += [Item("network", f"eth{i}", "serial", mac) for i, mac in enumerate(macs)]
    return Report(tuple(items))


def test_the_name_is_product_vendor_serial() -> None:
    identity = identify(machine("CZ 33/23", "4C4C4544-0035-3010-8048-B7C04F4E3232"))
    assert identity.name == "ProX1-AB-CZ3323"
    assert identity.serial == "CZ 33/23"
    assert identity.uuid == "4c4c4544-0035-3010-8048-b7c04f4e3232"


@pytest.mark.parametrize(
    "junk", ["To be filled by O.E.M.", "0123456789", "Empty", "0000000000", "XXXXXXX", "..", " "]
)
def test_a_mac_stands_in_for_a_junk_serial(junk: str) -> None:
    identity = identify(machine(junk, macs=("52:54:00:00:00:0B", "52:54:00:00:00:0a")))
    assert identity.serial is None
    assert identity.name == "ProX1-AB-52-54-00-00-00-0a"
    assert identity.macs == ("52:54:00:00:00:0a", "52:54:00:00:00:0b")


def test_a_junk_uuid_is_none_and_a_good_one_may_give_the_name() -> None:
    assert identify(machine(uuid="00000000-0000-0000-0000-000000000000")).uuid is None
    good = "11111111-2222-3333-4444-555555555555"
    assert identify(machine(uuid=good)).name == f"ProX1-AB-{good}"


def test_the_network_card_of_the_bmc_is_not_the_machine() -> None:
    items = machine(macs=("e4:1f:13:00:00:01",)).items
    report = Report((*items, Item("network", "eth0", "driver", "cdc_ether")))
    assert identify(report).macs == ()


@pytest.mark.parametrize("text", ["", "..", "a/../../b", "\x00", "é" * 300, "x" * 500, "-rf"])
def test_every_name_is_fit_for_a_file(text: str) -> None:
    report = Report(
        tuple(Item("system", "product", key, text) for key in ("name", "vendor", "serial"))
    )
    assert names.checked(identify(report).name, "machine")


def test_a_swapped_card_leaves_the_machine_what_it_is() -> None:
    before = identify(machine("S1", macs=("02:00:00:00:00:01", "02:00:00:00:00:02")))
    after = identify(machine("S1", macs=("02:00:00:00:00:03",)))
    assert same_machine(before, after)


def test_a_swapped_board_leaves_it_by_its_cards() -> None:
    macs = ("02:00:00:00:00:01", "02:00:00:00:00:02")
    assert same_machine(identify(machine("S1", macs=macs)), identify(machine("S2", macs=macs[:1])))


def test_two_machines_with_one_junk_serial_stay_two() -> None:
    one = identify(machine("0123456789", macs=("02:00:00:00:00:01",)))
    two = identify(machine("0123456789", macs=("02:00:00:00:00:02",)))
    assert not same_machine(one, two)
    assert not same_machine(identify(Report(())), identify(Report(())))
