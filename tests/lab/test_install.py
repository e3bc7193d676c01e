"""Whole installations on machines with real firmware: the server is killed, machines come again."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from racks import EXAMPLES, SERIALS, all_in, answers, events, machine, wait_for

from edeploy.images.store import Store
from edeploy.lab.box import Box, Wishes, box
from edeploy.lab.demo import address_of, switch_on
from edeploy.lab.rack import DEMO_RACK
from edeploy.server.client import JsonObject


@pytest.fixture(scope="module")
def rack(store: Store, place: Path) -> Iterator[Box]:
    wishes = Wishes(store.root, EXAMPLES, place / "serve")
    with box(DEMO_RACK, wishes) as found:
        yield found


def fetching(machines: dict[str, JsonObject]) -> set[str]:
    """The machines that have fetched a part of the image and not all of it."""
    return {name for name, item in machines.items() if item["phase"] == "fetch" and item["done"]}


def fetching_others(than: set[str], machines: dict[str, JsonObject]) -> bool:
    return bool(fetching(machines) - than)


def test_a_server_killed_during_fetch_fails_no_machine(rack: Box) -> None:
    switch_on(rack)
    cut: set[str] = set()
    while cut != set(SERIALS):
        known = wait_for(rack, partial(fetching_others, cut), but_not=("failed",))
        cut |= fetching(known)
        rack.service.kill()
        rack.service.start()
    for item in wait_for(rack, all_in("active"), but_not=("failed",)).values():
        assert item["version"] == "1.0.0"
        assert item["role"] == "web"
        assert item["lease"]["state"] == "spent"  # type: ignore[index]


def test_installed_machines_answer_at_the_address_of_their_entry(rack: Box) -> None:
    addresses = set()
    for item in wait_for(rack, all_in("active")).values():
        address = address_of(item)
        addresses.add(address)
        assert "role <code>web</code>" in rack.fetch_page(address)
    assert addresses == {"10.77.0.50", "10.77.0.51"}


@pytest.mark.parametrize("name", ["bios-1", "uefi-1"])
def test_an_active_machine_that_boots_from_the_network_boots_its_disk(rack: Box, name: str) -> None:
    before = machine(rack, name)
    assert before is not None and before["state"] == "active"
    log = rack.lab.folder.machine(name).console_log
    wait_for(rack, lambda _: logins(log) > 0)
    scripts, prompts = len(events(rack, name, "boot-script")), logins(log)
    rack.service.operators.post("machines", name, "power", body={"action": "cycle"})
    wait_for(rack, lambda _: len(events(rack, name, "boot-script")) > scripts)
    assert "disk" in events(rack, name, "boot-script")[-1]
    # It answers some moments before its console says so.
    wait_for(rack, lambda _: logins(log) > prompts and answers(rack, address_of(before)))
    after = machine(rack, name)
    assert after is not None and after["state"] == "active"


def logins(log: Path) -> int:
    """How often the installed system came up to its prompt."""
    return log.read_bytes().count(b" login: ")
